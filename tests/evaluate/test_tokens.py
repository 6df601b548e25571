"""What is measured of codes, against examples computed by hand."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from paths import GOLDENS
from unit_pairs import unit_pairs

from xcodec2.evaluate.metrics.metric import Pair
from xcodec2.evaluate.metrics.unit_edit import (
    UnitEdit,
    in_a_room,
    unit_edit_distance,
    without_repeats,
)
from xcodec2.evaluate.probing.codes import (
    held_out_pnmi,
    naive_bayes,
    phone_fit,
    pnmi_extrapolated,
    usual_phones,
    zipf_slope,
)
from xcodec2.evaluate.probing.compression import bpe, ngram_bits
from xcodec2.evaluate.probing.phonology import Sound, shares, sounds_of


def by_the_book(left: list[int], right: list[int]) -> int:
    """Levenshtein distance by its recursion."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, two in enumerate(right, 1):
            change = before + (one != two)
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, change)
    return row[-1]


def test_unit_edit_distance_is_the_levenshtein_distance_over_the_clean_codes():
    rng = np.random.default_rng(0)
    for _ in range(20):
        left, right = rng.integers(0, 4, rng.integers(1, 15)), rng.integers(0, 4, 9)
        wanted = by_the_book(left.tolist(), right.tolist()) / len(left)
        assert unit_edit_distance(left, right) == pytest.approx(wanted)
    shifted = np.arange(100)
    assert unit_edit_distance(shifted, shifted[1:]) == 0.01
    assert without_repeats(np.array([3, 3, 4, 4, 4, 3])).tolist() == [3, 4, 3]
    assert without_repeats(np.array([], int)).tolist() == []


def test_unit_edit_distance_agrees_with_others_packages():
    """mseb and editdistance, by `make_ued.py`; merged, it is the distance of Gat et al."""
    wanted = json.loads((GOLDENS / "ued.json").read_text())
    pairs = unit_pairs()
    plain = [unit_edit_distance(*pair) for pair in pairs]
    merged = [unit_edit_distance(*map(without_repeats, pair)) for pair in pairs]
    assert plain == pytest.approx(wanted["plain"], abs=1e-9)
    assert merged == pytest.approx(wanted["merged"], abs=1e-9)
    assert np.mean(plain) == pytest.approx(np.mean(wanted["plain"]), abs=1e-3)
    assert plain[0] == 0 < min(plain[1:])


def test_unit_edit_is_zero_of_codes_that_mind_nothing_and_absent_without_codes():
    speech = np.sin(np.arange(16_000) / 5).astype(np.float32)
    constant = np.zeros(50, int)
    pair = Pair(speech, speech, codes=constant, encode=lambda audio: constant)
    found = UnitEdit()(pair)
    assert set(found) == {column.name for column in UnitEdit.columns}
    assert set(found.values()) == {0.0}
    assert UnitEdit()(Pair(speech, speech)) == {}
    room = in_a_room(speech)
    assert np.square(room).mean() == pytest.approx(np.square(speech).mean(), rel=1e-3)
    assert np.abs(room - speech).max() > 0.1


def test_zipf_slope():
    assert zipf_slope(1000 / np.arange(1, 200)) == pytest.approx(-1)
    assert zipf_slope(np.full(50, 7)) == pytest.approx(0)
    assert zipf_slope(np.array([5])) is None


def test_ngrams_by_hand():
    """Unigrams after a a b over 4 codes: (count + 2 · 1/4) / (3 + 2)."""
    bits = ngram_bits([np.array([0, 0, 1])], [np.array([0])], 4, 1)
    assert bits == pytest.approx([-math.log2(2.5 / 5)])
    # b after a: unigram (1 + .5)/5 = .3; after a come a and b, once each: (1 + 2 · .3)/(2 + 2).
    bits = ngram_bits([np.array([0, 0, 1])], [np.array([0, 1])], 4, 2)
    assert bits[1] == pytest.approx(-(math.log2(2.5 / 5) + math.log2(1.6 / 4)) / 2)
    # A code that was never met still has a share, and nothing is learned of noise.
    noise = np.random.default_rng(0).integers(0, 16, 4000)
    assert min(ngram_bits([noise[:3000]], [noise[3000:]], 16, 3)) > 3.99
    cycle = np.arange(3000) % 16
    assert ngram_bits([cycle[:2000]], [cycle[2000:]], 16, 3)[1:] == pytest.approx([0, 0], abs=0.1)


def test_bpe_merges_what_repeats_and_nothing_else():
    word = [5, 65_535, 0, 9]
    merges, tokens = bpe([np.array(word * 50)], [np.array(word * 4)])
    assert (merges >= 3, tokens <= 4) == (True, True)
    assert bpe([np.arange(100)], [np.arange(30)]) == (0, 30)


def test_pnmi_of_unseen_data_lies_between_held_out_and_plain():
    """Codes of 200 kinds that say a phone of 8 with a chance of .7."""
    rng = np.random.default_rng(0)
    phones = rng.integers(0, 8, 60_000)
    told = np.where(rng.random(60_000) < 0.7, phones, rng.integers(0, 8, 60_000))
    codes = told * 25 + rng.integers(0, 25, 60_000)
    truth = phone_fit(told, phones).pnmi
    few = slice(0, 6000)
    training = np.arange(6000) < 4800
    plain = phone_fit(codes[few], phones[few]).pnmi
    held_out = held_out_pnmi(codes[few], phones[few], training)
    assert held_out < truth < plain
    guess = pnmi_extrapolated(codes[few], phones[few])
    assert abs(guess - truth) < abs(plain - truth) / 3
    assert held_out_pnmi(codes, phones, np.arange(60_000) < 50_000) == pytest.approx(
        truth, abs=0.02
    )


def test_held_out_pnmi_by_hand():
    """Phones a, a, b learned with code 1: (2 + 2 · 3/5) / (3 + 2) for a."""
    codes, phones = np.array([1, 1, 1, 1, 2]), np.array(list("aabaa"))
    training = np.array([True, True, True, False, False])
    mine, seen, unseen = 3 / 5, (2 + 2 * 3 / 5) / 5, 3 / 5
    wanted = 1 - (-math.log2(seen) - math.log2(unseen)) / (-2 * math.log2(mine))
    assert held_out_pnmi(codes, phones, training) == pytest.approx(wanted)
    assert usual_phones(codes, phones, training).tolist() == list("aaaaa")


def test_naive_bayes_knows_speakers_by_their_codes():
    codes = [np.full(10, k % 2) for k in range(20)]
    classes = np.array([f"s{k % 2}" for k in range(20)])
    training = np.arange(20) < 12
    assert naive_bayes(codes, classes, training) == 1
    assert naive_bayes([np.zeros(10, int)] * 20, classes, training) == 0.5


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ("p pp sh zh a aa y yy ur sch ay",
         {"y": "close vowel", "aa": "open vowel", "sh": "fricative"}),
        ("P AA1 SH Y UW0 HH NG JH", {"Y": "approximant", "JH": "affricate", "AA1": "open vowel"}),
        ("p aː ʃ j ŋ tʰ ɡ aɪ", {"j": "approximant", "tʰ": "plosive", "aɪ": "open vowel"}),
    ],
)  # fmt: skip
def test_phones_are_read_in_the_alphabet_that_knows_them(labels, wanted):
    found = sounds_of(dict.fromkeys([*labels.split(), "pau"], 10))
    assert found is not None
    assert {label: found[label].manner for label in wanted} == wanted
    assert "pau" not in found


def test_unknown_phones_have_no_articulation():
    assert sounds_of({"1": 10, "2": 20, "a": 5}) is None
    assert sounds_of({"sil": 10}) is None


def test_confusions_by_hand():
    sounds = {"p": Sound("plosive", "labial", False), "b": Sound("plosive", "labial", True),
              "s": Sound("fricative", "coronal", False)}  # fmt: skip
    pairs = Counter({("p", "p"): 5, ("p", "b"): 3, ("s", "p"): 1, ("s", "pau"): 1})
    found = shares(pairs, sounds)
    assert (found["manner"], found["place"], found["voicing"]) == (0.8, 0.8, 0.6)
    assert (found["right_plosive"], found["right_fricative"]) == (5 / 8, 0)
    assert found["confusions"][0] == {"phone": "p", "taken_for": "b", "share": 0.3}
    assert found["confusions_text"] == "p as b, s as p, s as pau"
