"""How many codes stay when speech changes in ways that nobody means: level, noise, rate, start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import soxr

from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair

GAIN = 10 ** (-6 / 20)
NOISE = 10 ** (-30 / 20)  # of the speech's RMS
OTHER_RATE = 44_100  # Hz
SHIFT = 80  # samples, a quarter of a frame at 50 codes a second


class Invariance(Metric):
    """Share of codes kept under four changes; of systems that have codes."""

    name = "invariance"
    columns = (
        Column("kept_gain", "kept: gain", "higher", 3,
               "share of codes that stay at -6 dB", per_file=False),
        Column("kept_noise", "kept: noise", "higher", 3,
               "share of codes that stay with noise 30 dB below", per_file=False),
        Column("kept_resampled", "kept: 44.1 kHz", "higher", 3,
               "share kept from 16 to 44.1 kHz and back", per_file=False),
        Column("kept_shift", "kept: shift", "higher", 3,
               "share that stay when speech comes 5 ms later", per_file=False),
    )  # fmt: skip
    implementation = (
        "open-xcodec2: gain -6 dB, white noise at 30 dB, soxr VHQ, 80 samples of silence before"
    )

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """The shares; none of a system without codes."""
        if pair.encode is None or pair.codes is None:
            return {}
        return kept_codes(pair.encode, pair.original, pair.codes)


def kept_codes(
    encode: Callable[[np.ndarray], np.ndarray], waveform: np.ndarray, codes: np.ndarray
) -> dict[str, float]:
    """Encode changed speech and count the codes that stay.

    Args:
        encode: (N,) float32 at 16 kHz → (T,) codes.
        waveform: (N,) float32 at 16 kHz.
        codes: (T,), those of the unchanged waveform.

    Returns:
        kept_gain, kept_noise, kept_resampled and kept_shift, 0 to 1.
    """
    noise = np.random.default_rng(0).standard_normal(len(waveform)).astype(np.float32)
    level = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    there = soxr.resample(waveform, SAMPLE_RATE, OTHER_RATE, quality="VHQ")
    back = soxr.resample(there, OTHER_RATE, SAMPLE_RATE, quality="VHQ")
    changed = {
        "kept_gain": waveform * np.float32(GAIN),
        "kept_noise": waveform + np.float32(level * NOISE) * noise,
        "kept_resampled": back[: len(waveform)],
        "kept_shift": np.concatenate([np.zeros(SHIFT, np.float32), waveform]),
    }
    return {name: agreement(encode(audio), codes) for name, audio in changed.items()}


def agreement(codes: np.ndarray, wanted: np.ndarray) -> float:
    """Share of equal codes, place by place.

    Args:
        codes: (T,) integers.
        wanted: (T',) integers; the longer one is cut.

    Returns:
        0 to 1.
    """
    length = min(len(codes), len(wanted))
    return float(np.mean(codes[:length] == wanted[:length]))
