"""Making language models that speak: rows of tokens, and training on them."""
