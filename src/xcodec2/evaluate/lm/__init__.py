"""A language model in the loop: the same small Llama, trained on each codec's codes."""
