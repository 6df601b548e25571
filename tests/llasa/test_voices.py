"""Named voices: what the store keeps, refuses, and survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load, save
from talkers import FEW, small_codec
from tiny import speech

from xcodec2 import evaluators
from xcodec2.cli import xcodec2
from xcodec2.codes import Codes
from xcodec2.errors import CodesError, LlasaError, MissingExtraError
from xcodec2.llasa.voices import FACTS, StoredVoice, VoiceStore, make_voice, transcript, voice_of


def voice(id: str = "anna", text: str = "One two.", consent: str = "Anna, by letter"):
    codes = Codes([3, 1, 2], 960, 16_000, codebook_size=64, model="small", weights_hash="ab12")
    return StoredVoice(id, codes, text, consent)


def test_a_voice_comes_back_as_it_was_added(tmp_path):
    store = VoiceStore(tmp_path / "new" / "voices")
    assert store.ids() == []
    added = voice(text="Grüße, 世界!")
    path = store.add(added)
    assert path == tmp_path / "new" / "voices" / "anna.safetensors"
    assert store.load("anna") == added
    assert list(store) == [added]
    assert "anna" in store
    assert load(path.read_bytes())["codes"].tolist() == [3, 1, 2]
    assert path.read_bytes() == store.load("anna").to_bytes()
    store.remove("anna")
    assert "anna" not in store
    assert os.listdir(store.folder) == []


@pytest.mark.parametrize("id", ["", ".", "..", "../a", "a/b", "a.b", "a b", "é", "a\n", "x" * 65])
def test_an_id_is_letters_digits_dash_and_underscore(tmp_path, id):
    store = VoiceStore(tmp_path)
    for use in (store.load, store.remove, voice):
        with pytest.raises(LlasaError, match="a voice is named by"):
            use(id)
    assert id not in store


def test_a_second_voice_of_a_name_needs_leave_in_any_case_of_letters(tmp_path):
    store = VoiceStore(tmp_path)
    store.add(voice())
    with pytest.raises(LlasaError, match="there is a voice anna already"):
        store.add(voice(text="Other."))
    with pytest.raises(LlasaError, match="there is a voice anna already"):
        store.add(voice("Anna"), replace=True)
    store.add(voice(text="Other."), replace=True)
    assert store.load("anna").text == "Other."


def test_what_is_not_there_is_said_with_what_is(tmp_path):
    store = VoiceStore(tmp_path)
    with pytest.raises(LlasaError, match="`xcodec2 voices add` makes one"):
        store.load("bob")
    store.add(voice())
    for use in (store.load, store.remove):
        with pytest.raises(LlasaError, match=r"no voice bob in .*; there are: anna"):
            use("bob")


def test_consent_and_text_are_needed():
    with pytest.raises(LlasaError, match="who allowed"):
        voice(consent=" ")
    with pytest.raises(LlasaError, match="needs the text"):
        voice(text="...")


@pytest.mark.parametrize(
    "content",
    [
        b"no safetensors",
        save({"codes": torch.zeros(3, dtype=torch.int32)}),
        save({"codes": torch.zeros(3, dtype=torch.int32)}, {FACTS: "{}"}),
        save({"codes": torch.zeros(3, dtype=torch.int32)}, {FACTS: "[]"}),
        save({"codes": torch.zeros(3, dtype=torch.int32)}, {FACTS: "{"}),
        bytes(2 << 20),
    ],
    ids=["noise", "no facts", "no fields", "a list", "no JSON", "large"],
)
def test_a_damaged_voice_is_one_error_and_does_not_hide_the_others(tmp_path, content):
    store = VoiceStore(tmp_path)
    store.add(voice("good"))
    store.path("bad").write_bytes(content)
    with pytest.raises(LlasaError, match="not a voice that"):
        store.load("bad")
    with pytest.warns(UserWarning, match="left out"):
        assert [one.id for one in store] == ["good"]
    store.remove("bad")


def test_codes_out_of_the_codebook_are_a_damaged_voice(tmp_path):
    store = VoiceStore(tmp_path)
    with_wrong = replace(voice(), codes=Codes([70], codebook_size=128))
    content = with_wrong.to_bytes().replace(
        b'\\"codebook_size\\": 128', b'\\"codebook_size\\":  64'
    )
    assert content != with_wrong.to_bytes()
    store.path("anna").write_bytes(content)
    with pytest.raises(LlasaError, match="not a voice that"):
        store.load("anna")


def test_a_pipe_among_the_voices_is_not_waited_for(tmp_path):
    store = VoiceStore(tmp_path)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(LlasaError, match="no voice pipe"):
        store.load("pipe")


KILLED = """
import os, signal, sys
from xcodec2.llasa.voices import VoiceStore
from test_voices import voice
real = os.replace
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
VoiceStore(sys.argv[1]).add(voice(text="Other."), replace=True)
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_loses_nothing(tmp_path):
    store = VoiceStore(tmp_path)
    store.add(voice())
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path], env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == -signal.SIGKILL
    assert store.ids() == ["anna"]
    assert store.load("anna").text == "One two."


# --- from clips and to speakers -------------------------------------------------------------------


class Hears:
    """A recognizer that always hears the same."""

    name, implementation = "Ears", "ears 1.0"

    def __init__(self, text: str) -> None:
        self.text = text

    def transcribe(self, waveform: np.ndarray) -> str:
        return self.text


def test_a_clip_is_kept_with_its_own_rate_and_codes(tmp_path):
    clip = speech()[:32_000].numpy()
    made = make_voice("me", small_codec(), clip, sample_rate=16_000, text=" One. ", consent="me")
    assert (made.text, made.text_source, made.name) == ("One.", "given", "me")
    assert made.codes == small_codec().encode(clip, 16_000)
    other = make_voice("me", small_codec(), clip, sample_rate=8_000, text="One.", consent="me")
    assert (other.codes.num_samples, other.codes.sample_rate) == (32_000, 8_000)


def test_without_a_transcript_a_recognizer_writes_it(monkeypatch):
    clip = speech()[:32_000].numpy()
    monkeypatch.setattr(evaluators, "asr", lambda name: Hears(" Four five. "))
    made = make_voice("me", small_codec(), clip, sample_rate=16_000, consent="me")
    assert (made.text, made.text_source) == ("Four five.", "Ears (ears 1.0)")
    monkeypatch.setattr(evaluators, "asr", lambda name: Hears(" "))
    with pytest.raises(LlasaError, match="Ears hears no word"):
        transcript(clip)

    def missing(name):
        raise MissingExtraError("Moonshine needs tokenizers")

    monkeypatch.setattr(evaluators, "asr", missing)
    with pytest.raises(MissingExtraError, match="or give the clip's transcript"):
        transcript(clip)


def speaker_stub(one_voice: bool = False):
    def check() -> None:
        if one_voice:
            raise LlasaError("knows one voice only")

    return SimpleNamespace(codec=small_codec(), check_takes_voices=check)


def test_a_stored_voice_is_the_voice_of_its_clip(tmp_path):
    clip = speech()[:32_000].numpy()
    store = VoiceStore(tmp_path)
    store.add(make_voice("me", small_codec(), clip, sample_rate=16_000, text="One.", consent="me"))
    found = voice_of(store.load("me"), speaker_stub())
    assert found.codes.tolist() == small_codec().encode(clip, 16_000).codes.tolist()
    assert (found.text, found.codes.dtype, len(found.waveform)) == ("One.", np.int64, 32_000)


def test_a_voice_of_another_codec_or_for_a_model_of_one_is_refused():
    with pytest.raises(CodesError, match="voice anna was encoded with small"):
        voice_of(voice(), speaker_stub())
    with pytest.raises(LlasaError, match="one voice only"):
        voice_of(voice(), speaker_stub(one_voice=True))


# --- the commands ---------------------------------------------------------------------------------


OWN = ["bright", "deep", "low"]  # of the bundled model


def run(*args: object) -> object:
    return CliRunner().invoke(xcodec2, list(map(str, args)))


def test_the_commands_add_list_speak_and_remove(taught, codec_folder, tmp_path):
    clip, kept = tmp_path / "clip.wav", tmp_path / "voices"
    soundfile.write(clip, speech()[:32_000].numpy(), 16_000)
    add = ["voices", "add", "anna", clip, "--text", FEW[0], "--consent", "Anna", "--voices", kept]
    done = run(*add, "--model", codec_folder)
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.output == f"anna: 2.0 s, 101 codes, {kept}/anna.safetensors\n"
    assert run(*add, "--model", codec_folder).exit_code == 2
    listed = run("voices", "list", "--voices", kept)  # and those that the bundled model brings
    assert [line.split("\t")[0] for line in listed.output.splitlines()] == ["anna", *OWN]
    assert listed.output.split("\t")[3] == "Anna"
    speak = ["speak", FEW[2], "--lm", taught, "--model", codec_folder, "--voices", kept]
    spoken = tmp_path / "a.wav", tmp_path / "b.wav"
    by_name = run(*speak, "--voice", "anna", "-o", spoken[0], "--max-tokens", 20)
    assert by_name.exit_code == 0, (by_name.output, by_name.exception)
    by_clip = run(
        *speak, "--voice", clip, "--voice-text", FEW[0], "-o", spoken[1], "--max-tokens", 20
    )
    assert by_clip.exit_code == 0
    assert spoken[0].read_bytes() == spoken[1].read_bytes()
    refused = run(*speak, "--voice", "anna", "--voice-text", "x", "-o", spoken[0])
    assert (refused.exit_code, "leave --voice-text out" in refused.output) == (2, True)
    assert run("voices", "remove", "anna", "--voices", kept).output == "anna: removed\n"
    bare = run("voices", "list", "--voices", kept, "--lm", taught)
    assert "no voices in" in bare.output
    gone = run(*speak, "--voice", "anna", "-o", spoken[0])
    assert "there is no voice anna" in str(gone.exception)


def test_the_folder_is_the_users_unless_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XCODEC2_VOICES", str(tmp_path / "a"))
    assert VoiceStore().folder == tmp_path / "a"
    monkeypatch.delenv("XCODEC2_VOICES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert VoiceStore().folder == tmp_path / "xcodec2" / "voices"
