"""LLaSA: text to speech by a LLaMA whose tokens are the codec's codes (arXiv 2502.04128)."""
