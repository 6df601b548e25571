"""One step of streams: some new frames of each, and what their last steps left behind.

A layer that looks sideways in time gets a `Step` in the place of lengths. It lays new frames behind
the cached ones, gives as many frames as it got, and so gives each frame as late as it looks ahead:
`delay` adds that up. What lies before a recording's beginning or behind its end is zero to a
convolution and invisible to attention, as in a pass over the whole. Shapes depend on nothing but
the number of new frames, so streams of any age run as one batch. B streams, t new frames each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from xcodec2.codec.frames import UNKNOWN

__all__ = ["UNKNOWN", "Lengths", "Step", "band", "delayed"]


class Step:
    """What layers know and keep of a batch of streams while they compute some new frames.

    Args:
        start: (B,) int64, how many frames of each were given before.
        length: (B,) int64, frames of each recording, UNKNOWN while it goes on.
        caches: What the last step left (see `left`); None at the beginning of all streams.
        inside: The least start, and the least number of frames from a start to its end: where these
            show that all frames lie in their recordings, nothing is masked. None always masks.

    Attributes:
        delay: Frames by which what a layer gets now lags behind what the step was given.
        left: Caches for the next step, in the order in which layers come.
    """

    def __init__(
        self,
        start: Tensor,
        length: Tensor,
        caches: Sequence[Tensor] | None = None,
        inside: tuple[int, int] | None = None,
    ) -> None:
        self.start, self.length, self.caches, self.inside = start, length, caches, inside
        self.delay = 0
        self.left: list[Tensor] = []
        self.bands: dict[tuple[int, ...], Tensor] = {}

    def branch(self, fewer: int = 0) -> Step:
        """For another way from the same frames: a delay of its own and the same caches.

        Args:
            fewer: Frames that recordings are shorter on this way.
        """
        inside = self.inside and (self.inside[0], self.inside[1] - fewer)
        other = Step(self.start, self.length - fewer, self.caches, inside)
        other.delay, other.left, other.bands = self.delay, self.left, self.bands
        return other

    def extended(self, x: Tensor, frames: int, dim: int) -> Tensor:
        """`x` behind so many `frames` of what came before it along `dim`, zeros at first."""
        if not frames:
            return x
        if self.caches is None:
            shape = list(x.shape)
            shape[dim] = frames
            cache = x.new_zeros(shape)
        else:
            cache = self.caches[len(self.left)]
        longer = torch.cat([cache, x], dim=dim)
        self.left.append(longer.narrow(dim, x.shape[dim], frames))
        return longer

    def delayed(self, x: Tensor, frames: int, dim: int) -> Tensor:
        """As many frames as `x` has along `dim`, so many `frames` later; `delay` is not changed."""
        return self.extended(x, frames, dim).narrow(dim, 0, x.shape[dim])

    def valid(self, frames: int, back: int = 0) -> Tensor | None:
        """(B, back + frames) bool: which of the new frames, and of those before them, lie in their
        recording; None where all do.
        """
        if self.inside is not None:
            earliest, room = self.inside
            if earliest >= self.delay + back and frames - self.delay <= room:
                return None
        offsets = torch.arange(-back, frames, device=self.start.device) - self.delay
        times = self.start[:, None] + offsets
        return (times >= 0) & (times < self.length[:, None])

    def zeroed(self, x: Tensor, dim: int) -> Tensor:
        """`x` (B, …) with zeros at frames along `dim` that lie in no recording."""
        valid = self.valid(x.shape[dim])
        if valid is None:
            return x
        shape = [1] * x.ndim
        shape[0], shape[dim] = valid.shape
        return x * valid.view(shape).to(x.dtype)

    def attended(
        self, q: Tensor, k: Tensor, v: Tensor, window: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries that see all their keys by now, these keys and values, and which sees which.

        Args:
            q: Queries, (B, H, t, d).
            k: Keys, likewise.
            v: Values, likewise.
            window: Frames back and ahead that a query sees.

        Returns:
            Queries (B, H, t, d), keys and values (B, H, back + ahead + t, d), and a mask that
            broadcasts to (B, H, t, back + ahead + t).
        """
        back, ahead = window
        reach, frames = back + ahead, q.shape[2]
        valid = self.valid(frames, reach)
        q = self.delayed(q, ahead, 2)
        k, v = self.extended(k, reach, 2), self.extended(v, reach, 2)
        self.delay += ahead
        distances = self.distances(frames, window)
        mask = (distances >= -back) & (distances <= ahead)
        if valid is not None:  # a query outside sees itself: nothing at all would be NaN
            mask = mask & (valid[:, None, None] | (distances == 0))
        return q, k, v, mask

    def distances(self, frames: int, window: tuple[int, ...]) -> Tensor:
        """(t, back + ahead + t): from each query of `attended` to each key, in frames."""
        if self.inside is None:  # traced, where `frames` is a symbol
            return band(frames, window, self.start.device)
        key = (frames, *window)
        if key not in self.bands:
            self.bands[key] = band(frames, window, self.start.device)
        return self.bands[key]

    def together(self, parts: Sequence[tuple[Tensor, Step]], dim: int) -> list[Tensor]:
        """What branches gave, each as late as the latest; this goes on with its delay."""
        self.delay = max(step.delay for _, step in parts)
        return [step.delayed(x, self.delay - step.delay, dim) for x, step in parts]


def band(frames: int, window: tuple[int, ...], device: torch.device) -> Tensor:
    """(t, back + ahead + t): distances in frames from each of t queries to each key."""
    keys = torch.arange(-window[0], window[1] + frames, device=device)
    return keys - torch.arange(frames, device=device)[:, None]


Lengths: TypeAlias = Tensor | Step | None
"""What is there of each row: its length (B,), a step of a stream, or None where all is."""


def delayed(x: Tensor, lengths: Lengths, frames: int, dim: int = -1) -> Tensor:
    """`x`, in a step of a stream so many `frames` later along `dim`: a skip around layers that look
    ahead.
    """
    return lengths.delayed(x, frames, dim % x.ndim) if isinstance(lengths, Step) else x
