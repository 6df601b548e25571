"""Slaney's mel filter bank, as librosa and the published losses use it, and the log-mel spectra at
seven resolutions that training's loss and the evaluation's distance compare.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from xcodec2.codec.cached_tensor import cached_tensor

MEL_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
MEL_BINS = (5, 10, 20, 40, 80, 160, 320)
MAGNITUDE_FLOOR = 1e-5


def magnitudes(waveform: Tensor, window: int) -> Tensor:
    """Short-time spectra.

    Args:
        waveform: (B, N) of any floating type.
        window: Samples of the Hann window; the hop is a quarter of it.

    Returns:
        (B, window/2 + 1, frames) float32 magnitudes, none below the floor.
    """
    hann = torch.hann_window(window, dtype=torch.float32, device=waveform.device)
    spectrum = torch.stft(
        waveform.float(), window, window // 4, window=hann, return_complex=True, pad_mode="constant"
    )
    return (spectrum.real.square() + spectrum.imag.square() + MAGNITUDE_FLOOR**2).sqrt()


def log_mel(waveform: Tensor, window: int, sample_rate: int) -> Tensor:
    """Decimal logarithms of mel magnitudes.

    Args:
        waveform: (B, N).
        window: One of MEL_WINDOWS, in samples; each has its number of bins.
        sample_rate: In Hz.

    Returns:
        (B, bins, frames) float32.
    """
    bins = MEL_BINS[MEL_WINDOWS.index(window)]
    filters = slaney_mel(window, bins, sample_rate, waveform.device)
    return (filters @ magnitudes(waveform, window)).clamp(min=MAGNITUDE_FLOOR).log10()


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
