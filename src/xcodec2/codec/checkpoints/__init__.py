"""Reading and writing checkpoints, whoever wrote them."""
