"""Speech changed in known ways, as systems: what each metric makes of a copy, of noise, and of
changes that nobody means.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.systems.system import Decoded

DELAY = SAMPLE_RATE // 100
NARROW_RATE = 4_000
BLOCK = 320  # samples from block to block, of pitch and whisper
SEARCH = 128  # samples that a block may be moved by, so that periods meet
SMOOTH = 9  # bins of 25 Hz: wider than a voice's harmonics are apart, narrower than formants


def noise_like(waveform: np.ndarray) -> np.ndarray:
    """(N,) white noise of the waveform's level."""
    level = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    drawn = np.random.default_rng(0).standard_normal(len(waveform))
    return (level * drawn).astype(np.float32)


def ten_ms_later(waveform: np.ndarray) -> np.ndarray:
    """10 ms later, cut at its end."""
    return np.concatenate([np.zeros(DELAY, np.float32), waveform[:-DELAY]])


def without_treble(waveform: np.ndarray) -> np.ndarray:
    """Nothing above 2 kHz: a planted fault, which every measure of quality must see."""
    low = soxr.resample(waveform, SAMPLE_RATE, NARROW_RATE, quality="VHQ")
    high = soxr.resample(low, NARROW_RATE, SAMPLE_RATE, quality="VHQ")[: len(waveform)]
    return np.pad(high, (0, len(waveform) - len(high)))


def gap(waveform: np.ndarray) -> np.ndarray:
    """Silence in place of the middle quarter: a planted fault that loses words."""
    changed = waveform.copy()
    changed[3 * len(changed) // 8 : 5 * len(changed) // 8] = 0
    return changed


def higher(semitones: float) -> Callable[[np.ndarray], np.ndarray]:
    """A change that moves the pitch, and formants with it; nothing comes earlier or later."""
    ratio = 2 ** (semitones / 12)

    def change(waveform: np.ndarray) -> np.ndarray:
        short = soxr.resample(waveform, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="VHQ")
        return stretched(short, len(waveform))

    return change


def stretched(waveform: np.ndarray, length: int) -> np.ndarray:
    """(N,) as (length,) of the same pitch, by WSOLA (Verhelst and Roelands, 1993): blocks at other
    distances, each moved to where it continues the one before.
    """
    size = 2 * BLOCK
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    padded = np.pad(waveform.astype(np.float64), (SEARCH, size + BLOCK + SEARCH))
    result = np.zeros(length + 2 * size)
    start = SEARCH
    for place in range(0, length, BLOCK):
        wanted = padded[start + BLOCK :][:size] if place else padded[start:][:size]
        middle = SEARCH + place * len(waveform) // length
        near = padded[middle - SEARCH : middle + SEARCH + size]
        start = middle - SEARCH + int(np.correlate(near, wanted).argmax())
        result[place : place + size] += window * padded[start : start + size]
    return result[:length].astype(np.float32)


def whispered(waveform: np.ndarray) -> np.ndarray:
    """Noise with the speech's spectral envelope: a planted fault that keeps words, not pitch."""
    size = 2 * BLOCK
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    count = -(-len(waveform) // BLOCK) + 1
    padded = np.pad(waveform.astype(np.float64), (BLOCK, count * BLOCK - len(waveform)))
    noise = np.random.default_rng(0).standard_normal(len(padded))
    result = np.zeros(len(padded))
    for start in range(0, count * BLOCK, BLOCK):
        power = np.abs(np.fft.rfft(window * padded[start : start + size])) ** 2
        envelope = np.sqrt(np.convolve(power, np.full(SMOOTH, 1 / SMOOTH), "same"))
        spectrum = np.fft.rfft(window * noise[start : start + size]) / np.sqrt(BLOCK)
        result[start : start + size] += window * np.fft.irfft(envelope * spectrum)
    return result[BLOCK : BLOCK + len(waveform)].astype(np.float32)


def swapped(waveform: np.ndarray) -> np.ndarray:
    """The second half before the first: a planted fault that every single sound survives."""
    middle = len(waveform) // 2
    return np.concatenate([waveform[middle:], waveform[:middle]])


CHANGES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "copy": ("a copy: the ceiling", lambda waveform: waveform),
    "quiet": ("6 dB quieter", lambda waveform: waveform * np.float32(10 ** (-6 / 20))),
    "loud": ("20 dB louder, beyond ±1", lambda waveform: waveform * np.float32(10)),
    "inverted": ("inverted polarity", lambda waveform: -waveform),
    "delay": ("10 ms later", ten_ms_later),
    "noise-20": ("noise at 20 dB", lambda waveform: waveform + noise_like(waveform) / 10),
    "narrow": ("nothing above 2 kHz: a planted fault", without_treble),
    "gap": ("the middle quarter missing: a planted fault", gap),
    "semitone": ("a semitone higher: a planted fault", higher(1)),
    "voice": ("five semitones higher, another voice: a planted fault", higher(5)),
    "whisper": ("noise in place of the voice: a planted fault", whispered),
    "swapped": ("the halves exchanged: a planted fault", swapped),
    "noise": ("noise alone: the floor", noise_like),
    "silence": ("silence", np.zeros_like),
}


class Change:
    """One of `CHANGES` as a system.

    Args:
        name: Of the change.

    Raises:
        XCodec2Error: There is none of that name.
    """

    def __init__(self, name: str) -> None:
        if name not in CHANGES:
            raise XCodec2Error(f"no change {name!r}; there are {', '.join(CHANGES)}")
        self.implementation, self.function = CHANGES[name]
        self.name = self.key = f"change:{name}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """(N,) at 16 kHz, changed."""
        return Decoded(np.asarray(self.function(waveform), np.float32))
