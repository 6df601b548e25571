"""The likeliest token of a large vocabulary, found without multiplying with all of its rows.

A row's product with x lies within bounds that a quarter of its numbers, as bytes, already give: the
rows are turned so that most of what differs between them is in their first numbers, and what the
rest can add is at most the product of both lengths. Only where a row's upper bound reaches the
best lower bound is the product made, as `Weight` makes it: the answer is the same, to the bit.
"""

from __future__ import annotations

import ctypes
import math
from ctypes import c_float, c_int64, c_void_p
from typing import ClassVar

import numpy as np
import torch

from xcodec2.llasa.decoding.library import PANEL, Weight, in_large_pages, load_llama

SOME = 4096  # rows at a time
AFTER = 16  # products until it pays to prepare this
PATIENCE = 32  # scans in vain, more than there were others, until it is given up


class Bounds(ctypes.Structure):
    """Rows as bytes, with what their bounds are made of."""

    _fields_: ClassVar = [
        ("bytes", c_void_p),
        ("scales", c_void_p),
        ("tails", c_void_p),
        ("numbers", c_int64),
        ("rounding", c_float),
        ("tail", c_float),
        ("slack", c_float),
        ("shift", c_float),
    ]


class Scan:
    """Finds the row of the largest product.

    Args:
        rows: (R, I) What was laid out.
        weight: Of those rows, laid out.
    """

    def __init__(self, rows: torch.Tensor, weight: Weight) -> None:
        self.weight, self.in_vain = weight, 0
        count, inputs = rows.shape
        numbers = max(16, inputs // 4)
        mean = rows[:: max(1, count // SOME)].float().mean(0)  # any is right, as any turn is
        spread = torch.zeros(inputs, inputs, dtype=torch.float64, device="cpu")
        for first in range(0, count, SOME):
            own = rows[first : first + SOME].float() - mean
            spread += (own.T @ own).double()
        self.turn = torch.linalg.eigh(spread).eigenvectors[:, -numbers:].float().contiguous()
        panels = -(-count // PANEL)
        self.bytes = in_large_pages(panels * numbers * PANEL, torch.int8)
        self.bytes = self.bytes.view(panels, numbers, PANEL)
        self.scales = torch.zeros(panels * PANEL, dtype=torch.float32, device="cpu")
        # what stands behind the last row is below nothing and above nothing
        self.tails = torch.full_like(self.scales, 1e30)
        longest = 0.0
        for first in range(0, count, SOME):
            own = rows[first : first + SOME].float() - mean
            turned, square = own @ self.turn, own.square().sum(1)
            scale = turned.abs().amax(1).clamp(min=1e-30) / 127
            size = -(-len(own) // PANEL) * PANEL
            rounded = torch.zeros(size, numbers, dtype=torch.float32, device="cpu")
            rounded[: len(own)] = (turned / scale[:, None]).round()
            self.bytes[first // PANEL : (first + SOME) // PANEL] = (
                rounded.to(torch.int8).view(-1, PANEL, numbers).transpose(1, 2)
            )
            self.scales[first : first + len(own)] = scale
            left = (square - turned.square().sum(1)).clamp(min=0) + 1e-7 * inputs * square
            self.tails[first : first + len(own)] = left.sqrt()
            longest = max(longest, float(square.max().sqrt()))
        self.mean = mean.numpy()
        # of all sums in float32, a few times over
        self.precision = 4 * (inputs + 16) * 2.0**-24 * (longest + float(mean.norm()))

    def likeliest(self, x: np.ndarray) -> int | None:
        """The place of the largest product with x (I,) float32, the first of equals; None when the
        bounds leave too many.
        """
        library = load_llama()
        assert library is not None
        turned = x @ self.turn.numpy()
        square, own = float(np.dot(x, x)), float(np.dot(turned, turned))
        length = math.sqrt(square)
        bounds = Bounds(
            self.bytes.data_ptr(),
            self.scales.data_ptr(),
            self.tails.data_ptr(),
            len(turned),
            1.001 * math.sqrt(len(turned) * own) / 2,
            math.sqrt(max(0.0, square - own)) + 1e-3 * length,
            self.precision * length,
            float(np.dot(x, self.mean)),
        )
        place = int(
            library.xcodec2_llama_likeliest(
                ctypes.byref(bounds), self.weight.matrix, x.ctypes.data, turned.ctypes.data
            )
        )
        self.in_vain += 1 if place < 0 else -1
        self.in_vain = max(self.in_vain, -PATIENCE)
        return None if place < 0 else place
