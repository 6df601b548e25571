"""Tokens and prompts: the published vocabulary, the literal prompt, what texts are refused, how
long ones are cut.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import CODEBOOK, base_tokenizer, prompts, speech_tokenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts, render, split_text
from xcodec2.llasa.vocabulary import SpeechVocabulary, extend_tokenizer

GOLDEN = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n"
    "Convert the text to speech:<|TEXT_UNDERSTANDING_START|>Hello there."
    "<|TEXT_UNDERSTANDING_END|><|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n<|SPEECH_GENERATION_START|>"
)
VOICED = GOLDEN.replace("Hello there.", "My voice. Hello there.") + "<|s_5|><|s_63|>"


def test_llama3_gets_the_published_ids():
    base = Tokenizer(models.WordLevel({f"w{i}": i for i in range(128_256)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=base)
    vocabulary = extend_tokenizer(tokenizer)
    assert tokenizer.convert_tokens_to_ids("<|TEXT_GENERATION_START|>") == 128_256
    marks = (
        vocabulary.text_start,
        vocabulary.text_end,
        vocabulary.speech_start,
        vocabulary.speech_end,
    )
    assert marks == (128_258, 128_259, 128_260, 128_261)
    assert (vocabulary.code_ids == np.arange(128_264, 193_800)).all()
    assert len(tokenizer) == 193_800


def test_the_literal_prompt():
    assert render(speech_tokenizer(), "Hello there.") == GOLDEN
    assert render(speech_tokenizer(), "My voice. Hello there.", "<|s_5|><|s_63|>") == VOICED


def test_prompt_ids_are_those_of_the_literal_prompt():
    def ids(literal: str) -> list[int]:
        return speech_tokenizer()(literal, add_special_tokens=False)["input_ids"]

    assert prompts().prompt("Hello there.").tolist() == ids(GOLDEN)
    assert prompts().prompt("Hello there.", "My voice.", np.array([5, 63])).tolist() == ids(VOICED)


@pytest.mark.parametrize(
    ("llama", "expected"),
    [
        (
            True,
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n"
            "Convert the text to speech:",
        ),
        (False, "Convert the text to speech:"),
    ],
)
def test_a_base_without_a_template_gets_one(llama, expected):
    tokenizer = base_tokenizer(None, llama)
    extend_tokenizer(tokenizer, 4)
    made = Prompts.of(tokenizer)
    assert tokenizer.decode(made.before) == expected
    between = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" if llama else ""
    assert tokenizer.decode(made.between) == between
    literal = tokenizer(render(tokenizer, "Hi."), add_special_tokens=False)["input_ids"]
    assert made.prompt("Hi.").tolist() == literal


def test_codes_survive_the_way_through_ids():
    vocabulary = SpeechVocabulary.of(speech_tokenizer())
    codes = np.arange(CODEBOOK)[::-1]
    assert (vocabulary.to_codes(vocabulary.to_ids(codes)) == codes).all()
    with pytest.raises(LlasaError, match="outside of 0…63"):
        vocabulary.to_ids([3, 64])
    with pytest.raises(LlasaError, match="at position 1 is no speech token"):
        vocabulary.to_codes([vocabulary.code_ids[0], vocabulary.speech_end])
    assert vocabulary.is_code(np.array([-1, vocabulary.code_ids[-1], 10**6])).tolist() == [
        False,
        True,
        False,
    ]


def test_ids_need_not_be_in_order():
    vocab = {token: id for id, token in enumerate(["<|s_1|>", "a", "<|s_0|>"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocab, unk_token="a"))
    )
    vocabulary = extend_tokenizer(tokenizer, 2)
    assert vocabulary.code_ids.tolist() == [2, 0]
    assert vocabulary.to_codes([0, 2]).tolist() == [1, 0]


def test_tokenizers_without_speech_are_refused():
    with pytest.raises(LlasaError, match="has no speech tokens"):
        Prompts.of(base_tokenizer())
    gap = base_tokenizer()
    extend_tokenizer(gap, 3)
    gap.add_tokens(["<|s_9|>"])
    with pytest.raises(LlasaError, match=r"4 speech tokens, but <\|s_3\|> is missing"):
        SpeechVocabulary.of(gap)


@pytest.mark.parametrize("text", ["", "  \n", "?!…", "—", "🙂"])
def test_texts_without_anything_to_speak_are_refused(text):
    for refuse in (prompts().prompt, split_text):
        with pytest.raises(LlasaError, match="no speakable characters"):
            refuse(text)


@pytest.mark.parametrize("token", ["<|eot_id|>", "<|s_7|>", "<|SPEECH_GENERATION_START|>"])
def test_texts_cannot_bring_control_tokens(token):
    with pytest.raises(LlasaError, match="control token"):
        prompts().prompt(f"Say {token} please")


def letters(model: models.Model, **more: str) -> Prompts:
    """A tokenizer that knows a, b, c, d, é and a space, and is made for speech."""
    tokenizer = Tokenizer(model)
    if isinstance(model, models.WordLevel):
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", **more)
    extend_tokenizer(fast, 4)
    return Prompts.of(fast)


KNOWN = {character: id for id, character in enumerate("abcdé ")}


@pytest.mark.parametrize("kind", ["unk", "dropped", "fused"])
def test_unknown_characters_are_named(kind):
    if kind == "unk":
        model = models.WordLevel({**KNOWN, "<unk>": 6}, unk_token="<unk>")
    elif kind == "fused":
        model = models.BPE({**KNOWN, "<unk>": 6}, [], unk_token="<unk>", fuse_unk=True)
    else:
        model = models.BPE(KNOWN, [])
    known = letters(model, **({} if kind == "dropped" else {"unk_token": "<unk>"}))
    assert len(known.text_ids("abc dé")) == 6
    with pytest.raises(
        LlasaError, match=r"does not know the character 'ß' \(U\+00DF\) in 'ab ßß c'"
    ):
        known.text_ids("ab ßß c")
    with pytest.raises(LlasaError, match=r"the character '你' \(U\+4F60\)"):
        known.prompt("abc你")
    if kind != "dropped":
        with pytest.raises(LlasaError, match="holds the control token <unk>"):
            known.text_ids("ab <unk> c")


def test_all_characters_are_known_byte_by_byte():
    assert len(prompts().text_ids("ß你\u0301 é")) == 2 + 3 + 2 + 1 + 2


def test_long_text_is_cut_at_sentences():
    first = "It was late, and the last train had left the station long ago."
    second = "Nobody was waiting there any more!"
    assert split_text(f"{first} {second}", 100) == [f"{first} {second}"]
    assert split_text(f'{first} "{second}" Why?', 70) == [first, f'"{second}" Why?']
    assert split_text(first, 30) == [
        "It was late,",
        "and the last train had left",
        "the station long ago.",
    ]
    assert split_text("你好。我们去吃饭吧！", 7) == ["你好。", "我们去吃饭吧！"]
    assert split_text("a" * 12, 5) == ["aaaaa", "aaaaa", "aa"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab1 ,.!?。，”\n"), min_size=1, max_size=120), st.integers(5, 30))
def test_cutting_loses_nothing_but_white_space(text, limit):
    if not any(character in "ab1" for character in text):
        return
    pieces = split_text(text, limit)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(any(character in "ab1" for character in piece) for piece in pieces)
