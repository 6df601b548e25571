"""Other ways to run the steps of a task than the loop."""
