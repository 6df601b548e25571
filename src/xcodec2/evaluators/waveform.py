"""What every evaluator asks of a waveform."""

from __future__ import annotations

import numpy as np

from xcodec2.errors import UndefinedError

SAMPLE_RATE = 16_000  # Hz that all evaluators take


def checked(waveform: np.ndarray, *, min_seconds: float = 0.0) -> np.ndarray:
    """A waveform that can be evaluated.

    Args:
        waveform: (N,) at 16 kHz.
        min_seconds: Its least length.

    Returns:
        The same as contiguous float32.

    Raises:
        UndefinedError: It is not 1-D, not finite, silent, or too short.
    """
    samples = np.ascontiguousarray(waveform, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise UndefinedError("an evaluator takes a finite 1-D waveform at 16 kHz")
    if len(samples) < min_seconds * SAMPLE_RATE:
        raise UndefinedError(f"shorter than {min_seconds:g} s")
    if not samples.any():
        raise UndefinedError("silent")
    return samples
