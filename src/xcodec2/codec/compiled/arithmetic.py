"""What stands before and behind the layers, in NumPy: features, quantizer, inverse STFT.

The formulas are those of `features.py`, `quantizer.py` and `decoder.py`. B streams, N samples, F
fbank frames of 10 ms, T codes, K dimensions.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from xcodec2.codec.compiled.program import Array
from xcodec2.codec.config import (
    FEATURE_HOP,
    FEATURE_RATE,
    FEATURE_WINDOW,
    MEL_BINS,
    PITCH_FFT,
    XCodec2Config,
)
from xcodec2.codec.constants import (
    ENERGY_FLOOR,
    FBANK_FFT,
    FBANK_MEAN,
    FBANK_VARIANCE,
    LOG_SPECTRUM_CENTER,
    LOG_SPECTRUM_FLOOR,
    LOG_SPECTRUM_SCALE,
    MAX_MAGNITUDE,
    MIN_ENVELOPE,
    MIN_MEL_HZ,
    PCM_SCALE,
    PITCH_BINS,
    POVEY_POWER,
    PREEMPHASIS,
    RANGE_MARGIN,
    SPECTRA_SIDE,
    VARIANCE_FLOOR,
    XCODEC2_WINDOW,
)

# ---- features ------------------------------------------------------------------------------------


def framed(waveform: Array, size: int) -> Array:
    """(B, N) → (B, F, size), a hop apart, without a copy."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size, axis=-1)
    return frames[:, ::FEATURE_HOP]


@functools.cache
def mel_filters() -> Array:
    """(FBANK_FFT/2 + 1, 80) float64: Kaldi's triangles."""
    bins = mel(np.arange(FBANK_FFT // 2 + 1) * FEATURE_RATE / FBANK_FFT)
    low, high = mel(np.array([MIN_MEL_HZ, FEATURE_RATE / 2]))
    edges = low + (high - low) * np.arange(MEL_BINS + 2) / (MEL_BINS + 1)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.minimum(rising, falling).clip(min=0)


def mel(hertz: Array) -> Array:
    """Frequencies in Hz → mel, by Kaldi's formula."""
    return 1127.0 * np.log1p(hertz / 700.0)


@functools.cache
def hann(size: int) -> Array:
    """(size,) float64, periodic."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))


@functools.cache
def povey_window() -> Array:
    """(FEATURE_WINDOW,) float64: a symmetric Hann window to the power 0.85."""
    return np.asarray(np.hanning(FEATURE_WINDOW) ** POVEY_POWER)


def kaldi_fbank(waveform: Array) -> Array:
    """(B, N) → (B, F, 80) float64 log mel energies."""
    frames = framed(waveform.astype(np.float64) * PCM_SCALE, FEATURE_WINDOW)
    frames = frames - frames.mean(-1, keepdims=True)
    previous = np.concatenate([frames[..., :1], frames[..., :-1]], axis=-1)
    spectrum = np.fft.rfft((frames - PREEMPHASIS * previous) * povey_window(), FBANK_FFT)
    power = spectrum.real**2 + spectrum.imag**2
    return np.log(np.maximum(power @ mel_filters(), ENERGY_FLOOR))


def normalized(fbank: Array, finite: bool) -> Array:
    """Zero mean and unit variance of each mel bin, or where the field is finite those of speech."""
    mean, variance = FBANK_MEAN, FBANK_VARIANCE
    if not finite:
        mean = fbank.mean(1, keepdims=True)
        variance = np.square(fbank - mean).sum(1, keepdims=True) / (fbank.shape[1] - 1)
    return (fbank - mean) / np.sqrt(variance + VARIANCE_FLOOR)


def stacked(features: Array, stack: int) -> Array:
    """(B, F, D) → (B, F // stack, stack·D) float32."""
    batch, frames, width = features.shape
    whole = features[:, : frames - frames % stack].astype(np.float32)
    return whole.reshape(batch, frames // stack, stack * width)


def log_spectra(waveform: Array) -> Array:
    """(B, N + 2·SPECTRA_SIDE) → (B, N/160, 160) float64."""
    bins = magnitudes_of(waveform, FBANK_FFT) @ mel_filters()
    pitch = magnitudes_of(waveform, PITCH_FFT, PITCH_BINS)
    level = np.log(np.maximum(np.concatenate([bins, pitch], axis=-1), LOG_SPECTRUM_FLOOR))
    return (level - LOG_SPECTRUM_CENTER) / LOG_SPECTRUM_SCALE


def magnitudes_of(waveform: Array, n_fft: int, count: int | None = None) -> Array:
    """(B, N + 2·SPECTRA_SIDE) → (B, N/160, count) float64: all n_fft/2 + 1, or the lowest."""
    unused = SPECTRA_SIDE - (n_fft - FEATURE_HOP) // 2
    inner = waveform[:, unused : waveform.shape[1] - unused].astype(np.float64)
    spectrum = np.fft.rfft(framed(inner, n_fft) * hann(n_fft))[..., :count]
    return np.asarray(np.sqrt((spectrum.real**2 + spectrum.imag**2) / n_fft))


# ---- quantizer -----------------------------------------------------------------------------------


class Levels:
    """The arithmetic of one codebook.

    Args:
        levels: Of each dimension.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        exact = np.array([[(level - 1) * (1 + RANGE_MARGIN) / 2 for level in levels],
                          [0.0 if level % 2 else 0.5 for level in levels]])  # fmt: skip
        self.half, self.offset = exact.astype(np.float32)
        self.shift = np.arctanh(self.offset / self.half)
        self.center = np.array([level // 2 for level in levels])
        self.sizes = np.array(levels)
        self.radix = np.array([math.prod(levels[:k]) for k in range(len(levels))])

    def bound(self, x: Array) -> Array:
        """(…, K) → (…, K), squashed into the interval that rounds to each dimension's levels."""
        return np.tanh(x + self.shift) * self.half - self.offset

    def codes(self, projected: Array) -> tuple[Array, Array]:
        """(…, K) float32 → codes (…) int64, and how far each is from another (…)."""
        bounded = self.bound(self.bound(projected))
        digits = np.rint(bounded) + self.center
        middle = bounded - np.float32(0.5)
        margin = np.abs(middle - np.rint(middle)).min(-1)
        with np.errstate(invalid="ignore"):
            return (digits.astype(np.int64) * self.radix).sum(-1), margin

    def values(self, codes: Array) -> Array:
        """(…) → (…, K + 1) float32: the values that codes stand for, and a 1."""
        digits = codes[..., None] // self.radix % self.sizes
        found = np.ones((*codes.shape, len(self.sizes) + 1), np.float32)
        found[..., :-1] = (digits - self.center) / self.center
        return found


# ---- inverse STFT --------------------------------------------------------------------------------


class Synthesis:
    """Log-magnitudes and phases → windowed frames, and these laid over each other.

    Args:
        config: Of the model.
    """

    def __init__(self, config: XCodec2Config) -> None:
        self.n_fft, self.hop = config.n_fft, config.output_hop
        longer = config.n_fft / XCODEC2_WINDOW if config.feature_padding else 1.0
        self.loudest = np.float32(MAX_MAGNITUDE * max(1.0, longer))
        self.window = hann(config.n_fft).astype(np.float32)
        self.power = np.square(self.window)

    def frames(self, spectrum: Array) -> Array:
        """(B, T, n_fft + 2) → (B, T, n_fft) float32."""
        bins = spectrum.shape[-1] // 2
        with np.errstate(over="ignore"):
            magnitude = np.minimum(np.exp(spectrum[..., :bins]), self.loudest)
        phase = spectrum[..., bins:]
        parts = np.empty(phase.shape, np.complex64)
        parts.real, parts.imag = magnitude * np.cos(phase), magnitude * np.sin(phase)
        return np.fft.irfft(parts, self.n_fft).astype(np.float32, copy=False) * self.window

    def overlap_add(self, frames: Array) -> Array:
        """(B, T, n_fft) → (B, (T + 3)·hop)."""
        batch, count, _ = frames.shape
        parts = self.n_fft // self.hop
        out = np.zeros((batch, count + parts - 1, self.hop), np.float32)
        for part, piece in enumerate(np.split(frames, parts, axis=-1)):
            out[:, part : part + count] += piece
        return out.reshape(batch, -1)

    def whole(self, spectrum: Array) -> Array:
        """(1, T, n_fft + 2) → (1, T·hop)."""
        frames = self.frames(spectrum)
        side = (self.n_fft - self.hop) // 2
        power = np.broadcast_to(self.power, (1, *frames.shape[1:]))
        envelope = np.maximum(self.overlap_add(power)[:, side:-side], np.float32(MIN_ENVELOPE))
        return self.overlap_add(frames)[:, side:-side] / envelope
