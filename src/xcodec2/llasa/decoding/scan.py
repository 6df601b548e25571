"""The likeliest token of a large vocabulary, found without multiplying with all of its rows.

A row's product with x lies within bounds that a quarter of its numbers, as bytes, already give: the
rows are turned so that most of what differs between them is in their first numbers, and what the
rest can add is at most the product of both lengths. Only where a panel's upper bound reaches the
best lower bound are its products made, as `Weight` makes them: the answer is the same, to the bit.
"""

from __future__ import annotations

import ctypes
from ctypes import c_void_p
from typing import ClassVar

import numpy as np

from xcodec2.llasa.decoding.library import (
    PANEL,
    Matrix,
    Weight,
    lay_out,
    load_llama,
    new_panels,
)
from xcodec2.llasa.decoding.numbers import INT8, Numbers

SOME = 4096  # rows at a time
AFTER = 16  # products until it pays to prepare this
PATIENCE = 32  # scans in vain, more than there were others, until it is given up
#: Of one x: how many scales, lengths and plain numbers a bound is away, and how far it is below.
QUERY = np.dtype([(name, np.float32) for name in ("rounding", "tail", "slack", "shift")])


class Bounds(ctypes.Structure):
    """Rows as bytes, with what their bounds are made of."""

    _fields_: ClassVar = [
        ("bytes", Matrix),
        ("scales", c_void_p),
        ("panel_scales", c_void_p),
        ("panel_tails", c_void_p),
    ]


class Scan:
    """Finds the row of the largest product.

    Args:
        head: (V, I) All rows.
        ids: (R,) Those that were laid out.
        weight: Of those rows, laid out.
    """

    def __init__(self, head: Numbers, ids: np.ndarray, weight: Weight) -> None:
        self.weight, self.in_vain = weight, 0
        count, inputs = len(ids), head.shape[1]
        numbers = max(16, inputs // 4)
        parts = [ids[first : first + SOME] for first in range(0, count, SOME)]
        self.mean = head[ids[:: max(1, count // SOME)]].float32().mean(0)  # any is right,
        spread = np.zeros((inputs, inputs))  # as any turn is
        for part in parts:
            own = head[part].float32() - self.mean
            spread += own.T @ own
        turn = np.linalg.eigh(spread)[1][:, -numbers:]
        self.turn = np.ascontiguousarray(turn, np.float32)
        self.panels = new_panels(count, numbers, np.dtype(np.int8))
        panels = len(self.panels)
        self.scales, tails = np.zeros(panels * PANEL, np.float32), np.zeros(panels * PANEL)
        longest = 0.0
        for first, part in zip(range(0, count, SOME), parts, strict=True):
            own = head[part].float32() - self.mean
            turned, square = own @ self.turn, np.einsum("ri,ri->r", own, own)
            scale = np.abs(turned).max(1).clip(min=1e-30) / np.float32(127)
            lay_out(self.panels, first, np.rint(turned / scale[:, None]).astype(np.int8))
            left = (square - np.einsum("ri,ri->r", turned, turned)).clip(min=0)
            self.scales[first : first + len(own)] = scale
            tails[first : first + len(own)] = np.sqrt(left + 1e-7 * inputs * square)
            longest = max(longest, float(np.sqrt(square.max())))
        self.panel_scales = self.scales.reshape(panels, PANEL).max(1)
        self.panel_tails = tails.reshape(panels, PANEL).max(1).astype(np.float32)
        if count % PANEL:  # what stands behind the last row bounds nothing
            self.panel_tails[-1] = 1e30
        # of all sums in float32, a few times over
        norm = float(np.linalg.norm(self.mean))
        self.precision = 4 * (inputs + 16) * 2.0**-24 * (longest + norm)
        self.bounds = Bounds(
            Matrix(self.panels.ctypes.data, None, numbers, count, INT8),
            self.scales.ctypes.data,
            self.panel_scales.ctypes.data,
            self.panel_tails.ctypes.data,
        )

    def likeliest(self, x: np.ndarray) -> np.ndarray:
        """(B,) int64 places of the largest products with x (B, I) float32, the first of equals; -1
        where the bounds leave too many.
        """
        library = load_llama()
        assert library is not None
        turned = x @ self.turn
        square, own = np.einsum("bi,bi->b", x, x), np.einsum("bi,bi->b", turned, turned)
        length = np.sqrt(square)
        queries = np.empty(len(x), QUERY)
        queries["rounding"] = 1.001 * np.sqrt(turned.shape[1] * own) / 2
        queries["tail"] = np.sqrt((square - own).clip(min=0)) + 1e-3 * length
        queries["slack"] = self.precision * length
        queries["shift"] = x @ self.mean
        places = np.empty(len(x), np.int64)
        failed = library.xcodec2_llama_likeliest(
            ctypes.byref(self.bounds),
            self.weight.matrix,
            queries.ctypes.data,
            x.ctypes.data,
            turned.ctypes.data,
            len(x),
            places.ctypes.data,
        )
        if failed:
            raise MemoryError("no memory for a step of the language model")
        vain = int((places < 0).sum())
        self.in_vain = max(self.in_vain + 2 * vain - len(x), -PATIENCE)
        return places
