"""Batches of unequal lengths, computed so that each item gives what it gives alone.

A layer that looks sideways in time must not see what lies behind an item's end. These functions say
what stands there instead: zeros before a convolution, the last valid sample before an anti-aliasing
filter, nothing at all in statistics and attention. ``lengths`` is (B,), or None where every item
fills its row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xcodec2.codec.step import Lengths, Step


def valid_mask(lengths: Tensor, size: int) -> Tensor:
    """(B,) → (B, size) bool, true up to each length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def window_mask(queries: Tensor, keys: Tensor, window: tuple[int, ...]) -> Tensor:
    """Which keys each query sees, by their frames (Q,) and (K,) → (Q, K) bool; all where the window
    is ().
    """
    if not window:
        return torch.ones(len(queries), len(keys), dtype=torch.bool, device=queries.device)
    distance = keys - queries[:, None]
    return (distance >= -window[0]) & (distance <= window[1])


def zero_tail(x: Tensor, lengths: Lengths) -> Tensor:
    """(B, C, T) with zeros behind each item's end, as a convolution's own padding would be."""
    if lengths is None:
        return x
    if isinstance(lengths, Step):
        return lengths.zeroed(x, 2)
    return x * valid_mask(lengths, x.shape[-1])[:, None].to(x.dtype)


def hold_tail(x: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, C, T) with each item's last valid sample held to the end, as a replicate pad would."""
    if lengths is None:
        return x
    last = x.gather(-1, (lengths - 1)[:, None, None].expand(-1, x.shape[1], 1))
    return torch.where(valid_mask(lengths, x.shape[-1])[:, None], x, last)


def mean_and_variance(
    x: Tensor, lengths: Tensor | None, *, unbiased: bool
) -> tuple[Tensor, Tensor]:
    """Moments over time of (B, T, F), valid frames only: each (B, 1, F)."""
    if lengths is None:
        mean = x.sum(1, keepdim=True) / x.shape[1]
        return mean, (x - mean).square().sum(1, keepdim=True) / (x.shape[1] - int(unbiased))
    mask, count = valid_mask(lengths, x.shape[1])[..., None].to(x.dtype), lengths[:, None, None]
    mean = (x * mask).sum(1, keepdim=True) / count
    variance = ((x - mean) * mask).square().sum(1, keepdim=True) / (count - int(unbiased))
    return mean, variance
