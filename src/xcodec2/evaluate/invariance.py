"""How many codes stay when speech changes in ways that nobody means: level, noise, rate, and when
it starts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr

SAMPLE_RATE = 16_000
QUIETER = 10 ** (-6 / 20)
NOISE_BELOW = 10 ** (-30 / 20)
OTHER_RATE = 44_100
SHIFT = 80  # samples, a quarter of a frame at 50 codes a second


def share_kept(
    encode: Callable[[np.ndarray], np.ndarray], waveform: np.ndarray, codes: np.ndarray
) -> dict[str, float]:
    """`encode` is (N,) at 16 kHz → (T,) codes; `codes` are those of the unchanged waveform."""
    noise = np.random.default_rng(0).standard_normal(len(waveform)).astype(np.float32)
    loudness = float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))
    there = soxr.resample(waveform, SAMPLE_RATE, OTHER_RATE, quality="VHQ")
    changed = {
        "kept_gain": waveform * np.float32(QUIETER),
        "kept_noise": waveform + np.float32(loudness * NOISE_BELOW) * noise,
        "kept_resampled": soxr.resample(there, OTHER_RATE, SAMPLE_RATE, quality="VHQ")[
            : len(waveform)
        ],
        "kept_shift": np.concatenate([np.zeros(SHIFT, np.float32), waveform]),
    }
    return {name: agreement(encode(audio), codes) for name, audio in changed.items()}


def agreement(codes: np.ndarray, wanted: np.ndarray) -> float:
    """Share of equal codes, place by place, over the shorter length."""
    length = min(len(codes), len(wanted))
    return float(np.mean(codes[:length] == wanted[:length]))
