"""Slaney's mel filter bank, as librosa and the published losses use it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from xcodec2.codec.cached_tensor import cached_tensor


@cached_tensor
def slaney_mel(n_fft: int, bins: int, sample_rate: int, device: torch.device) -> Tensor:
    """(bins, n_fft/2 + 1): triangles of equal area on Slaney's scale, linear below 1 kHz and
    logarithmic above.
    """
    top = _slaney_from_hertz(sample_rate / 2)
    exact: Any = {"dtype": torch.float64, "device": "cpu"}
    edges = torch.tensor([_slaney_to_hertz(top * i / (bins + 1)) for i in range(bins + 2)], **exact)
    hertz = torch.arange(n_fft // 2 + 1, **exact) * sample_rate / n_fft
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    area = 2 / (edges[2:] - edges[:-2])[:, None]
    return (torch.minimum(rising, falling).clamp(min=0) * area).float().to(device)


def _slaney_from_hertz(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def _slaney_to_hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) * (mel - 15) / 27)
