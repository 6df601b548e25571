"""Pieces of speech → one: what is silent at their ends is cut, pauses are as the punctuation says,
and all are as loud as the first.

What is loud is told by the frames' power, against the piece's own loudest ones, so that quiet
speech is no silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FRAME = 0.01  # s
LOUD = 0.95  # the quantile of the frames' power that silence is told by
SILENT_DB = -40.0  # to that; what is below is silence
NOTHING_DB = -70.0  # to full scale; speech is never so quiet
BEFORE, BEHIND = 0.05, 0.1  # s of a piece's silence that stay: breath and echo
FADE = 0.005  # s, where something was cut
MAX_GAIN_DB = 6.0
HEADROOM = 0.99
#: Seconds of silence behind a piece that ends so, and behind any other.
PAUSES = {
    **dict.fromkeys(".!?", 0.4),
    "…": 0.5,
    **dict.fromkeys(";:", 0.3),
    **dict.fromkeys("—–", 0.25),
    ",": 0.2,
}
NO_MARK = 0.15
CLOSING = "\"'”’»)]』」）"


@dataclass(frozen=True)
class LoudPart:
    """Where a piece is spoken, and how loud.

    Attributes:
        start: The first sample that is heard.
        stop: Behind the last.
        power: Mean square of what is heard.
    """

    start: int
    stop: int
    power: float


def spoken_part(waveform: np.ndarray, sample_rate: int) -> LoudPart | None:
    """What is spoken of a waveform (N,); None where all is silence."""
    size = max(1, round(FRAME * sample_rate))
    padded = np.pad(waveform.astype(np.float64), (0, -len(waveform) % size))
    power = np.square(padded.reshape(-1, size)).mean(1)
    if not len(power):
        return None
    limit = max(float(np.quantile(power, LOUD)) * decibels(SILENT_DB), decibels(NOTHING_DB))
    heard = np.flatnonzero(power >= limit)
    if not len(heard):
        return None
    first, last = int(heard[0]), int(heard[-1])
    return LoudPart(first * size, min((last + 1) * size, len(waveform)), float(power[heard].mean()))


def decibels(value: float) -> float:
    """The factor of a power."""
    return float(10 ** (value / 10))


def pause_behind(text: str) -> float:
    """Seconds of silence behind a text."""
    bare = text.rstrip().rstrip(CLOSING)
    return PAUSES.get(bare[-1:], NO_MARK)


def join_pieces(pieces: Sequence[tuple[str, np.ndarray]], sample_rate: int) -> np.ndarray:
    """One waveform of pieces of a text, each with what was said (N,); silent pieces are left out.

    Args:
        pieces: In their order.
        sample_rate: Of all.

    Returns:
        (N,).
    """
    parts: list[np.ndarray] = []
    first: LoudPart | None = None
    pause = 0
    for text, waveform in pieces:
        spoken = spoken_part(waveform, sample_rate)
        if spoken is None:
            continue
        begin = max(0, spoken.start - round(BEFORE * sample_rate))
        end = min(len(waveform), spoken.stop + round(BEHIND * sample_rate))
        part = faded(waveform[begin:end], begin > 0, end < len(waveform), sample_rate)
        if first is None:
            first = spoken
        else:
            part = part * gain(first.power, spoken.power, part)
            silence = max(0, pause - (spoken.start - begin))
            parts.append(np.zeros(silence, part.dtype))
        parts.append(part)
        pause = round(pause_behind(text) * sample_rate) - (end - spoken.stop)
    return np.concatenate(parts or [waveform for _, waveform in pieces])


def gain(wanted: float, power: float, waveform: np.ndarray) -> float:
    """The factor that makes a piece as loud as another, as far as that is sound."""
    most, least = decibels(MAX_GAIN_DB), decibels(-MAX_GAIN_DB)
    factor = min(most, max(least, wanted / power)) ** 0.5
    peak = float(np.abs(waveform).max())
    return min(factor, max(1.0, HEADROOM / peak)) if peak else factor


def faded(waveform: np.ndarray, start: bool, end: bool, sample_rate: int) -> np.ndarray:
    """The same with its cut ends faded."""
    size = min(len(waveform) // 2, round(FADE * sample_rate))
    if not size or not (start or end):
        return waveform
    ramp = np.linspace(0, 1, size, dtype=waveform.dtype)
    made = waveform.copy()
    if start:
        made[:size] *= ramp
    if end:
        made[-size:] *= ramp[::-1]
    return made
