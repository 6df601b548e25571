"""Fundamental frequency by YIN (de Cheveigné and Kawahara, 2002), and what a codec does to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from xcodec2.errors import UndefinedError
from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair

HOP = 160
WINDOW = 512  # samples that are compared with those one period later: two periods of 62 Hz
MIN_PITCH, MAX_PITCH = 60.0, 500.0  # Hz
DIP = 0.15  # the first period whose normalized difference falls below this is taken
VOICED = 0.45  # a frame whose best period is worse has no pitch; about what Praat calls voiced
QUIET = 1e-4  # of the loudest frame's power (-40 dB): has no pitch that anyone hears
GROSS = 0.2  # a pitch that is off by more is another one (an octave error, mostly), not a bad copy


class F0(Metric):
    """What happened to the voice's pitch."""

    name = "f0"
    columns = (
        Column("f0_cents", "F0 error", "lower", 1,
               "RMS cents where voiced in both, gross errors left out"),
        Column("f0_gross", "F0 gross", "lower", 3,
               "share of frames voiced in both that are off by over 20 %"),
        Column("voicing", "voicing error", "lower", 3,
               "share of frames that changed between voiced and unvoiced"),
    )  # fmt: skip
    implementation = "open-xcodec2: YIN, 60 to 500 Hz, every 10 ms"

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """Those of the columns that are defined; none where the original has no pitch at all."""
        pitch = pitch_errors(pair.of_original(self.name, yin), yin(pair.decoded))
        values = {"f0_cents": pitch.cents, "f0_gross": pitch.gross, "voicing": pitch.voicing}
        return {name: value for name, value in values.items() if np.isfinite(value)}


class PitchErrors(NamedTuple):
    """What happened to the pitch.

    Attributes:
        cents: RMS over frames that are voiced in both and not grossly off; NaN without any.
        gross: Share of the frames voiced in both that are off by more than 20 %; NaN without any.
        voicing: Share of all frames that changed between voiced and unvoiced.
    """

    cents: float
    gross: float
    voicing: float


def compare_pitch(original: np.ndarray, decoded: np.ndarray) -> PitchErrors:
    """Compare the pitch of two waveforms, frame by frame of 10 ms.

    Args:
        original: (N,) at 16 kHz.
        decoded: The same.

    Returns:
        The errors.

    Raises:
        UndefinedError: No frame of the original has a pitch, or there is less than a frame.
    """
    return pitch_errors(yin(original), yin(decoded))


def pitch_errors(wanted: np.ndarray, got: np.ndarray) -> PitchErrors:
    """Compare two pitches.

    Args:
        wanted: (T,) Hz of the original, 0 where it has none.
        got: (T,) Hz of what was decoded.

    Returns:
        The errors.

    Raises:
        UndefinedError: No frame of the original has a pitch.
    """
    if not (wanted > 0).any():
        raise UndefinedError("no voiced frame in the original")
    both = (wanted > 0) & (got > 0)
    voicing = float(np.mean((wanted > 0) != (got > 0)))
    if not both.any():
        return PitchErrors(float("nan"), float("nan"), voicing)
    ratio = got[both] / wanted[both]
    gross = np.abs(ratio - 1) > GROSS
    cents = 1200 * np.log2(ratio[~gross])
    return PitchErrors(
        float(np.sqrt(np.mean(cents**2))) if len(cents) else float("nan"),
        float(gross.mean()),
        voicing,
    )


def yin(waveform: np.ndarray) -> np.ndarray:
    """The pitch of a waveform.

    Args:
        waveform: (N,) at 16 kHz.

    Returns:
        (F,) in Hz, every 10 ms; 0 where there is no pitch.

    Raises:
        UndefinedError: There is less than a frame.
    """
    longest = int(np.ceil(SAMPLE_RATE / MIN_PITCH)) + 1
    if len(waveform) < WINDOW + longest:
        raise UndefinedError("too short for a pitch")
    spans = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float64), WINDOW + longest)[
        ::HOP
    ]
    difference = normalized_difference(spans, longest)
    shortest = int(SAMPLE_RATE / MAX_PITCH)
    candidates = difference[:, shortest:]
    below = candidates < DIP
    chosen = np.where(below.any(1), below.argmax(1), candidates.argmin(1)) + shortest
    lag = np.array([descend(row, start) for row, start in zip(difference, chosen, strict=True)])
    value = difference[np.arange(len(lag)), lag]
    heads = spans[:, :WINDOW]
    power = np.square(heads).mean(1)
    # What does not move has every period, and no pitch.
    moves = (power > 1e-10) & (heads.var(1) > 1e-10)
    voiced = (value < VOICED) & (power > QUIET * power.max()) & moves
    return np.where(voiced, SAMPLE_RATE / refine(difference, lag), 0.0)


def normalized_difference(spans: np.ndarray, longest: int) -> np.ndarray:
    """(F, WINDOW + longest) → (F, longest + 1): the difference at each lag over its mean at shorter
    ones; 1 at 0.
    """
    size = 2 ** (WINDOW + longest - 1).bit_length()
    heads = np.fft.rfft(spans[:, :WINDOW], size)
    cross = np.fft.irfft(np.fft.rfft(spans, size) * heads.conj(), size)[:, : longest + 1]
    energy = np.cumsum(np.pad(np.square(spans), ((0, 0), (1, 0))), axis=1)
    shifted = energy[:, WINDOW : WINDOW + longest + 1] - energy[:, : longest + 1]
    difference = np.maximum(shifted[:, :1] + shifted - 2 * cross, 0)
    means = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, longest + 1)
    return np.concatenate(
        [np.ones((len(spans), 1)), difference[:, 1:] / np.maximum(means, 1e-12)], axis=1
    )


def descend(row: np.ndarray, lag: int) -> int:
    """From a lag to the bottom of the valley that it lies in."""
    while lag + 1 < len(row) and row[lag + 1] < row[lag]:
        lag += 1
    return lag


def refine(difference: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Lags to a fraction of a sample: the vertex of the parabola through each and its neighbors."""
    rows = np.arange(len(lag))
    inner = np.clip(lag, 1, difference.shape[1] - 2)
    left, middle, right = (difference[rows, inner + step] for step in (-1, 0, 1))
    curve = left - 2 * middle + right
    shift = np.where(curve > 1e-12, 0.5 * (left - right) / np.maximum(curve, 1e-12), 0.0)
    return np.where(inner == lag, lag + np.clip(shift, -1, 1), lag)
