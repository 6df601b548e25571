"""Phonemes: what a text is read as, what counts as phonemes, and which models are given them."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import (
    base_tokenizer,
    prompts,
    small_codec,
    small_llama,
    speech_tokenizer,
    write_utterances,
)

from xcodec2.cli import xcodec2
from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.search import Search
from xcodec2.llasa.speaker import Speaker, Voice
from xcodec2.llasa.text import Phonemes, looks_like_phonemes, phonemes
from xcodec2.llasa.text.phonemes import ALPHABET, grapheme_to_phoneme
from xcodec2.llasa.training.prepare import Prepared, prepare
from xcodec2.llasa.training.rows import Rows
from xcodec2.llasa.training.train import rows_metadata

TABLE = {
    "Hello there.": "həlˈO ðˈɛɹ.",
    "I have 3 dogs.": "ˌI hæv θɹˈi dˈɔɡz.",
    "the apple, the pear": "ði ˈæpᵊl, ðə pˈɛɹ",
    "I read it. I will read it.": "ˌI ɹˈɛd ɪt. ˌI wɪl ɹˈid ɪt.",
    "I live here. A live show.": "ˌI lˈɪv hˈɪɹ. ɐ lˈIv ʃˈO.",
    "Dr. Smith": "dˈɑktəɹ smˈɪθ",
    "The FBI and NASA": "ði ˌɛfbˌiˈI ænd nˈæsə",
    "the US and us": "ðə jˌuˈɛs ænd ˌʌs",
    "It's OK!": "ˌɪts ˌOkˈA!",
    "Wait…what?": "wˈAt… wˌʌt?",
    "yes - no": "jˈɛs — nˈO",
    "A4 paper": "ˈAfˌɔɹ pˈApəɹ",
    "Q&A": "kjˈu ænd ˈA",
    "Plan A works": "plˈæn ˈA wˈɜɹks",
    "from A to Z": "fɹʌm ˈA tə zˈi",
    "A dog": "ɐ dˈɔɡ",
    "9:30am": "nˈIn θˈɜɹTi ˌAˈɛm",
    "20 km/h": "twˈɛnti kəlˈɑməTəɹz pɜɹ ˈWəɹ",
    "STOP SHOUTING NOW": "stˈɑp ʃˈWTɪŋ nˈW",
    "résumé": "ɹˌAsumˈA",
    "'Tis": "tˈiz",
    "WWW dot": "dˌʌbᵊljudˌʌbᵊljudˈʌbᵊlju dˈɑt",
}


@pytest.mark.parametrize(("text", "expected"), TABLE.items())
def test_texts_are_read(text, expected):
    assert phonemes(text) == expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_phonemes_or_one_error(text):
    try:
        heard = phonemes(text)
    except LlasaError:
        return
    assert ALPHABET.issuperset(heard)
    assert phonemes(heard) == heard


@settings(max_examples=60, deadline=None)
@given(st.from_regex("[A-Za-zÀ-ÖØ-öø-ÿ'’-]{1,12}", fullmatch=True).filter(str.isalpha))
def test_every_word_is_heard(word):
    alone, among = phonemes(word), phonemes(f"say {word} now")
    assert alone
    assert len(among.split()) >= 3


def test_every_pronunciation_of_the_lexicon_is_in_the_alphabet():
    lexicon = grapheme_to_phoneme().lexicon
    for entries in (lexicon.golds.d, lexicon.silvers.d):
        for value in entries.values():
            for heard in value.values() if isinstance(value, dict) else [value]:
                assert heard is None or ALPHABET.issuperset(heard)


def test_long_text_is_read_sentence_by_sentence():
    one = phonemes("The weather was fine in 1984.")
    assert phonemes("The weather was fine in 1984. " * 300) == " ".join([one] * 300)


@pytest.mark.parametrize("text", ["həlˈO ðˈɛɹ.", "kæt", "wˈAt… wˌʌt?", "gˈO"])
def test_phonemes_are_told_from_text(text):
    assert looks_like_phonemes(text)
    assert phonemes(text) == Phonemes(text) == text.replace("g", "ɡ")


@pytest.mark.parametrize("text", ["Hello there.", "sit…", "æon", "a — b", "", "I", "naïve"])
def test_text_is_told_from_phonemes(text):
    assert not looks_like_phonemes(text)


@pytest.mark.parametrize(
    ("text", "words"), [("həlˈo", r"'o' \(U\+006F\) is no phoneme"), (" .", "no phonemes in '.'")]
)
def test_what_is_no_phoneme_is_refused(text, words):
    with pytest.raises(LlasaError, match=words):
        Phonemes(text)


# --- models ---------------------------------------------------------------------------------------


def speaker(**metadata) -> tuple[Speaker, list[np.ndarray]]:
    """Of random weights; and the prompts that it is given."""
    backend = InProcess(LanguageModel("mine", small_llama(), prompts(), LlasaMetadata(**metadata)))
    given, inner = [], backend.generate
    backend.generate = lambda asked, *rest: given.extend(asked) or inner(asked, *rest)
    return Speaker(backend, small_codec()), given


@pytest.mark.filterwarnings("ignore:the model did not end")
def test_a_model_is_given_what_its_llasa_json_says():
    text, short = "Dr. Smith paid $5. He left.", Sampling(max_tokens=4)
    reads_text, given = speaker()
    reads_text.speak(text, sampling=short)
    assert np.array_equal(given[0], prompts().prompt(text))
    reads_phonemes, given = speaker(phonemes=True)
    spoken = reads_phonemes.speak(text, sampling=short, chunk=32)
    pieces = ["Doctor Smith paid five dollars.", "He left."]
    assert [piece for piece, _ in spoken.pieces] == pieces
    assert np.array_equal(given[0], prompts().prompt("dˈɑktəɹ smˈɪθ pˈAd fˈIv dˈɑləɹz."))
    first = spoken.pieces[0][1].codes
    said = prompts().prompt("hˌi lˈɛft.", phonemes(pieces[0]), first)
    assert np.array_equal(given[1], said)


@pytest.mark.filterwarnings("ignore:the model did not end")
def test_phonemes_are_spoken_as_they_are_with_a_voice_in_text():
    own, given = speaker(phonemes=True)
    voice = Voice("I have 3 dogs.", np.arange(5))
    own.speak(Phonemes("kˈæt"), voice=voice, sampling=Sampling(max_tokens=4))
    expected = prompts().prompt("kˈæt", phonemes(voice.text), voice.codes)
    assert np.array_equal(given[0], expected)


def test_phonemes_for_a_model_that_reads_text_are_an_error():
    with pytest.raises(LlasaError, match="reads text, not phonemes"):
        speaker()[0].speak(Phonemes("kˈæt"))


def test_a_search_needs_the_text():
    own, _ = speaker(phonemes=True)
    with pytest.raises(LlasaError, match="give text, not phonemes"):
        own.speak(Phonemes("kˈæt"), search=Search.parse("best-of-2"), verifier=lambda *parts: 0.0)


# --- rows -----------------------------------------------------------------------------------------


def test_rows_of_phonemes_train_a_model_that_reads_phonemes(tmp_path):
    write_utterances(tmp_path, ["I have 3 dogs.", "həlˈO.", "日本"])
    tokenizer = base_tokenizer(None, llama=False)
    made = prepare(
        tmp_path / "codes.parquet",
        tmp_path / "p",
        tokenizer,
        length=256,
        validation=0,
        phonemes=True,
    )
    assert made.rows["train"] == 2
    assert made.refused == {"not English": 1}
    assert Prepared.load(tmp_path / "p").phonemes
    own = Prompts.of(tokenizer)
    row = Rows(tmp_path / "p", "train")[0]
    ids = row[1 : int(np.argmax(row == own.vocabulary.text_end))]
    assert tokenizer.decode(ids) == "ˌI hæv θɹˈi dˈɔɡz."
    both = SimpleNamespace(rows=[str(tmp_path / "p"), str(tmp_path / "rows")])
    identity = small_codec().identity
    for rows, expected in ((both.rows[:1], True), (both.rows[1:], False)):
        recipe = SimpleNamespace(rows=rows, one_voice=False)
        assert rows_metadata(recipe, identity, ()).phonemes is expected
    with pytest.raises(LlasaError, match="prepare both alike"):
        rows_metadata(both, identity, ())


def test_llasa_json_of_older_models_means_text(tmp_path):
    LlasaMetadata(small_codec().identity, phonemes=True).save(tmp_path)
    assert LlasaMetadata.load(tmp_path).phonemes
    facts = json.loads((tmp_path / "llasa.json").read_text())
    del facts["phonemes"]
    (tmp_path / "llasa.json").write_text(json.dumps(facts))
    assert not LlasaMetadata.load(tmp_path).phonemes


# --- the command ----------------------------------------------------------------------------------


def run(*arguments: str):
    return CliRunner().invoke(xcodec2, ["speak", *arguments])


def test_the_command_shows_phonemes():
    assert run("I have 3 dogs.", "--phonemes").output == "ˌI hæv θɹˈi dˈɔɡz.\n"
    assert run("həlˈO", "--phonemes").output == "həlˈO\n"


def test_the_command_needs_an_output_or_phonemes():
    done = run("Hello.")
    assert done.exit_code == 2
    assert "Missing option '-o'" in done.output


def test_phonemes_are_shown_without_torch():
    code = (
        "import sys; from xcodec2.cli import xcodec2\n"
        "try: xcodec2(['speak', 'Hello.', '--phonemes'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "həlˈO.\n[]\n"


def test_a_model_that_reads_text_says_so(tmp_path):
    small_llama().save_pretrained(tmp_path / "lm")
    speech_tokenizer().save_pretrained(tmp_path / "lm")
    small_codec().save_pretrained(tmp_path / "codec")
    out = tmp_path / "a.wav"
    models = ["--lm", str(tmp_path / "lm"), "--model", str(tmp_path / "codec")]
    done = run("kˈæt", "--phonemes", "-o", str(out), *models)
    assert done.exit_code != 0
    assert isinstance(done.exception, LlasaError)
    assert "reads text" in str(done.exception)
    assert not out.exists()
