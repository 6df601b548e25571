"""The anti-aliased activation in one compiled pass (snake.c), for inference on a CPU.

PyTorch's own operations give the same to float32's rounding, far slower. B batch, C channels, N
samples.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import warnings

import torch
from torch import Tensor

from xcodec2.codec.kernels.build import LIBRARY
from xcodec2.codec.kernels.openmp import openmp_parallel

POINTER = ctypes.c_void_p


def can_run(x: Tensor) -> bool:
    """Whether `snake` takes `x`: float32 on a CPU, no gradients wanted, and the library is
    there.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and load_library() is not None
    )


def snake(x: Tensor, alpha: Tensor, beta: Tensor, taps: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, C, N) → (B, C, N) whose channels lie side by side in memory; zeros behind each of
    `lengths` (B,).

    `alpha` and `beta` (C,) are what is multiplied and divided by, `taps` (12,) the filter.
    """
    library = load_library()
    assert library is not None
    rows = x.transpose(1, 2).contiguous()  # (B, N, C)
    out = torch.empty_like(rows)
    alpha, beta = alpha.contiguous(), beta.contiguous()
    lengths = None if lengths is None else lengths.long().contiguous()
    library.xcodec2_snake(
        rows.data_ptr(),
        out.data_ptr(),
        alpha.data_ptr(),
        beta.data_ptr(),
        taps.data_ptr(),
        None if lengths is None else lengths.data_ptr(),
        *rows.shape,
        torch.get_num_threads(),
        openmp_parallel(),
    )
    return out.transpose(1, 2)


@functools.cache
def load_library() -> ctypes.CDLL | None:
    """The library, or None, with a warning that says why: the results are the same, the time is
    not.
    """
    if (
        platform.machine().lower() in ("x86_64", "amd64")
        and "AVX" not in torch.backends.cpu.get_cpu_capability()
    ):
        reason = "this processor lacks AVX2"
    elif not LIBRARY.exists():
        reason = "it was not compiled; install a C compiler (gcc or clang), then open-xcodec2 again"
    else:
        try:
            return declared(ctypes.CDLL(str(LIBRARY)))
        except OSError as problem:
            reason = str(problem)
    message = f"the compiled activation cannot be used, so that encoding takes longer: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return None


def declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its one function."""
    library.xcodec2_snake.argtypes = [POINTER] * 6 + [ctypes.c_int64] * 3 + [ctypes.c_int, POINTER]
    library.xcodec2_snake.restype = None
    return library
