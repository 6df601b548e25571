"""A corpus of codes for training LLaSA: text that packages hold → synthetic voices → codes. Run by
`scripts/prepare_llasa_corpus.py`, which says how.
"""
