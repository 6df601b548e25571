"""Speaking: what is learned comes back, streams equal whole decoding, bad input is an error."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hints import install_hint
from talkers import (
    CODEBOOK,
    FEW,
    base_tokenizer,
    prompts,
    small_codec,
    small_llama,
    speech_tokenizer,
    utterances,
)
from tiny import speech

from xcodec2 import XCodec2Model
from xcodec2 import llasa as face
from xcodec2.cli import xcodec2
from xcodec2.errors import AudioError, CodesError, LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata, load_lm
from xcodec2.llasa.speaker import Speaker, codec_for

GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def backend(taught: Path) -> InProcess:
    return InProcess(load_lm(taught))


@pytest.fixture(scope="module")
def speaker(backend: InProcess) -> Speaker:
    return Speaker(backend, small_codec())


@pytest.fixture(scope="module")
def wild() -> InProcess:
    """Random weights: any code may follow any."""
    return InProcess(LanguageModel("wild", small_llama(), prompts(), LlasaMetadata()))


# --- generation -----------------------------------------------------------------------------------


def test_what_was_learned_is_spoken(backend):
    asked = [backend.prompts.prompt(text) for text in FEW]
    made = backend.generate(asked, [0] * len(asked), GREEDY)
    equal = total = 0
    for item, codes in zip(made, utterances().values(), strict=True):
        both = min(len(item.codes), len(codes))
        equal += int((item.codes[:both] == codes[:both]).sum())
        total += max(len(item.codes), len(codes))
        assert item.finished
    assert equal / total >= 0.95


def test_only_codes_and_the_end_can_come(wild):
    made = wild.generate(
        [wild.prompts.prompt("abc")] * 3, [1, 2, 3], Sampling(temperature=5.0, max_tokens=40)
    )
    assert all(0 <= code < CODEBOOK for item in made for code in item.codes)
    assert all(len(item.codes) == 40 or item.finished for item in made)
    assert len({item.codes.tobytes() for item in made}) == 3


def test_items_of_a_batch_are_what_they_are_alone(wild):
    texts, seeds, sampling = (
        ["a", "some longer text", "three"],
        [5, 6, 7],
        Sampling(top_k=20, top_p=0.9, max_tokens=25),
    )
    asked = [wild.prompts.prompt(text) for text in texts]
    together = wild.generate(asked, seeds, sampling)
    for prompt, seed, item in zip(asked, seeds, together, strict=True):
        (alone,) = wild.generate([prompt], [seed], sampling)
        assert alone.codes.tolist() == item.codes.tolist()
        assert list(wild.stream(prompt, seed, sampling)) == item.codes.tolist()


def test_the_context_is_not_overrun(wild):
    prompt = wild.prompts.prompt("a" * 700)
    (made,) = wild.generate([prompt], [0], Sampling())
    assert len(prompt) + len(made.codes) <= wild.context
    with pytest.raises(LlasaError, match="use a shorter voice clip or text"):
        wild.generate([wild.prompts.prompt("a" * 1100)], [0], Sampling())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"repetition_penalty": 0}, "repetition"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_impossible_sampling_is_refused(values, words):
    with pytest.raises(LlasaError, match=words):
        Sampling(**values)


def test_repetition_is_punished(wild):
    prompt = wild.prompts.prompt("abc")
    plain, varied = (
        wild.generate(
            [prompt], [0], Sampling(temperature=0, repetition_penalty=penalty, max_tokens=40)
        )[0].codes
        for penalty in (1.0, 5.0)
    )
    assert len(set(varied.tolist())) > len(set(plain.tolist()))


# --- models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_heads_may_be_tied_or_not(tmp_path, tied):
    model = small_llama(tied=tied)
    model.save_pretrained(tmp_path)
    speech_tokenizer().save_pretrained(tmp_path)
    lm = load_lm(tmp_path)
    prompt = torch.from_numpy(lm.prompts.prompt("abc"))[None]
    with torch.no_grad():
        assert torch.equal(lm.model(prompt).logits, model(prompt).logits)


def test_models_that_cannot_speak_are_refused(tmp_path):
    with pytest.raises(LlasaError, match="no such folder"):
        load_lm(tmp_path / "none")
    small_llama().save_pretrained(tmp_path)
    base_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(LlasaError, match="has no speech tokens"):
        load_lm(tmp_path)
    speech_tokenizer(80).save_pretrained(tmp_path)  # more codes than the model has rows
    with pytest.raises(LlasaError, match="its embedding"):
        load_lm(tmp_path)


def test_an_lm_and_a_codec_that_do_not_fit_are_told_apart(backend):
    with pytest.raises(CodesError, match="a codebook of 64, the codec has a codebook of 65536"):
        Speaker(backend, XCodec2Model.from_pretrained("nano"))
    other = LanguageModel(
        "other",
        backend.lm.model,
        backend.prompts,
        LlasaMetadata(CodecIdentity("x", "0" * 16, CODEBOOK)),
    )
    with pytest.raises(CodesError, match=r"the codec is .*: noise"):
        Speaker(InProcess(other), small_codec())


# --- speech ---------------------------------------------------------------------------------------


def test_speech_is_the_decoded_codes(speaker):
    spoken = speaker.speak(FEW[0], sampling=GREEDY)
    assert spoken.codes.tolist() == utterances()[FEW[0]].tolist()
    assert torch.equal(spoken.waveform, speaker.codec.decode(torch.from_numpy(spoken.codes)))


def test_streamed_speech_is_what_stream_decode_makes_of_it_and_begins_early(speaker):
    text, generated, first = FEW[-1], [], None
    inner = speaker.backend.stream

    def counting(*args):
        for code in inner(*args):
            generated.append(code)
            yield code
        return True

    speaker.backend.stream = counting
    try:
        chunks = []
        for chunk in speaker.stream(text, sampling=GREEDY, step=4):
            first = first or len(generated)
            chunks.append(chunk)
    finally:
        del speaker.backend.stream
    codes = utterances()[text]
    assert generated == codes.tolist()
    assert first <= 0.15 * len(codes)
    expected = torch.cat(list(speaker.codec.stream_decode([codes], step=4)))
    assert torch.equal(torch.cat(chunks), expected)


def test_a_voice_goes_before_the_text_and_is_not_heard_again(wild):
    speaker = Speaker(wild, small_codec())
    voice = speaker.voice(speech()[:32_000], "One two.", 16_000)
    assert len(voice.codes) == 101
    sampling = Sampling(max_tokens=30)
    asked = []
    inner = wild.generate
    wild.generate = lambda prompts, *rest: asked.extend(prompts) or inner(prompts, *rest)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spoken = speaker.speak("Three.", voice=voice, sampling=sampling)
    finally:
        del wild.generate
    assert asked[0].tolist() == prompts().prompt("Three.", "One two.", voice.codes).tolist()
    together = speaker.codec.decode(torch.from_numpy(np.concatenate([voice.codes, spoken.codes])))
    assert torch.equal(spoken.waveform, together[101 * 320 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        streamed = torch.cat(list(speaker.stream("Three.", voice=voice, sampling=sampling)))
    assert len(streamed) == len(spoken.waveform)


def test_long_text_keeps_the_voice_of_its_first_sentence(wild):
    speaker = Speaker(wild, small_codec())
    seen = []
    inner = wild.generate
    wild.generate = lambda prompts, *rest: seen.extend(prompts) or inner(prompts, *rest)
    try:
        with pytest.warns(UserWarning, match="did not end by itself on 'One. '|did not end"):
            spoken = speaker.speak(
                "One one. Two two. Three.", sampling=Sampling(max_tokens=8), chunk=9
            )
    finally:
        del wild.generate
    texts = [text for text, _ in spoken.pieces]
    assert texts == ["One one.", "Two two.", "Three."]
    first = spoken.pieces[0][1].codes
    expected = [
        prompts().prompt("One one."),
        *(prompts().prompt(text, "One one.", first) for text in texts[1:]),
    ]
    assert [prompt.tolist() for prompt in seen] == [prompt.tolist() for prompt in expected]


@pytest.mark.parametrize("seconds", [0.5, 60])
def test_voice_clips_have_1_to_15_seconds(wild, seconds):
    clip = np.zeros(int(16_000 * seconds), np.float32)
    with pytest.raises(
        LlasaError, match=rf"the voice clip has {seconds:.1f} s; give one of 1 to 15 s"
    ):
        Speaker(wild, small_codec()).voice(clip, "Text.", 16_000)


def test_an_empty_voice_clip_or_one_without_text_is_an_error(wild):
    speaker = Speaker(wild, small_codec())
    with pytest.raises(AudioError, match="empty"):
        speaker.voice(np.zeros(0, np.float32), "Text.", 16_000)
    with pytest.raises(LlasaError, match="needs the text"):
        speaker.voice(np.zeros(32_000, np.float32), " ", 16_000)


# --- the face -------------------------------------------------------------------------------------


def test_importing_the_face_is_light():
    code = (
        "import sys, xcodec2.llasa; assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "assert {'Speaker', 'Voice', 'Sampling', 'Search'} <= set(dir(xcodec2.llasa))\n"
        "from xcodec2.llasa import Sampling, Search\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_speaker_is_made_of_names(taught, codec_folder):
    made = face.Speaker.from_pretrained(taught, codec_folder, device="cpu")
    spoken = made.speak(FEW[0], sampling=GREEDY)
    assert isinstance(spoken, face.Spoken)
    assert spoken.codes.tolist() == utterances()[FEW[0]].tolist()
    assert spoken.waveform.shape == (len(spoken.codes) * 320,)
    assert made.codec.sample_rate == 16_000
    again = face.Speaker.from_pretrained(taught, made.codec)
    assert again.codec is made.codec
    bare = LanguageModel("bare", small_llama(), prompts(), LlasaMetadata())
    with pytest.raises(LlasaError, match="does not say which codec"):
        codec_for(InProcess(bare), None, "cpu")


def test_the_same_seed_gives_the_same_speech(speaker):
    hot = Sampling(temperature=2.0, max_tokens=30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, same, other = (
            speaker.speak(FEW[0], sampling=hot, seed=seed).codes.tolist() for seed in (1, 1, 2)
        )
    assert one == same != other


def test_old_names_of_arguments_are_told(speaker):
    asked = {"sampling": Sampling(temperature=0.01), "verifier": lambda *_: 0.0}
    with pytest.warns(DeprecationWarning, match=r"speak\(how=\) is now search="):
        spoken = speaker.speak(FEW[0], how=face.Search("best-of", 2), **asked)
    assert len(spoken.searches[0].candidates) == 2
    with pytest.warns(DeprecationWarning, match=r"speak\(process=\) is now process_verifier="):
        speaker.speak(FEW[0], search=face.Search("beam", 1), process=lambda *_: 0.0, **asked)


def test_the_packages_ctc_model_chooses_among_codes_of_its_own_codec_alone(speaker):
    with pytest.raises(CodesError, match="of 64, the verifier has a codebook of 65536"):
        speaker.speak(FEW[0], search=face.Search("best-of", 2))


def test_texts_that_a_model_has_not_learned_by_heart_are_told(taught, codec_folder, tmp_path):
    shutil.copytree(taught, tmp_path / "lm")
    LlasaMetadata(load_lm(taught).metadata.codec, True, tuple(FEW)).save(tmp_path / "lm")
    speaker = face.Speaker.from_pretrained(tmp_path / "lm", codec_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        speaker.speak(FEW[0], sampling=GREEDY)
        speaker.speak(FEW[0].upper().rstrip("."), sampling=Sampling(temperature=0, max_tokens=1000))
    args = ["speak", "Something else.", "--lm", tmp_path / "lm", "--model", codec_folder]
    for out in ("a.wav", "-"):
        target = tmp_path / out if out != "-" else out
        with pytest.warns(UserWarning, match="learned 5 texts by heart and cannot say 'Something"):
            done = CliRunner().invoke(xcodec2, list(map(str, [*args, "-o", target])))
        assert done.exit_code == 0, done.exception


def test_a_model_speaks_at_its_own_temperature_unless_told(taught, codec_folder, tmp_path):
    shutil.copytree(taught, tmp_path / "lm")
    own = replace(load_lm(taught).metadata, temperature=0.0)
    own.save(tmp_path / "lm")
    speaker = face.Speaker.from_pretrained(tmp_path / "lm", codec_folder)
    assert speaker.sampling == GREEDY
    first, second = (speaker.speak(FEW[0], seed=seed).codes.tolist() for seed in (1, 2))
    assert first == second
    command = ["speak", FEW[0], "--lm", tmp_path / "lm", "--model", codec_folder, "-o"]
    for seed, more in ((1, []), (2, []), (2, ["--temperature", 1.2])):
        asked = [*command, tmp_path / f"{seed}{len(more)}.wav", "--seed", seed, *more]
        done = CliRunner().invoke(xcodec2, list(map(str, asked)))
        assert done.exit_code == 0, done.exception
    one, two, warm = ((tmp_path / f"{name}.wav").read_bytes() for name in ("10", "20", "22"))
    assert one == two != warm


def test_verifiers_that_cannot_be_loaded_are_told_before_anything_is_spoken(
    taught, codec_folder, tmp_path, monkeypatch
):
    for module in ("rapidfuzz", "rapidfuzz.distance", "rapidfuzz.distance.Levenshtein"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(face.Speaker, "speak", lambda *_, **__: pytest.fail("spoken"))
    args = ["speak", FEW[0], "--lm", taught, "--model", codec_folder, "-o", tmp_path / "a.wav"]
    verifying = ["--search", "best-of-2", "--verifier", "wer-pocketsphinx"]
    done = CliRunner().invoke(xcodec2, list(map(str, [*args, *verifying])))
    assert "rapidfuzz" in str(done.exception)
    done = CliRunner().invoke(
        xcodec2, list(map(str, [*args, "--search", "best-of-2", "--verifier", "similarity"]))
    )
    assert done.exit_code == 2
    assert "give --voice" in done.output


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["prepare", "codes", "out", "--tokenizer", "bundled"], "transformers"),
        (["prepare", "codes", "out", "--tokenizer", "bundled"], "pyarrow"),
        (["train", "small", "out=out"], "accelerate"),
        (["train", "lora", "out=out"], "peft"),
        (["gguf", "lm", "out.gguf"], "gguf"),
    ],
)
def test_missing_extras_are_told_before_any_folder_is_made(tmp_path, monkeypatch, command, module):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    done = CliRunner().invoke(xcodec2, ["llasa", *command])
    assert done.exit_code == 1
    assert re.search(rf"needs {module}: {install_hint('llasa')}", str(done.exception))
    assert not list(tmp_path.iterdir())
