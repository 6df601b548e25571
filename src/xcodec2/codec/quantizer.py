"""Finite scalar quantisation: eight numbers, four levels each, one code of 65536.

K dimensions. Everything here works in float32 or better whatever the model's dtype, because a
rounding error is a wrong code. A digit is a level counted from 0; a code is its digits in mixed
radix, lowest first.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.cached_tensor import constant
from xcodec2.codec.config import XCodec2Config

RANGE_MARGIN = 1e-3  # keeps the outermost level reachable where tanh has not yet saturated


@constant
def interval(levels: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """(2, K): half the width of each dimension's interval, and how far its middle lies below 0."""
    half = [(level - 1) * (1 + RANGE_MARGIN) / 2 for level in levels]
    return torch.tensor(
        [half, [0.0 if level % 2 else 0.5 for level in levels]], dtype=dtype, device=device
    )


def bound(x: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…, K) → (…, K), squashed into the interval that rounds to each dimension's levels."""
    half, offset = interval(levels, x.device, x.dtype)
    return (x + (offset / half).atanh()).tanh() * half - offset


def bound_twice(x: Tensor, levels: tuple[int, ...]) -> Tensor:
    """The original bounds outside its quantiser and inside again; with one bound half of all codes
    change.
    """
    return bound(bound(x, levels), levels)


@constant
def centre(levels: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """(K,): the digit that stands for the value 0, also each dimension's scale."""
    return torch.tensor([level // 2 for level in levels], dtype=dtype, device=device)


@constant
def radix(levels: tuple[int, ...], device: torch.device) -> Tensor:
    """(K,) int64: what one step of each digit adds to the code."""
    return torch.tensor([math.prod(levels[:k]) for k in range(len(levels))], device=device)


@constant
def sizes(levels: tuple[int, ...], device: torch.device) -> Tensor:
    """(K,) int64: how many digits each dimension has."""
    return torch.tensor(levels, device=device)


def digits_to_codes(digits: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…, K) int64 → (…) int64."""
    return (digits * radix(levels, digits.device)).sum(-1)


def codes_to_digits(codes: Tensor, levels: tuple[int, ...]) -> Tensor:
    """(…) int → (…, K) int64."""
    return codes.long()[..., None] // radix(levels, codes.device) % sizes(levels, codes.device)


class Quantizer(nn.Module):
    """Project to K numbers, quantise, project back."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.levels = config.levels
        self.project_in = nn.Linear(config.latent_width, len(config.levels))
        self.project_out = nn.Linear(len(config.levels), config.latent_width)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) → the quantised vector (B, T, D), gradients passed straight through, and codes
        (B, T) int64.
        """
        with torch.autocast(latent.device.type, enabled=False):
            bounded = bound_twice(self.project(latent), self.levels)
            rounded = bounded.round()
            scale = centre(self.levels, bounded.device, bounded.dtype)
            values = (bounded + (rounded - bounded).detach()) / scale
            codes = digits_to_codes((rounded + scale).long(), self.levels)
        return self.project_out(values.to(latent.dtype)), codes

    def project(self, latent: Tensor) -> Tensor:
        """(B, T, D) → (B, T, K) float32 or better, what the quantiser bounds and rounds."""
        dtype = torch.promote_types(latent.dtype, torch.float32)
        weight, bias = self.project_in.weight.to(dtype), self.project_in.bias.to(dtype)
        return F.linear(latent.to(dtype), weight, bias)

    def vectors(self, codes: Tensor) -> Tensor:
        """(B, T) int → the vectors (B, T, D) that the decoder starts from."""
        return self.project_out(self.values(codes))

    def values(self, codes: Tensor) -> Tensor:
        """(B, T) int → (B, T, K), what :meth:`forward` projects back."""
        digits = codes_to_digits(codes, self.levels).to(self.project_out.weight.dtype)
        scale = centre(self.levels, digits.device, digits.dtype)
        return (digits - scale) / scale
