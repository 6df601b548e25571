"""One step of one stream: `xcodec2.codec.step` for MLX arrays.

The layers keep the same frames in the same order, and give each as late as they look ahead. t new
frames, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import mlx.core as mx

UNKNOWN = 1 << 40  # length of a recording that has not ended


class Step:
    """What layers know and keep while they compute some new frames.

    Args:
        start: Frames that were given before.
        length: Frames of the recording, UNKNOWN while it goes on.
        caches: What the last step left; none at the beginning.

    Attributes:
        delay: Frames by which what a layer gets now lags behind what the step was given.
        left: Caches for the next step, in the order in which layers come.
    """

    def __init__(self, start: int, length: int, caches: Sequence[mx.array] = ()) -> None:
        self.start, self.length, self.caches = start, length, caches
        self.delay = 0
        self.left: list[mx.array] = []

    def branch(self, fewer: int = 0) -> Step:
        """For another way from the same frames; recordings are so many frames shorter on it."""
        other = Step(self.start, self.length - fewer, self.caches)
        other.delay, other.left = self.delay, self.left
        return other

    def extended(self, x: mx.array, frames: int, axis: int = 1) -> mx.array:
        """`x` behind so many frames of what came before it, zeros at first."""
        if not frames:
            return x
        if self.caches:
            cache = self.caches[len(self.left)]
        else:
            shape = list(x.shape)
            shape[axis] = frames
            cache = mx.zeros(shape, x.dtype)
        longer = mx.concatenate([cache, x], axis=axis)
        self.left.append(narrowed(longer, axis, x.shape[axis], frames))
        return longer

    def delayed(self, x: mx.array, frames: int, axis: int = 1) -> mx.array:
        """As many frames as `x` has, so many later; `delay` is not changed."""
        return narrowed(self.extended(x, frames, axis), axis, 0, x.shape[axis])

    def valid(self, frames: int, back: int = 0) -> mx.array | None:
        """(back + frames,) bool: which lie in the recording; None where all do."""
        first = self.start - self.delay - back
        if first >= 0 and first + back + frames <= self.length:
            return None
        times = mx.arange(first, first + back + frames)
        return mx.logical_and(times >= 0, times < min(self.length, 2**31 - 1))

    def zeroed(self, x: mx.array) -> mx.array:
        """`x` (1, t, …) with zeros at frames that lie outside."""
        valid = self.valid(x.shape[1])
        if valid is None:
            return x
        return x * valid.reshape(1, -1, *(1,) * (x.ndim - 2)).astype(x.dtype)

    def attended(
        self, q: mx.array, k: mx.array, v: mx.array, window: tuple[int, ...]
    ) -> tuple[mx.array, mx.array, mx.array, mx.array, mx.array]:
        """Queries that see all their keys by now, these keys and values, distances and a mask.

        Args:
            q: Queries, (1, H, t, d).
            k: Keys, likewise.
            v: Values, likewise.
            window: Frames back and ahead that a query sees.
        """
        back, ahead = window
        reach, frames = back + ahead, q.shape[2]
        valid = self.valid(frames, reach)
        q = self.delayed(q, ahead, 2)
        k, v = self.extended(k, reach, 2), self.extended(v, reach, 2)
        self.delay += ahead
        distances = mx.arange(-back, ahead + frames)[None] - mx.arange(frames)[:, None]
        mask = mx.logical_and(distances >= -back, distances <= ahead)
        if valid is not None:  # a query outside sees itself: nothing at all would be NaN
            mask = mx.logical_and(mask, mx.logical_or(valid[None], distances == 0))
        return q, k, v, distances, mask


Place: TypeAlias = Step | None
"""A step of a stream, or None where all frames are there."""


def delayed(x: mx.array, place: Place, frames: int) -> mx.array:
    """`x` (1, t, D), in a step so many frames later: a skip around layers that look ahead."""
    return x if place is None else place.delayed(x, frames)


def narrowed(x: mx.array, axis: int, start: int, count: int) -> mx.array:
    """`count` frames of `x` along `axis`, from `start` on."""
    index = [slice(None)] * x.ndim
    index[axis] = slice(start, start + count)
    return x[tuple(index)]
