"""Small codecs on one core without PyTorch: the same networks as in `xcodec2.codec`, run by an
engine in C.

It serves where PyTorch's own costs are most of the work: a command that handles seconds of audio,
and a stream that computes a few frames at a time.
"""
