"""STOI and ESTOI, by the package pystoi."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.signal.stoi import estoi, stoi

RATE = 10_000  # Hz at which pystoi compares


class STOI(Metric):
    """Short-time objective intelligibility, plain and extended; in time to a few milliseconds."""

    name = "stoi"
    columns = (
        Column("stoi", "STOI", "higher", 3, "intelligibility, 0 to 1", against_rate=True),
        Column("estoi", "ESTOI", "higher", 3, "intelligibility, extended", against_rate=True),
    )
    needs = ("pystoi",)

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """stoi and estoi; not defined with fewer than 30 frames of speech, or for silence."""
        if np.ptp(pair.decoded) and np.ptp(pair.original):
            # Resampled as pystoi does, but once for both and all systems.
            original, decoded = pair.of_original(self.name, at_its_rate), at_its_rate(pair.decoded)
            both = original, decoded, RATE
        else:
            both = pair.original, pair.decoded, pair.sample_rate
        return {"stoi": stoi(*both), "estoi": estoi(*both)}


def at_its_rate(waveform: np.ndarray) -> np.ndarray:
    """(N,) at 16 kHz → (M,) at 10 kHz, by pystoi's own filter."""
    from pystoi import utils

    resampled: np.ndarray = utils.resample_oct(waveform, RATE, SAMPLE_RATE)
    return resampled
