"""No speech goes on for ever: what a text can need is an end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from talkers import CODEBOOK, prompts, small_llama
from transformers import LlamaForCausalLM

from xcodec2.identity import CodecIdentity
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.guard import (
    expected_codes,
    most_codes,
    most_codes_of_phonemes,
    most_codes_of_text,
)
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.llasa.sampling import Sampling

#: Sentences with the codes that hibari's voice has for them: phonemes, codes at 50 a second.
SPOKEN = [
    ("wˌi ˈɔl ɑɹ ðə wˈɜɹk ʌv jʊɹ hˈænd.", 117),
    ("ˌæt hɪz ɹˈIt hˈænd wʌz ɐ fˈIəɹi lˈɔ fɔɹ ðˌɛm.", 154),
    ("ɐ dˈipli θˈɔtfᵊl ˈɛsA.", 103),
]


@pytest.mark.parametrize(("phonemes", "codes"), SPOKEN)
def test_the_expected_length_is_about_that_of_a_voice(phonemes, codes):
    assert expected_codes(len(phonemes)) == pytest.approx(codes, rel=0.25)
    assert codes < most_codes_of_phonemes(len(phonemes)) <= 1.6 * expected_codes(len(phonemes))
    assert most_codes_of_phonemes(len(phonemes), 25) == most_codes_of_phonemes(len(phonemes)) // 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Weasels have eaten our phone system", 2.3),
        ("$1,234,567.89", 7.5),
        ("1984", 1.5),
        ("我们都是你手的工作", 3.0),
        ("Hm.", 0.8),
    ],
)
def test_text_may_be_spoken_twice_as_slowly_as_is_usual(text, seconds):
    assert 2 * 50 * seconds < most_codes_of_text(text) < 20 * 50 * seconds


def endless() -> LlamaForCausalLM:
    """Random weights that never end: codes alone are likely."""
    model = small_llama(tied=False)
    with torch.no_grad():
        model.lm_head.weight[prompts().vocabulary.speech_end] = 0
    return model


@pytest.mark.parametrize("phonemes", [False, True])
def test_a_model_that_never_ends_is_stopped(phonemes):
    metadata = LlasaMetadata(CodecIdentity("x", "0" * 16, CODEBOOK), phonemes=phonemes)
    backend = InProcess(LanguageModel("endless", endless(), prompts(), metadata))
    prompt = prompts().prompt("Hi.")
    (made,) = backend.generate([prompt], [0], Sampling(temperature=0))
    most = most_codes_of_phonemes(3) if phonemes else most_codes_of_text("Hi.")
    assert (len(made.codes), made.finished) == (most, False)
    (cut,) = backend.generate([prompt], [0], Sampling(temperature=0, max_tokens=5))
    assert len(cut.codes) == 5


def test_the_codes_of_a_voice_count_and_other_prompts_have_no_limit():
    own = prompts()
    with_voice = own.prompt("Hi.", "One two.", np.arange(40))
    assert most_codes(with_voice, own, False) == most_codes_of_text("One two. Hi.") - 40
    assert most_codes(own.asr_prompt(np.arange(9)), own, False) is None
    long = own.prompt("Hi.", "One.", np.zeros(900, np.int64))
    assert most_codes(long, own, False) == 1
