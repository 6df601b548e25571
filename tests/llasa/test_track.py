"""The phoneme track: what it writes can be read, and nothing else can come."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import CODEBOOK, prompts

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.text.phonemes import ALPHABET
from xcodec2.llasa.track import Timed, Track, phoneme_tokenizer, words_of
from xcodec2.llasa.vocabulary import DURATIONS, MARKS


@functools.cache
def track() -> Track:
    return Track.of(Prompts.of(phoneme_tokenizer(CODEBOOK)))


def test_each_phoneme_is_one_token_and_text_is_bytes():
    own = track().prompts
    for symbol in ALPHABET:
        assert len(own.symbol_ids(symbol)) == 1, symbol
    assert len(set(own.symbol_ids("".join(sorted(ALPHABET))).tolist())) == len(ALPHABET)
    assert own.tokenizer.decode(own.symbol_ids("Größe, 世 — ʃə…")) == "Größe, 世 — ʃə…"
    assert own.vocabulary.codebook_size == CODEBOOK
    assert all(mark in own.tokenizer.get_vocab() for mark in MARKS)


def test_the_prompt_has_no_instruction_to_speak_and_those_of_other_tasks():
    own = track().prompts
    assert len(own.before) == len(own.between) == 0
    assert len(own.frames["asr"][0]) > 10


def test_a_row_says_each_symbol_then_its_duration_then_its_codes():
    own = track()
    ids = own.row("hə.", [1, 2, 0, 1, 1], [5, 6, 7, 8, 9])
    names = own.prompts.tokenizer.convert_ids_to_tokens(ids)
    shown = "<|pause|> <|d_1|> <|s_5|> h <|d_2|> <|s_6|> <|s_7|> É Ļ <|d_0|> . <|d_1|> <|s_8|>"
    assert "".join(names) == f"{shown} <|pause|> <|d_1|> <|s_9|>".replace(" ", "").replace(
        "ÉĻ", own.prompts.tokenizer.convert_ids_to_tokens(own.symbols("ə"))[1]
    )
    assert own.codes(ids).tolist() == [5, 6, 7, 8, 9]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rows_are_read_back(data):
    text = data.draw(st.text(sorted(ALPHABET), min_size=1, max_size=12))
    steps = data.draw(st.lists(st.integers(0, 5), min_size=len(text) + 2, max_size=len(text) + 2))
    codes = np.random.default_rng(0).integers(CODEBOOK, size=sum(steps))
    own = track()
    ids = own.row(text, steps, codes)
    assert own.codes(ids).tolist() == codes.tolist()
    found = own.times(ids)
    assert [one.text for one in found] == ["", *text, ""]
    assert [one.stop - one.start for one in found] == steps
    assert [one.start for one in found] == np.cumsum([0, *steps[:-1]]).tolist()
    choices = own.allowed(own.symbols(text))
    allowed = next(choices)
    for id in ids:
        assert id in allowed
        allowed = choices.send(id)
    assert allowed.tolist() == [own.prompts.vocabulary.speech_end]
    with pytest.raises(StopIteration):
        choices.send(allowed[0])


@pytest.mark.parametrize(
    ("durations", "count", "words"),
    [
        ([1, 2], 3, "2 durations for 4 phonemes and pauses"),
        ([1, 1, 1, 2], 4, "durations of 5 codes, but there are 4"),
        ([1, 1, 1, DURATIONS], DURATIONS + 3, f"a track has up to {DURATIONS - 1}"),
        ([1, 1, -1, 2], 3, "a duration"),
    ],
)
def test_what_does_not_belong_together_is_refused(durations, count, words):
    with pytest.raises(LlasaError, match=words):
        track().row("ab", durations, [0] * count)


def test_another_tokenizer_has_no_track():
    with pytest.raises(LlasaError, match="prepare the rows with --tokenizer phonemes"):
        Track.of(prompts())


def test_words_are_what_stands_between_spaces_and_pauses():
    times = track().times(track().row("ðə kæt.", [1, 2, 1, 1, 1, 2, 1, 0, 3], range(12)))
    assert words_of(times) == [Timed("ðə", 1, 4), Timed("kæt.", 5, 9)]
