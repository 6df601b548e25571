"""llama.cpp's own HTTP server on a loopback port, in a process of its own: `python llama_server.py
MODEL.gguf...`.

Prints the address of each model's server once it is loaded, and serves until its input ends.
"""

from __future__ import annotations

import sys

import xllamacpp


def serve(path: str) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = 2048
    params.n_parallel = 4
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    return server


if __name__ == "__main__":
    servers = [serve(path) for path in sys.argv[1:]]
    sys.stdin.read()
