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


CHANGES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "copy": ("a copy: the ceiling", lambda waveform: waveform),
    "quiet": ("6 dB quieter", lambda waveform: waveform * np.float32(10 ** (-6 / 20))),
    "loud": ("20 dB louder, beyond ±1", lambda waveform: waveform * np.float32(10)),
    "inverted": ("inverted polarity", lambda waveform: -waveform),
    "delay": ("10 ms later", ten_ms_later),
    "noise-20": ("noise at 20 dB", lambda waveform: waveform + noise_like(waveform) / 10),
    "narrow": ("nothing above 2 kHz: a planted fault", without_treble),
    "gap": ("the middle quarter missing: a planted fault", gap),
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
