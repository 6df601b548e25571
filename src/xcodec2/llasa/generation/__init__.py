"""Generation in this process: many sequences together, each drawn by its own seed."""
