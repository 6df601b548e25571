"""Finite scalar quantization: eight numbers, four levels each, one code of 65536.

K dimensions. Everything here works in float32 or better whatever the model's dtype, because a
rounding error is a wrong code. A digit is a level counted from 0; a code is its digits in mixed
radix, lowest first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.cached_tensor import cached_tensor
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.constants import RANGE_MARGIN


@cached_tensor
def half_and_offset(levels: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """(2, K): half the width of each dimension's interval, and how far its middle lies below 0."""
    half = [(level - 1) * (1 + RANGE_MARGIN) / 2 for level in levels]
    return torch.tensor(
        [half, [0.0 if level % 2 else 0.5 for level in levels]], dtype=dtype, device=device
    )


def bound(x: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…, K) → (…, K), squashed into the interval that rounds to each dimension's levels."""
    half, offset = half_and_offset(levels, x.device, x.dtype)
    return (x + (offset / half).atanh()).tanh() * half - offset


def bound_twice(x: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…, K) → (…, K): the original bounds outside its quantizer and inside again.

    With one bound half of all codes change.
    """
    return bound(bound(x, levels), levels)


@cached_tensor
def center(levels: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """(K,): the digit that stands for the value 0, also each dimension's scale."""
    return torch.tensor([level // 2 for level in levels], dtype=dtype, device=device)


@cached_tensor
def radix(levels: tuple[int, ...], device: torch.device) -> Tensor:
    """(K,) int64: what one step of each digit adds to the code."""
    return torch.tensor([math.prod(levels[:k]) for k in range(len(levels))], device=device)


@cached_tensor
def sizes(levels: tuple[int, ...], device: torch.device) -> Tensor:
    """(K,) int64: how many digits each dimension has."""
    return torch.tensor(levels, device=device)


def digits_to_codes(digits: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…, K) int64 → (…) int64."""
    return (digits * radix(levels, digits.device)).sum(-1)


def codes_to_digits(codes: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…) int → (…, K) int64."""
    return codes.long()[..., None] // radix(levels, codes.device) % sizes(levels, codes.device)


@dataclass(frozen=True)
class Quantized:
    """What the quantizer makes of a latent (B, T, D).

    Attributes:
        vectors: (B, T, D), projected back from the K rounded numbers; gradients pass straight
            through.
        codes: (B, T) int64.
        projected: (B, T, K) float32 or better, before the bound.
        bounded: (B, T, K), what is rounded to levels.
    """

    vectors: Tensor
    codes: Tensor
    projected: Tensor
    bounded: Tensor

    @property
    def margin(self) -> Tensor:
        """(B, T): how far the nearest of the K numbers is from the edge to another level.

        NaN, which compares false with everything, is never far enough.
        """
        return ((self.bounded - 0.5) - (self.bounded - 0.5).round()).abs().amin(-1)


class Quantizer(nn.Module):
    """Project to K numbers, round each to one of its levels, project back."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.levels = config.levels
        self.project_in = nn.Linear(config.latent_width, len(config.levels))
        self.project_out = nn.Linear(len(config.levels), config.latent_width)

    def forward(self, latent: Tensor) -> Quantized:
        """(B, T, D) → codes, the vectors that they stand for, and what was rounded."""
        with torch.autocast(latent.device.type, enabled=False):
            projected = self.project(latent)
            bounded = bound_twice(projected, self.levels)
            rounded = bounded.round()
            scale = center(self.levels, bounded.device, bounded.dtype)
            values = (bounded + (rounded - bounded).detach()) / scale
            codes = digits_to_codes((rounded + scale).long(), self.levels)
        return Quantized(self.project_out(values.to(latent.dtype)), codes, projected, bounded)

    def project(self, latent: Tensor) -> Tensor:
        """(B, T, D) → (B, T, K) float32 or better, what the quantizer bounds and rounds."""
        dtype = torch.promote_types(latent.dtype, torch.float32)
        weight, bias = self.project_in.weight.to(dtype), self.project_in.bias.to(dtype)
        return F.linear(latent.to(dtype), weight, bias)

    def unrounded(self, projected: Tensor) -> Tensor:
        """(B, T, K) → the vectors (B, T, D) that there would be without rounding."""
        bounded = bound_twice(projected, self.levels)
        return self.project_out(bounded / center(self.levels, bounded.device, bounded.dtype))

    def vectors(self, codes: Tensor) -> Tensor:
        """(B, T) int → the vectors (B, T, D) that the decoder starts from."""
        return self.project_out(self.values(codes))

    def values(self, codes: Tensor) -> Tensor:
        """(B, T) int → (B, T, K), what `forward` projects back."""
        digits = codes_to_digits(codes, self.levels).to(self.project_out.weight.dtype)
        scale = center(self.levels, digits.device, digits.dtype)
        return (digits - scale) / scale
