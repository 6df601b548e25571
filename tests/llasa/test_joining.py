"""Pieces become one speech: silence cut, pauses as the punctuation says, equal loudness."""

from __future__ import annotations

import numpy as np
import pytest

from xcodec2.llasa.joining import (
    BEFORE,
    BEHIND,
    MAX_GAIN_DB,
    NO_MARK,
    PAUSES,
    join_pieces,
    pause_behind,
    spoken_part,
)

RATE = 16_000


def tone(seconds: float, loudness: float = 0.1) -> np.ndarray:
    places = np.arange(round(seconds * RATE))
    return (loudness * np.sin(2 * np.pi * 220 * places / RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(round(seconds * RATE))
    return (noise * 1e-5).astype(np.float32)


def test_speech_without_silence_stays_as_it_is():
    speech = tone(0.5)
    assert np.array_equal(join_pieces([("One.", speech)], RATE), speech)


def test_silence_at_both_ends_is_cut_and_breath_stays():
    speech = np.concatenate([silence(0.8), tone(0.5), silence(0.3), tone(0.4), silence(2.0)])
    made = join_pieces([("One.", speech)], RATE)
    assert len(made) / RATE == pytest.approx(0.5 + 0.3 + 0.4 + BEFORE + BEHIND, abs=0.021)
    assert made[0] == made[-1] == 0
    begin = round((0.8 - BEFORE) * RATE)
    assert np.array_equal(
        made[1000:9000], speech[begin + 1000 : begin + 9000]
    )  # not moved, not changed


def test_quiet_speech_is_no_silence():
    speech = np.concatenate([silence(0.8) * 0, tone(0.5, 0.002), silence(1.0) * 0])
    assert len(join_pieces([("One.", speech)], RATE)) / RATE == pytest.approx(0.65, abs=0.021)


@pytest.mark.parametrize("kept", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("mark", [".", ",", ""])
def test_pauses_between_pieces_are_as_the_punctuation_says(mark, kept):
    piece = np.concatenate([silence(kept), tone(0.5), silence(kept)])
    made = join_pieces([(f"One{mark}", piece), ("Two.", piece)], RATE)
    loud = np.flatnonzero(np.abs(made) > 0.02)
    gaps = np.diff(loud)
    expected = PAUSES.get(mark, NO_MARK)
    assert int(gaps.max()) / RATE == pytest.approx(expected, abs=0.021)


def test_marks_are_found_behind_quotes():
    assert pause_behind('"Come in," he said. "Now!" ') == PAUSES["!"]
    assert pause_behind("He paid 5") == NO_MARK


def test_pieces_are_as_loud_as_the_first():
    loud, quiet, faint = tone(0.5, 0.2), tone(0.5, 0.13), tone(0.5, 0.01)
    made = join_pieces([("One.", loud), ("Two.", quiet), ("Three.", faint)], RATE)
    parts = [made[start : start + 8000] for start in (0, len(loud) + 6400, 2 * len(loud) + 12800)]
    peaks = [float(np.abs(part).max()) for part in parts]
    assert peaks[0] == pytest.approx(0.2, rel=1e-3)
    assert peaks[1] == pytest.approx(0.2, rel=1e-3)
    assert peaks[2] == pytest.approx(0.01 * 10 ** (MAX_GAIN_DB / 20), rel=1e-3)  # no more is sound


def test_no_gain_clips():
    peaky = tone(0.5, 0.05)
    peaky[4000] = 0.9
    made = join_pieces([("One.", tone(0.5, 0.3)), ("Two.", peaky)], RATE)
    assert float(np.abs(made).max()) <= 0.991


def test_silent_pieces_are_left_out_unless_all_are():
    spoken, none = tone(0.5), np.zeros(8000)
    assert np.array_equal(join_pieces([("Hm.", none), ("One.", spoken)], RATE), spoken)
    assert np.array_equal(join_pieces([("Hm.", none), ("Hm.", none)], RATE), np.zeros(16_000))
    assert spoken_part(np.zeros(0), RATE) is None
