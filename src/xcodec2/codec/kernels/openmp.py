"""The threads that PyTorch has, for libraries of our own."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable
from pathlib import Path


def openmp_parallel() -> Callable[..., None] | None:
    """GOMP_parallel of the OpenMP that PyTorch has loaded: a second pool of threads would fight its
    own for the cores.

    None where there is none of that name, or PyTorch was not imported.
    """
    return loaded_openmp() if "torch" in sys.modules else None


@functools.cache
def loaded_openmp() -> Callable[..., None] | None:
    """The same, once PyTorch is there."""
    try:
        mapped = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in mapped:
        path = Path(line[line.find("/") :])
        if path.name.startswith("libgomp"):
            return ctypes.CDLL(str(path)).GOMP_parallel
    return None
