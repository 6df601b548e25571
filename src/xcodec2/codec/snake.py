"""Anti-aliased SnakeBeta: the periodic activation of the waveform encoder, computed at twice the
rate.

B batch, C channels, N samples at the layer's own rate.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.cached_tensor import cached_tensor
from xcodec2.codec.kernels import snake_cpu, snake_triton
from xcodec2.codec.masking import hold_tail, zero_tail

TAPS = 12
CUTOFF = 0.25  # cycles per sample at the doubled rate: the layer's own Nyquist frequency
HALF_WIDTH = 0.3  # of the filter's transition, same unit
NO_ZERO_DIVISION = 1e-9


@cached_tensor
def kaiser_sinc(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(12,): the low-pass filter before and after the activation, unit gain at 0 Hz."""
    attenuation = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * HALF_WIDTH + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    time = torch.arange(TAPS, dtype=torch.float64, device="cpu") - (TAPS - 1) / 2
    window = torch.kaiser_window(TAPS, periodic=False, beta=beta, dtype=torch.float64, device="cpu")
    taps = window * torch.sinc(2 * CUTOFF * time)
    return (taps / taps.sum()).to(device, dtype)


def upsample(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(B, C, N) → (B, C, 2N), the ends held; `lengths` (B,) in samples of the input."""
    channels = x.shape[1]
    filters = kaiser_sinc(x.device, x.dtype).expand(channels, 1, -1)
    held = F.pad(hold_tail(x, lengths), (5, 5), mode="replicate")
    return 2 * F.conv_transpose1d(held, filters, stride=2, groups=channels)[..., 15:-15]


def downsample(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """(B, C, 2N) → (B, C, N), the ends held: 5 samples on the left, 6 on the right."""
    channels = x.shape[1]
    filters = kaiser_sinc(x.device, x.dtype).expand(channels, 1, -1)
    held = F.pad(hold_tail(x, lengths), (5, 6), mode="replicate")
    return F.conv1d(held, filters, stride=2, groups=channels)


class SnakeBeta(nn.Module):
    """x + sin²(αx)/β, with α and β per channel, stored as logarithms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) → (B, C, N)."""
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return x + (x * alpha).sin().square() / (beta + NO_ZERO_DIVISION)


class AntiAliasedSnake(nn.Module):
    """Upsample ×2, activate, downsample ×2: the new harmonics above the Nyquist frequency are
    filtered out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.act = SnakeBeta(channels)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, C, N) → (B, C, N), zeros behind each of `lengths`; what stands there in `x` does not
        matter.
        """
        for kernel in (snake_cpu, snake_triton):
            if kernel.can_run(x):
                alpha, beta = self.act.alpha.exp(), self.act.beta.exp() + NO_ZERO_DIVISION
                return kernel.snake(x, alpha, beta, kaiser_sinc(x.device, torch.float32), lengths)
        doubled = None if lengths is None else 2 * lengths
        return zero_tail(downsample(self.act(upsample(x, lengths)), doubled), lengths)
