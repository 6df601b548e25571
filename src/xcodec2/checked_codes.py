"""What may be given as codes and beside them, and the errors for what may not."""

from __future__ import annotations

import operator
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.errors import CodesError, XCodec2Error
from xcodec2.lazy import is_tensor

if TYPE_CHECKING:
    import torch


def is_file_content(source: object) -> bool:
    """Whether it is what is in a file, or the open file, rather than its name."""
    return isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read")


def checked_field(field: str, value: Any) -> int | None:
    """A positive whole number of a name; None where its audio is not known.

    Raises:
        CodesError: It is none.
    """
    if value is None and field in ("num_samples", "sample_rate"):
        return None
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or not 0 < number < 1 << 63:
        raise CodesError(f"{field} must be a positive whole number, not {value!r}")
    return number


def checked_step(step: Any) -> int:
    """Frames that a stream computes together.

    Raises:
        XCodec2Error: It is no whole number above 0.
    """
    if not isinstance(step, Integral) or isinstance(step, bool) or step < 1:
        raise XCodec2Error(f"a stream needs a whole number of frames as its step, not {step!r}")
    return int(step)


def is_empty(chunk: Any) -> bool:
    """Whether a chunk holds no codes, which language models also send."""
    if is_tensor(chunk) or isinstance(chunk, np.ndarray):
        return tuple(chunk.shape) == (0,)
    return isinstance(chunk, (list, tuple)) and not chunk


def checked_codes(codes: Any, codebook_size: int) -> torch.Tensor | np.ndarray:
    """(T,) int32: a tensor where one was given, a new array else.

    Raises:
        CodesError: They are no integers in 0 … codebook_size - 1, or there are none.
    """
    if is_file_content(codes):
        raise CodesError("codes must be integers, not the content of a file: Codes.load reads that")
    if isinstance(codes, (list, tuple)) and any(isinstance(c, (bool, np.bool_)) for c in codes):
        raise CodesError("codes must be of an integer type, not bool")
    if is_tensor(codes):
        return _checked_tensor(codes, codebook_size)
    try:
        array = np.asarray(codes)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        raise CodesError(f"codes must be integers ({problem})") from problem
    if array.dtype.kind not in "iubfc":
        raise CodesError(f"codes must be integers, not {array.dtype}")
    if not array.size:
        raise CodesError("there are no codes: an empty list or array")
    if array.dtype.kind not in "iu":
        raise CodesError(f"codes must be of an integer type, not {array.dtype}")
    if array.ndim != 1:
        raise CodesError(f"codes must be 1-D, not of shape {array.shape}")
    wide = array.astype(np.int64)  # uint64 beyond int64 turns negative, and is refused as such
    outside = (wide < 0) | (wide >= codebook_size)
    if outside.any():
        raise _outside(wide, int(np.flatnonzero(outside)[0]), codebook_size)
    return wide.astype(np.int32)


def _checked_tensor(tensor: torch.Tensor, codebook_size: int) -> torch.Tensor:
    import torch

    if tensor.is_meta or tensor.layout != torch.strided:
        kind = "meta" if tensor.is_meta else "sparse"
        raise CodesError(f"codes must be a dense tensor that holds values, not a {kind} one")
    if not tensor.numel():
        raise CodesError("there are no codes: an empty list or array")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise CodesError(f"codes must be of an integer type, not {tensor.dtype}")
    if tensor.ndim != 1:
        raise CodesError(f"codes must be 1-D, not of shape {tuple(tensor.shape)}")
    wide = tensor.to(torch.int64)
    outside = (wide < 0) | (wide >= codebook_size)
    if outside.any():
        raise _outside(wide, int(outside.nonzero()[0, 0]), codebook_size)
    return wide.to(torch.int32)


def _outside(codes: Any, where: int, codebook_size: int) -> CodesError:
    return CodesError(
        f"code {int(codes[where])} at position {where} is outside of 0…{codebook_size - 1}"
    )
