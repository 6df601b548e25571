"""The compiled engine (engine.c), loaded when it is first needed."""

from __future__ import annotations

import ctypes
import functools
import platform
import warnings
from pathlib import Path

from xcodec2.codec.kernels.build import ENGINE


@functools.cache
def load_engine() -> ctypes.CDLL | None:
    """The library, or None, with a warning that says why: PyTorch takes longer for the same codes
    and sound.
    """
    if not fits_processor():
        reason = "this processor is not known to have AVX2, FMA and F16C"
    elif not ENGINE.exists():
        reason = "it was not compiled; install a C compiler (gcc or clang), then open-xcodec2 again"
    else:
        try:
            library = ctypes.CDLL(str(ENGINE))
            library.xcodec2_run.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
            library.xcodec2_run.restype = None
            return library
        except (OSError, AttributeError) as problem:  # not loadable, or of another version
            reason = str(problem)
    message = f"the compiled engine cannot be used, so that small models take longer: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return None


def engine() -> ctypes.CDLL:
    """The library, where it was found to be there."""
    library = load_engine()
    assert library is not None
    return library


@functools.cache
def reads_half() -> bool:
    """Whether the engine reads float16 weights."""
    return bool(engine().xcodec2_reads_half())


def fits_processor() -> bool:
    """Whether this processor has AVX2, FMA and F16C, which x86 libraries are compiled for."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # not known: PyTorch then runs in its place
    line = next((line for line in flags.splitlines() if line.startswith("flags")), "")
    return {"avx2", "fma", "f16c"} <= set(line.split())
