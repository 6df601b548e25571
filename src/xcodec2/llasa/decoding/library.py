"""The compiled forward pass (llama.c): its library, and what is handed to it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import warnings
from ctypes import POINTER, c_float, c_int, c_int64, c_uint32, c_void_p
from typing import ClassVar

import numpy as np

from xcodec2.codec.compiled.library import fits_processor
from xcodec2.codec.kernels.build import LLAMA_LIBRARY
from xcodec2.codec.kernels.openmp import openmp_parallel
from xcodec2.llasa.decoding.numbers import Numbers

LARGE_PAGE = 1 << 21
PANEL = 64  # outputs whose weights lie side by side
KEYS = 8  # positions whose keys do; a capacity is a multiple of it
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
    if not fits_processor():
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
    library.xcodec2_llama_likeliest.argtypes = [
        c_void_p,
        POINTER(Matrix),
        c_void_p,
        c_void_p,
        c_void_p,
        c_int64,
        c_void_p,
    ]
    library.xcodec2_llama_likeliest.restype = c_int
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
        self, weight: Numbers, bias: Numbers | None = None, rows: np.ndarray | None = None
    ) -> None:
        weight = weight.narrowest()
        outputs = len(weight) if rows is None else len(rows)
        inputs = weight.shape[1]
        self.panels = new_panels(outputs, inputs, weight.array.dtype)
        some = 64 * PANEL  # at a time, so that there is no second copy of all
        for first in range(0, outputs, some):
            part = slice(first, min(first + some, outputs))
            lay_out(self.panels, first, weight.array[part if rows is None else rows[part]])
        self.bias = None if bias is None else bias.float32()
        self.matrix = Matrix(
            self.panels.ctypes.data,
            None if self.bias is None else self.bias.ctypes.data,
            inputs,
            outputs,
            weight.kind,
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


def new_panels(outputs: int, inputs: int, dtype: np.dtype) -> np.ndarray:
    """(⌈outputs/PANEL⌉, inputs, PANEL) zeros for a weight's rows."""
    panels = -(-outputs // PANEL)
    return in_large_pages(panels * inputs * PANEL, dtype).reshape(panels, inputs, PANEL)


def lay_out(panels: np.ndarray, first: int, rows: np.ndarray) -> None:
    """Put rows (R, inputs) into their places of the panels, from the row `first` on, with which a
    panel begins.
    """
    whole = len(rows) // PANEL
    at = first // PANEL
    inner = rows[: whole * PANEL].reshape(whole, PANEL, rows.shape[1])
    panels[at : at + whole] = inner.transpose(0, 2, 1)
    if rest := len(rows) - whole * PANEL:
        panels[at + whole, :, :rest] = rows[whole * PANEL :].T


def in_large_pages(count: int, dtype: np.dtype) -> np.ndarray:
    """(count,) zeros, in large pages where Linux has some to give: a weight that is read from end
    to end for each token takes a third less time there.
    """
    size = count * dtype.itemsize
    if size < 2 * LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(count, dtype)
    memory = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % LARGE_PAGE
    return whole[start : start + size].view(dtype)
