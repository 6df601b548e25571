"""The compiled forward pass (llama.c): its library, and what is handed to it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import platform
import warnings
from ctypes import POINTER, c_float, c_int, c_int64, c_uint32, c_void_p
from typing import ClassVar

import numpy as np
import torch

from xcodec2.codec.kernels.build import LLAMA_LIBRARY
from xcodec2.codec.kernels.snake_cpu import openmp_parallel

LARGE_PAGE = 1 << 21
PANEL = 64  # outputs whose weights lie side by side
KEYS = 8  # positions whose keys do; a capacity is a multiple of it
TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
#: Of a token: where its sequence's cache is, for how many positions, and its own position.
ROW = np.dtype([("cache", np.uint64), ("capacity", np.int64), ("position", np.int64)])


class Matrix(ctypes.Structure):
    """A weight (out, in) in panels."""

    _fields_: ClassVar = [
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("inputs", c_int64),
        ("outputs", c_int64),
        ("type", c_int64),
    ]


class Layer(ctypes.Structure):
    """One layer's weights."""

    _fields_: ClassVar = [
        ("qkv", Matrix),
        ("output", Matrix),
        ("gate_up", Matrix),
        ("down", Matrix),
        ("attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
    ]


class Model(ctypes.Structure):
    """All of it but embedding and head."""

    _fields_: ClassVar = [
        ("layers", POINTER(Layer)),
        ("norm", c_void_p),
        ("num_layers", c_int64),
        ("hidden", c_int64),
        ("heads", c_int64),
        ("kv_heads", c_int64),
        ("head_dim", c_int64),
        ("intermediate", c_int64),
        ("epsilon", c_float),
    ]


@functools.cache
def load_llama() -> ctypes.CDLL | None:
    """The library, or None, with a warning that says why: transformers takes longer for the same
    tokens.
    """
    if (
        platform.machine().lower() in ("x86_64", "amd64")
        and "AVX" not in torch.backends.cpu.get_cpu_capability()
    ):
        reason = "this processor lacks AVX2"
    elif not LLAMA_LIBRARY.exists():
        reason = "it was not compiled; install a C compiler (gcc or clang), then open-xcodec2 again"
    else:
        try:
            return declare_llama(ctypes.CDLL(str(LLAMA_LIBRARY)))
        except (OSError, AttributeError) as problem:  # not loadable, or of another version
            reason = str(problem)
    message = f"compiled generation cannot be used, so that speaking takes longer: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return None


def declare_llama(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with the types of its functions."""
    library.xcodec2_llama_forward.argtypes = [
        POINTER(Model),
        c_void_p,
        c_int64,
        c_void_p,
        c_void_p,
        c_int,
        c_void_p,
    ]
    library.xcodec2_llama_forward.restype = c_int
    library.xcodec2_llama_product.argtypes = [
        POINTER(Matrix),
        c_void_p,
        c_void_p,
        c_int64,
        c_int,
        c_void_p,
    ]
    library.xcodec2_llama_product.restype = None
    library.xcodec2_llama_likeliest.argtypes = [c_void_p, POINTER(Matrix), c_void_p, c_void_p]
    library.xcodec2_llama_likeliest.restype = c_int64
    library.xcodec2_random_seed.argtypes = [c_void_p, c_uint32]
    library.xcodec2_random_seed.restype = None
    library.xcodec2_random_draw.argtypes = [c_void_p, c_void_p, c_void_p, c_int64, c_int64]
    library.xcodec2_random_draw.restype = c_int64
    library.xcodec2_chances.argtypes = [c_void_p, c_void_p, c_int64, c_float]
    library.xcodec2_chances.restype = None
    return library


class Weight:
    """A weight laid out for the library, in the narrowest type that holds its numbers exactly.

    Args:
        weight: (O, I) float32, float16 or bfloat16.
        bias: (O,)
        rows: (R,) Of the weight's rows only these, in this order.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        weight = narrowest(weight)
        outputs = len(weight) if rows is None else len(rows)
        inputs = weight.shape[1]
        panels = -(-outputs // PANEL)
        self.panels = in_large_pages(panels * inputs * PANEL, weight.dtype)
        self.panels = self.panels.view(panels, inputs, PANEL)
        some = 64  # at a time, so that there is no second copy of all
        for first in range(0, panels, some):
            part = slice(first * PANEL, min((first + some) * PANEL, outputs))
            own = weight[part] if rows is None else weight[torch.from_numpy(rows[part])]
            if lacking := -len(own) % PANEL:
                own = torch.cat([own, own.new_zeros(lacking, inputs)])
            self.panels[first : first + some] = own.view(-1, PANEL, inputs).transpose(1, 2)
        self.bias = None if bias is None else float32(bias)
        self.matrix = Matrix(
            self.panels.data_ptr(),
            None if self.bias is None else self.bias.data_ptr(),
            inputs,
            outputs,
            TYPES[weight.dtype],
        )
        self.outputs = outputs

    def product(self, x: np.ndarray, threads: int) -> np.ndarray:
        """(R, I) float32 → (R, O) float32."""
        library = load_llama()
        assert library is not None
        y = np.empty((len(x), self.outputs), np.float32)
        library.xcodec2_llama_product(
            self.matrix, x.ctypes.data, y.ctypes.data, len(x), threads, openmp_parallel()
        )
        return y


def in_large_pages(count: int, dtype: torch.dtype) -> torch.Tensor:
    """(count,) zeros, in large pages where Linux has some to give: a weight that is read from end
    to end for each token takes a third less time there.
    """
    size = count * dtype.itemsize
    if size < 2 * LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(count, dtype=dtype, device="cpu")
    memory = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    start = -whole.data_ptr() % LARGE_PAGE
    return whole[start : start + size].view(dtype)


def narrowest(weight: torch.Tensor) -> torch.Tensor:
    """The same numbers in half the memory where that is possible."""
    if weight.dtype != torch.float32:
        return weight
    for dtype in (torch.float16, torch.bfloat16):
        half = weight.to(dtype)
        if torch.equal(half.float(), weight):
            return half
    return weight


def float32(tensor: torch.Tensor) -> torch.Tensor:
    """A contiguous copy, or the tensor itself."""
    return tensor.detach().to(torch.float32).contiguous()
