"""Inputs of the encoders: the Kaldi filter bank of w2v-BERT, and the log spectra of small models.

Pure functions on batches, on whatever device the waveform is. N samples, F fbank frames of 10 ms, T
codes.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from xcodec2.codec.cached_tensor import cached_tensor
from xcodec2.codec.config import FEATURE_HOP, FEATURE_RATE, FEATURE_WINDOW, MEL_BINS, PITCH_FFT
from xcodec2.codec.constants import (
    ENERGY_FLOOR,
    FBANK_FFT,
    FBANK_MEAN,
    FBANK_VARIANCE,
    LOG_SPECTRUM_CENTER,
    LOG_SPECTRUM_FLOOR,
    LOG_SPECTRUM_SCALE,
    MIN_MEL_HZ,
    PCM_SCALE,
    PITCH_BINS,
    POVEY_POWER,
    PREEMPHASIS,
    SPECTRA_SIDE,
    VARIANCE_FLOOR,
)
from xcodec2.codec.masking import mean_and_variance, valid_mask
from xcodec2.codec.step import Step


def precise_dtype(device: torch.device) -> torch.dtype:
    """float64 where the device has it: differences of large powers lose codes in float32, and it
    costs little.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def hz_to_mel(hertz: Tensor) -> Tensor:
    """Frequencies in Hz → mel, by Kaldi's formula."""
    return 1127.0 * torch.log1p(hertz / 700.0)


@cached_tensor
def mel_filters(n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(n_fft/2 + 1, 80): Kaldi's triangles, whose slopes are straight lines on the mel axis."""
    exact: Any = {"dtype": torch.float64, "device": "cpu"}
    bins = hz_to_mel(torch.arange(n_fft // 2 + 1, **exact) * FEATURE_RATE / n_fft)
    low, high = hz_to_mel(torch.tensor([MIN_MEL_HZ, FEATURE_RATE / 2], **exact))
    edges = low + (high - low) * torch.arange(MEL_BINS + 2, **exact) / (MEL_BINS + 1)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).to(device, dtype)


@cached_tensor
def povey_window(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(400,): a non-periodic Hann window to the power 0.85."""
    hann = torch.hann_window(FEATURE_WINDOW, periodic=False, dtype=torch.float64, device="cpu")
    return hann.pow(POVEY_POWER).to(device, dtype)


def kaldi_fbank(waveform: Tensor) -> Tensor:
    """(B, N) → (B, F, 80) log mel energies as Kaldi computes them, F = (N - 400)//160 + 1 (no
    dither).
    """
    dtype = precise_dtype(waveform.device)
    frames = (waveform.to(dtype) * PCM_SCALE).unfold(-1, FEATURE_WINDOW, FEATURE_HOP)
    frames = frames - frames.mean(-1, keepdim=True)
    previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    frames = (frames - PREEMPHASIS * previous) * povey_window(waveform.device, dtype)
    energies = power_of(torch.fft.rfft(frames, FBANK_FFT)) @ mel_filters(
        FBANK_FFT, waveform.device, dtype
    )
    return energies.clamp(min=ENERGY_FLOOR).log()


def normalize_fbank(
    fbank: Tensor, lengths: Tensor | None = None, moments: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Zero mean and unit variance per mel bin over the utterance, zeros behind its end.

    fbank (B, F, 80), lengths (B,) in fbank frames. `moments` (mean, variance), each broadcastable
    to (B, 1, 80), replace the batch's own: a window of a long file must be normalized like the
    whole file.
    """
    mean, variance = moments or mean_and_variance(fbank, lengths, unbiased=True)
    normal = (fbank - mean) / (variance + VARIANCE_FLOOR).sqrt()
    return normal if lengths is None else normal * valid_mask(lengths, fbank.shape[1])[..., None]


def speech_moments() -> tuple[Tensor, Tensor]:
    """Mean and variance for `normalize_fbank` that no utterance has a part in."""
    plain: Any = {"dtype": torch.float32, "device": "cpu"}
    return torch.tensor(FBANK_MEAN, **plain), torch.tensor(FBANK_VARIANCE, **plain)


def stack_frames(features: Tensor, stack: int) -> Tensor:
    """(B, F, D) → (B, F//stack, stack·D): neighbors side by side, an incomplete last group
    dropped.
    """
    batch, frames, width = features.shape
    return features[:, : frames - frames % stack].reshape(batch, frames // stack, stack * width)


def surrounded(
    waveform: Tensor, step: Step, hop: int, before: int, behind: int | None = None
) -> Tensor:
    """(B, t·hop) new samples of streams → those of the t frames that are complete by now, and so
    many samples `before` and `behind` (as many unless given) them.
    """
    behind = before if behind is None else behind
    early, late = math.ceil(before / hop), math.ceil(behind / hop)
    longer = step.extended(waveform.unflatten(1, (-1, hop)), early + late, 1).flatten(1)
    step.delay += late
    first = early * hop - before
    return longer[:, first : first + before + waveform.shape[1] + behind]


def log_spectra(waveform: Tensor) -> Tensor:
    """(B, N + 2·SPECTRA_SIDE) → (B, N/160, 160): log mel bins, and the lowest linear bins of a
    longer window for the pitch.

    Frames are centered on their 160 samples and silence surrounds the waveform, so frame i of a
    padded item sees what it would see alone. Computed in `precise_dtype`, because the logarithm of
    a quiet bin beside loud ones would hold the rounding of these; given as float32. Not normalized
    by utterance: this branch must see the level.
    """
    filters = mel_filters(FBANK_FFT, waveform.device, precise_dtype(waveform.device))
    mel = centered_magnitudes(waveform, FBANK_FFT) @ filters
    pitch = centered_magnitudes(waveform, PITCH_FFT, PITCH_BINS)
    return log_scaled(torch.cat([mel, pitch], dim=-1)).float()


def log_scaled(magnitudes: Tensor) -> Tensor:
    """Logarithms, of about zero mean and unit variance in speech."""
    return (
        magnitudes.clamp(min=LOG_SPECTRUM_FLOOR).log() - LOG_SPECTRUM_CENTER
    ) / LOG_SPECTRUM_SCALE


def power_of(spectrum: Tensor) -> Tensor:
    """Squares of complex numbers' magnitudes; PyTorch's `abs`, which minds overflow, takes ten
    times as long.
    """
    real, imaginary = spectrum.real, spectrum.imag
    return real * real + imaginary * imaginary


def centered_magnitudes(waveform: Tensor, n_fft: int, bins: int | None = None) -> Tensor:
    """(B, N + 2·SPECTRA_SIDE) → (B, N/160, bins) magnitudes in `precise_dtype`, scaled so that the
    window's length does not show; all n_fft/2 + 1 bins, or the lowest.
    """
    dtype = precise_dtype(waveform.device)
    unused = SPECTRA_SIDE - (n_fft - FEATURE_HOP) // 2
    window = torch.hann_window(n_fft, dtype=dtype, device=waveform.device)
    inner = waveform[:, unused : waveform.shape[1] - unused].to(dtype)
    frames = inner.unfold(-1, n_fft, FEATURE_HOP) * window
    spectrum = torch.fft.rfft(frames)[..., :bins]
    if spectrum.requires_grad:  # a root has no slope at 0
        return spectrum.abs() / math.sqrt(n_fft)
    return (power_of(spectrum) / n_fft).sqrt_()
