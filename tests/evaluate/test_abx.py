"""ABX against the reference package's figures, and against what must be so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from abx_corpus import FRAME_RATE, abx_corpus
from paths import GOLDENS

from xcodec2.corpus.labels import Interval
from xcodec2.evaluate.probing.abx import Item, abx, items_of, warped

MODES = {"within": False, "across": True}


@pytest.mark.parametrize("kind", ["vectors", "codes"])
@pytest.mark.parametrize("speakers", MODES)
@pytest.mark.parametrize("context", ["within", "any"])
def test_errors_are_those_of_the_reference_package(kind, speakers, context):
    wanted = json.loads((GOLDENS / "abx.json").read_text())["scores"]
    items = [
        item
        for _, speaker, vectors, codes, intervals in abx_corpus()
        for item in items_of(
            vectors if kind == "vectors" else codes, intervals, FRAME_RATE, speaker
        )
    ]
    found = abx(items, across_speakers=MODES[speakers], any_context=context == "any")
    assert found is not None
    assert found.error == pytest.approx(wanted[f"{kind}-{speakers}-{context}"], abs=1e-5)


def voices(codes_of, speakers=("x", "y", "z"), instances=4) -> list[Item]:
    rng = np.random.default_rng(0)
    return [
        Item(np.array([codes_of(phone, speaker, rng) for _ in range(4)]), phone, ("", ""), speaker)
        for speaker in speakers
        for phone in "abcde"
        for _ in range(instances)
    ]


def test_a_perfect_a_blind_and_a_speaker_bound_codec():
    def both(items):
        found = (abx(items, across_speakers=way, any_context=True) for way in (False, True))
        return [score.error for score in found]

    assert both(voices(lambda phone, speaker, rng: ord(phone))) == [0, 0]
    assert both(voices(lambda phone, speaker, rng: ord(speaker))) == [0.5, 0.5]
    # Codes that say the phone and the speaker at once are perfect for a speaker, and useless
    # across.
    assert both(voices(lambda phone, speaker, rng: ord(phone) * 128 + ord(speaker))) == [0, 0.5]
    blind = both(voices(lambda phone, speaker, rng: rng.integers(40)))
    assert all(0.35 < error < 0.65 for error in blind)


def test_where_there_is_no_triple_there_is_no_error():
    items = voices(lambda phone, speaker, rng: 1, speakers=("x",), instances=1)
    assert abx(items, across_speakers=False, any_context=True) is None
    assert abx(items, across_speakers=True, any_context=True) is None
    assert abx([], across_speakers=False, any_context=True) is None


def test_large_groups_are_sampled_alike_every_time():
    items = voices(lambda phone, speaker, rng: ord(phone) + rng.integers(3), instances=14)
    scores = {abx(items, across_speakers=False, any_context=True) for _ in range(2)}
    assert len(scores) == 1


def test_warping_follows_the_cheapest_path_and_divides_by_its_length():
    costs = np.ones((2, 3, 4), np.float32)
    costs[0, [0, 1, 1, 2], [0, 1, 2, 3]] = (0.0, 0.2, 0.2, 0.0)
    found = warped(costs, np.array([3, 2]), np.array([4, 2]))
    assert found == pytest.approx([0.4 / 4, 2 / 2])


def test_items_are_the_phones_with_their_neighbors():
    labels = [Interval(0, 0.1, "sil"), Interval(0.1, 0.2, "a"), Interval(0.2, 0.23, "b")]
    items = list(items_of(np.arange(20), labels, 50, "x"))
    assert [(item.phone, item.context, item.frames.tolist()) for item in items] == [
        ("a", ("sil", "b"), [5, 6, 7, 8]),
        ("b", ("a", ""), [10]),
    ]
