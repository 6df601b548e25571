"""Changes that make little speech go a long way. Waveforms are (N,) float32 NumPy arrays in [-1,
1].

Each draws from the `random.Random` that it is given and from nothing else.
"""

from __future__ import annotations

import random

import numpy as np
import soxr

from xcodec2.extras import require
from xcodec2.train.recipe import Augment

LOUDEST = 0.99
OCTAVES = 12.0  # semitones


def stretch_factor(options: Augment, rng: random.Random) -> tuple[float, float]:
    """(speed, tempo) of the next crop: how many samples of the source one sample of it takes."""
    speed = rng.uniform(*options.speed_range) if rng.random() < options.speed else 1.0
    tempo = rng.uniform(*options.tempo_range) if rng.random() < options.tempo else 1.0
    return speed, tempo


def augment(
    waveform: np.ndarray,
    rate: int,
    factors: tuple[float, float],
    options: Augment,
    rng: random.Random,
) -> np.ndarray:
    """A changed copy; its length is that of `waveform` divided by the factors."""
    speed, tempo = factors
    semitones = rng.uniform(*options.pitch_semitones) if rng.random() < options.pitch else 0.0
    if speed != 1.0:
        waveform = soxr.resample(waveform, speed * rate, rate, "MQ")
    if tempo != 1.0 or semitones:
        waveform = stretch(waveform, rate, tempo, semitones)
    if rng.random() < options.reverb:
        waveform = reverberate(waveform, rate, rng.uniform(*options.reverb_seconds), rng)
    if rng.random() < options.noise:
        waveform = add_noise(waveform, rng.uniform(*options.noise_snr_db), rng)
    if rng.random() < options.band:
        waveform = limit_band(waveform, rate, rng.uniform(*options.band_hz))
    decibels = rng.uniform(*options.gain_db) if rng.random() < options.gain else 0.0
    return scale(waveform, 10 ** (decibels / 20))


def scale(waveform: np.ndarray, gain: float) -> np.ndarray:
    """Louder or softer, never clipped."""
    loudest = float(np.abs(waveform).max(initial=1e-3))
    return (waveform * min(gain, LOUDEST / loudest)).astype(np.float32)


def stretch(waveform: np.ndarray, rate: int, tempo: float, semitones: float) -> np.ndarray:
    """Tempo without pitch and pitch without tempo (Signalsmith Stretch)."""
    python_stretch = require("python_stretch", extra="train", purpose="tempo and pitch")
    stretcher = python_stretch.Signalsmith.Stretch()
    stretcher.preset(1, rate)
    stretcher.setTransposeSemitones(semitones)
    stretcher.timeFactor = tempo
    return np.asarray(stretcher.process(np.ascontiguousarray(waveform[None], np.float32)))[0]


def add_noise(waveform: np.ndarray, snr_db: float, rng: random.Random) -> np.ndarray:
    """Gaussian noise whose spectrum falls by a random power of frequency, from white to brown."""
    generator = np.random.default_rng(rng.getrandbits(64))
    spectrum = np.fft.rfft(generator.standard_normal(len(waveform)))
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-rng.uniform(0, 1))
    spectrum[0] = 0  # no offset
    noise = np.fft.irfft(spectrum, len(waveform))
    wanted = float(np.sqrt(np.mean(np.square(waveform)))) * 10 ** (-snr_db / 20)
    return (waveform + noise * (wanted / max(float(noise.std()), 1e-9))).astype(np.float32)


def reverberate(waveform: np.ndarray, rate: int, seconds: float, rng: random.Random) -> np.ndarray:
    """A room of the given reverberation time (-60 dB): the direct sound, then noise that dies away."""
    generator = np.random.default_rng(rng.getrandbits(64))
    time = np.arange(max(2, int(seconds * rate))) / rate
    response = generator.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    response *= 10 ** (-rng.uniform(0, 12) / 20) / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    size = 1 << (len(waveform) + len(response) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)[
        : len(waveform)
    ]
    return wet.astype(np.float32)


def limit_band(waveform: np.ndarray, rate: int, hertz: float) -> np.ndarray:
    """Take away what is above `hertz`, as a lower sample rate would."""
    low = min(float(rate), 2 * hertz)
    if low >= rate or len(waveform) < 2:
        return waveform
    back = soxr.resample(soxr.resample(waveform, rate, low, "MQ"), low, rate, "MQ")
    return np.pad(back[: len(waveform)], (0, max(0, len(waveform) - len(back))))
