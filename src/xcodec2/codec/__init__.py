"""The codec network: its parts, how it runs, its kernels, and its checkpoints."""
