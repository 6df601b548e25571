"""Weights in the type they are stored in, without PyTorch: NumPy has no bfloat16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

#: What the library calls each type.
FLOAT32, FLOAT16, BFLOAT16, INT8 = range(4)


@dataclass(frozen=True)
class Numbers:
    """An array of numbers.

    Attributes:
        array: float32, float16, or uint16 that are the upper halves of float32: bfloat16.
    """

    array: np.ndarray

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Numbers:
        """The numbers of a tensor on the CPU, where they are."""
        tensor, name = tensor.detach(), str(tensor.dtype).rpartition(".")[2]
        if name == "bfloat16":
            import torch

            return cls(tensor.contiguous().view(torch.int16).numpy().view(np.uint16))
        if name not in ("float32", "float16"):
            tensor = tensor.float()
        return cls(tensor.numpy())

    @classmethod
    def rounded(cls, values: np.ndarray, dtype: str) -> Numbers:
        """float32 values as another type, ties to even."""
        if dtype == "float16":
            with np.errstate(over="ignore"):
                return cls(values.astype(np.float16))
        if dtype == "bfloat16":
            bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
            halves = ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype(np.uint16)
            halves[np.isnan(values)] = 0x7FC0
            return cls(halves)
        return cls(values)

    @property
    def kind(self) -> int:
        """What the library calls their type."""
        return {4: FLOAT32, 2: FLOAT16}[self.array.dtype.itemsize] if self.is_float else BFLOAT16

    @property
    def is_float(self) -> bool:
        """Whether NumPy knows the type."""
        return self.array.dtype.kind == "f"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> Numbers:
        return Numbers(self.array[rows])

    def float32(self) -> np.ndarray:
        """The same numbers as float32, contiguous and aligned."""
        if self.is_float:
            return np.require(self.array, np.float32, ["C", "A"])
        return (self.array.astype(np.uint32) << 16).view(np.float32)

    def to(self, dtype: str) -> Numbers:
        """Rounded to float32, float16 or bfloat16."""
        own = ("float32", "float16", "bfloat16")[self.kind]
        return self if own == dtype else Numbers.rounded(self.float32(), dtype)

    def narrowest(self) -> Numbers:
        """The same numbers in half the memory where that is possible."""
        if self.kind != FLOAT32:
            return self
        for dtype in ("float16", "bfloat16"):
            half = Numbers.rounded(self.array, dtype)
            if np.array_equal(half.float32(), self.array):
                return half
        return self
