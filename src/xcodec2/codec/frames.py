"""What a stream knows of its recording, frame by frame, whoever computes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from xcodec2.errors import XCodec2Error

UNKNOWN = 1 << 40  # length of a recording that has not ended
STEP = 4  # frames: 80 ms
MAX_STEP = 50  # frames in one step, however many there are: attention's scores stay small

Array = NDArray[Any]
Kept = TypeVar("Kept")


class Frames(Generic[Kept]):
    """What a stream knows of its recording, frame by frame: rows of `size` values each.

    Args:
        size: Values in a frame.
        step: Frames that are computed together, until the end.
        delay: Frames that results lag behind.
        back: Frames to keep before the newest.
        dtype: Of the values.
    """

    def __init__(
        self, *, size: int, step: int, delay: int, back: int = 0, dtype: Any = np.float32
    ) -> None:
        self.size, self.step, self.delay, self.back = size, step, delay, back
        self.values: Array = np.empty(0, dtype)  # from frame `first` on
        self.first = 0
        self.done = 0  # frames that were given to the layers
        self.length: int | None = None  # frames of the recording, once it has ended
        self.results: int | None = None  # of them that have a result
        self.kept: Kept | None = None  # by the layers; None at the beginning
        self.problem: XCodec2Error | None = None  # why nothing more can come

    def add(self, values: Array) -> None:
        """Take in values (n,)."""
        self.values = np.concatenate([self.values, values.astype(self.values.dtype, copy=False)])

    def end(self, length: int, results: int) -> None:
        """No values will follow: the recording has so many frames, so many of them with results."""
        self.length, self.results = length, results

    @property
    def ready(self) -> int:
        """Frames that can be given to the layers now; behind an end as many as results lag."""
        if self.problem is not None:
            return 0
        if self.length is not None:
            return self.length + self.delay - self.done
        there = self.first + len(self.values) // self.size - self.done
        return there - there % self.step

    @property
    def known(self) -> int:
        """Frames of the recording, as far as they are known: UNKNOWN until it ends."""
        return UNKNOWN if self.length is None else self.length

    def span(self, start: int, stop: int) -> Array:
        """Values start … stop of the recording, with zeros before its beginning and behind its
        end.
        """
        origin = self.first * self.size
        values = self.values[max(start - origin, 0) : max(stop - origin, 0)]
        if len(values) == stop - start:
            return values
        early = min(max(origin - start, 0), stop - start)
        return np.pad(values, (early, stop - start - early - len(values)))

    def between(self, first: int, last: int) -> Array:
        """Values of frames first … last, (n·size,), with zeros outside of the recording."""
        return self.span(first * self.size, last * self.size)

    def take(self, count: int) -> Array:
        """The next frames' values, (count·size,)."""
        values = self.between(self.done, self.done + count)
        self.done += count
        return values

    def forget(self) -> None:
        """Drop the values that nothing will ask for again."""
        dropped = max(self.done - self.back - self.first, 0)
        self.values, self.first = self.values[dropped * self.size :], self.first + dropped

    def final(self, count: int) -> slice:
        """Which of the last `count` frames' results are of the recording."""
        start = self.done - count - self.delay  # the first's time
        stop = self.done - self.delay
        if self.results is not None:
            stop = min(stop, self.results)
        return slice(min(max(-start, 0), count), max(stop - start, 0))


def drain(
    streams: Sequence[Frames[Kept]],
    run: Callable[[Sequence[Frames[Kept]], int], list[Array]],
) -> list[list[Array]]:
    """What all streams of one model can give now, piece by piece.

    Args:
        streams: Of one model.
        run: Gives the layers the next so many frames of each.
    """
    results: list[list[Array]] = [[] for _ in streams]
    while ready := [(i, s) for i, s in enumerate(streams) if s.ready > 0]:
        count = min(MAX_STEP, *(s.ready for _, s in ready), MAX_STEP)
        for (i, _), result in zip(ready, run([s for _, s in ready], count), strict=True):
            results[i].append(result)
    return results
