"""The phoneme track: what it writes can be read, and nothing else can come."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import CODEBOOK, prompts
from transformers import LlamaConfig, LlamaForCausalLM

from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.generation.durations import Durations
from xcodec2.llasa.guard import most_codes_of_phonemes
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.text.phonemes import ALPHABET
from xcodec2.llasa.track import LONGEST_SYMBOL, Track, TrackSymbol, phoneme_tokenizer, spoken_words
from xcodec2.llasa.vocabulary import DURATIONS, MARKS

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


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


def test_a_row_names_symbols_two_before_their_durations_and_codes():
    own = track()
    ids = own.row("hə.", [1, 2, 0, 1, 1], [5, 6, 7, 8, 9])
    shown = "<|pause|>hə<|d_1|><|s_5|>.<|d_2|><|s_6|><|s_7|><|pause|><|d_0|><|d_1|><|s_8|>"
    assert own.prompts.tokenizer.decode(ids) == f"{shown}<|d_1|><|s_9|>"
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
    guide, read = own.guide(prompt_of(text)), []
    given, choices, lasts = next(guide)
    while len(read) + len(given) < len(ids):
        read += [*given, ids[len(read) + len(given)]]
        assert read == ids[: len(read)].tolist()
        assert read[-1] in choices.ids
        assert (lasts is None) == own.prompts.vocabulary.is_code(ids)[len(read) - 1]
        if lasts is not None:
            duration = int(lasts[choices.ids == read[-1]][0])
            assert read[-1] == own.durations[duration]
        given, choices, lasts = guide.send(read[-1])
    assert choices.ids.tolist() == [own.prompts.vocabulary.speech_end]


def prompt_of(text: str) -> np.ndarray:
    vocabulary = track().prompts.vocabulary
    ids = track().prompts.symbol_ids(text)
    row = [vocabulary.text_start, *ids, vocabulary.text_end, vocabulary.speech_start]
    return track().prompts.in_chat(np.array(row))


def test_a_model_on_a_track_says_every_phoneme_and_ends():
    """Random weights: what comes is noise, but each phoneme has as many codes as it says."""
    own = track()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(own.prompts.tokenizer), max_position_embeddings=2048, **SHAPE
    )
    model = LlamaForCausalLM(config).eval()
    lm = LanguageModel("random", model, own.prompts, LlasaMetadata(phonemes=True, track=True))
    backend, prompt = InProcess(lm), prompt_of("ab")
    (made,) = backend.generate([prompt], [3], Sampling())
    assert made.finished
    assert 0 < len(made.codes) < 4 * DURATIONS
    assert list(backend.stream(prompt, 3, Sampling())) == made.codes.tolist()
    (cut,) = backend.generate([prompt], [3], Sampling(max_tokens=10))
    assert not cut.finished
    assert cut.codes.tolist() == made.codes[: len(cut.codes)].tolist()
    (short,) = backend.generate([prompt], [3], Sampling(temperature=0))
    with torch.inference_mode():  # as transformers says, token by token
        ids = torch.from_numpy(prompt)[None]
        guide = own.guide(prompt)
        given, choices, lasts = next(guide)
        heard, durations, expected = [], [], []
        while True:
            ids = torch.cat([ids, torch.from_numpy(given)[None]], 1)
            scores = model(ids).logits[0, -1, torch.from_numpy(choices.ids)]
            token = int(choices.ids[int(scores.argmax())])
            if token == own.prompts.vocabulary.speech_end:
                break
            if lasts is None:
                heard.append(token)
            else:
                expected.append(
                    float(scores.double().softmax(-1) @ torch.from_numpy(lasts).double())
                )
                durations.append(round(sum(expected)) - sum(durations))
                token = int(own.durations[durations[-1]])
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
            given, choices, lasts = guide.send(token)
    assert own.prompts.vocabulary.to_codes(heard).tolist() == short.codes.tolist()
    assert len(heard) == sum(durations) == round(sum(expected))


def test_durations_are_what_is_expected_of_them_together():
    """The likeliest is 1 each time, and 2.2 on the mean: of ten, eight have 2, and two 3."""
    scores = np.log(np.array([0.01, 0.59, 0.01, 0.01, 0.38])).astype(np.float32)
    expected = float(np.exp(scores) @ np.arange(5))
    durations, lasts = Durations(), np.arange(5)
    drawn = [int(lasts[durations.next(scores, lasts)]) for _ in range(10)]
    assert sum(drawn) == round(10 * expected) == 22
    assert set(drawn) == {2, 3}
    backwards = Durations()  # a tokenizer may have them in another order
    places = [backwards.next(scores[::-1], lasts[::-1]) for _ in range(10)]
    assert [int(lasts[::-1][place]) for place in places] == drawn


def test_no_speech_is_longer_than_its_phonemes_can_need():
    """A model that always draws the longest duration that it may."""
    own, text = track(), "a" * 50
    guide = own.guide(prompt_of(text))
    _, choices, _ = next(guide)
    drawn: list[int] = []
    end = own.prompts.vocabulary.speech_end
    while end not in choices.ids:
        longest = max(choices.ids, key=lambda id: own.duration_of.get(int(id), 0))
        if int(longest) in own.duration_of:
            drawn.append(own.duration_of[int(longest)])
        _, choices, _ = guide.send(int(longest))
    assert len(drawn) == len(text) + 2
    assert sum(drawn) == most_codes_of_phonemes(len(text))
    assert max(drawn) < LONGEST_SYMBOL
    assert min(drawn) == 1  # none is left out for others' sake


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
    assert spoken_words(times) == [TrackSymbol("ðə", 1, 4), TrackSymbol("kæt.", 5, 9)]
