"""llama.cpp's own HTTP server on loopback ports, in a process of its own: `python llama_server.py
MODEL.gguf... [PORT]`.

Prints the address of each model's server once it is loaded, and serves until its input ends. With
a port there is one model, without one ports are free ones.
"""

from __future__ import annotations

import sys

import xllamacpp


def serve(path: str, port: int = 0) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = path
    if hasattr(params, "hostnames"):
        params.hostnames = ["127.0.0.1"]
    else:  # before 2026.10
        params.hostname = "127.0.0.1"
    params.port = port
    params.n_ctx = 2048
    params.n_parallel = 4
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    return server


if __name__ == "__main__":
    *paths, last = sys.argv[1:]
    servers = [serve(*paths, int(last))] if last.isdigit() else [serve(p) for p in (*paths, last)]
    sys.stdin.read()
