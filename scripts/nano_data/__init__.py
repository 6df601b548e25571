"""Real speech from Debian packages, prepared to train, validate and test the bundled model
`nano`.
"""
