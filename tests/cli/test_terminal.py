"""Standard input and output, and what reaches the terminal: nothing that commands it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import click
import numpy as np
import pytest
import soundfile
import torch
from test_cli import run

from xcodec2 import Codes
from xcodec2.cli import main
from xcodec2.cli.outputs import plan_outputs

EVIL = "\x1b]0;owned\x07\x9b31m\u202efdp"
SHOWN = r"\u001b]0;owned\u0007\u009b31m\u202efdp"


class Piped(NamedTuple):
    code: int
    out: bytes
    err: str


@pytest.fixture
def piped(monkeypatch) -> Callable[..., Piped]:
    """`xcodec2 ARGS` in this process, with bytes as its standard input and output."""

    def call(*args: object, given: bytes = b"") -> Piped:
        out = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        monkeypatch.setattr(sys, "stdout", out)
        with redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit) as stop:
            main([str(arg) for arg in args])
        out.flush()
        return Piped(stop.value.code or 0, out.buffer.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="module")
def speech() -> bytes:
    content = io.BytesIO()
    sound = 0.1 * np.random.default_rng(0).standard_normal(8000)
    soundfile.write(content, sound, 16_000, format="WAV")
    return content.getvalue()


def assert_harmless(*texts: str) -> None:
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n")), text


def test_speech_goes_through_a_pipe_as_through_files(speech, tiny_folder, tmp_path):
    (tmp_path / "a.wav").write_bytes(speech)
    xcodec2, model = f"{sys.executable} -m xcodec2.cli", f"--model {tiny_folder}"
    pipe = f"{xcodec2} encode - -o - {model} < a.wav | tee a.npz | {xcodec2} decode - -o - {model}"
    done = subprocess.run(pipe, shell=True, capture_output=True, cwd=tmp_path)
    assert done.stderr.decode().splitlines() == [
        "standard output: 26 codes, 0.50 s, model tiny",
        "standard output: 0.50 s of speech at 16000 Hz",
    ]
    files = tmp_path / "b.npz", tmp_path / "b.wav"
    run("encode", tmp_path / "a.wav", "-o", files[0], "--model", tiny_folder)
    run("decode", files[0], "-o", files[1], "--model", tiny_folder)
    assert (tmp_path / "a.npz").read_bytes() == files[0].read_bytes()
    assert done.stdout == files[1].read_bytes()


def test_tokens_that_a_language_model_printed_are_decoded(piped, tiny_folder):
    arguments = ("decode", "-", "-o", "-", "--format", "flac", "--model", tiny_folder)
    decoded = piped(*arguments, given=b"<|s_1|><|s_2|>\n")
    assert decoded.out.startswith(b"fLaC")
    assert soundfile.info(io.BytesIO(decoded.out)).frames == 640


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "-", "a.wav", "-o", "out/"), "the only input"),
        (("encode", "-", "-o", "out/"), "must name a file"),
        (("encode", "a.wav", "b.wav", "-o", "-"), "several results need a folder"),
        (("decode", "-", "a.wav", "-o", "-"), "the only input"),
        (("decode", "-", "--id", "X", "-o", "b.wav"), "standard input is one codes file"),
        (("decode", "--id", "X", "-o", "-", "-"), "standard input is one codes file"),
    ],
)
def test_what_standard_streams_cannot_be_is_bad_use(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.wav").write_bytes(b"x")
    result = run(*arguments)
    assert result.code == 2
    assert words in result.err


def test_nothing_given_is_one_error(piped, tiny_folder):
    output = ("-o", "-", "--model", tiny_folder)
    for arguments in (("encode", "-", *output), ("decode", "-", *output), ("info", "-")):
        result = piped(*arguments)
        assert (result.code, result.out) == (1, b"")
        assert len(result.err.splitlines()) == 1


def test_info_describes_codes_of_a_pipe_as_those_of_a_file(piped, tmp_path):
    Codes([1, 2, 2], num_samples=900, sample_rate=16_000).save(tmp_path / "a.npz")
    content = (tmp_path / "a.npz").read_bytes()
    assert piped("info", "-", "--json", given=content).out == (
        piped("info", tmp_path / "a.npz", "--json").out
    )
    assert b"tokens              2\n" in piped("info", "-", given=b"<|s_1|><|s_2|>").out


@pytest.mark.parametrize("given", [b"RIFF....WAVE", b"\0" * 99, b"nano"])
def test_info_says_that_only_codes_are_piped(piped, given):
    result = piped("info", "-", given=given)
    assert (result.code, result.out, result.err.count("\n")) == (1, b"", 1)
    assert "standard input: " in result.err
    assert "has to be named" in result.err


def test_a_terminal_is_not_filled_with_binary_data(monkeypatch):
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(click.UsageError, match="standard output is a terminal"):
        plan_outputs([Path("a.wav")], "-", "npz")


def test_several_files_are_each_told(speech, tiny_folder, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.wav").write_bytes(speech)
    paths = [tmp_path / f"{name}.wav" for name in "ab"]
    result = run("encode", *paths, "-o", tmp_path / "codes", "--model", tiny_folder)
    assert [line.partition(": ")[2] for line in result.out.splitlines()] == [
        "26 codes, 0.50 s, model tiny"
    ] * 2


def test_no_folder_is_made_for_results_that_there_are_none_of(tiny_folder, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF but not really")
    assert run("encode", tmp_path / "bad.wav", "-o", f"{tmp_path}/new/").code == 1
    assert not (tmp_path / "new").exists()


def test_fields_of_a_codes_file_do_not_reach_the_terminal_raw(tiny_folder, tmp_path):
    path = tmp_path / "a.npz"
    Codes(torch.tensor([1, 2]), model=EVIL, weights_hash=EVIL).save(path)
    for arguments in (("info", path), ("info", path, "--json")):
        result = run(*arguments)
        assert_harmless(result.out, result.err)
        assert SHOWN in result.out.replace("\\\\", "\\")
    assert json.loads(run("info", path, "--json").out)["model"] == EVIL
    result = run("decode", path, "-o", tmp_path / "a.wav", "--model", tiny_folder)
    assert_harmless(result.out, result.err)
    assert result.err.startswith("xcodec2: warning: ")
    assert SHOWN in result.err


def test_names_of_files_do_not_reach_the_terminal_raw(speech, tiny_folder, tmp_path):
    for name, content in ((f"{EVIL}.wav", speech), ("b\udcff\n.wav", b"no audio")):
        Path(tmp_path, name).write_bytes(content)
    paths = [Path(tmp_path, name) for name in os.listdir(tmp_path)]
    missing = Path(tmp_path, f"no{EVIL}.wav")
    for inputs in (paths, [missing], paths[:1], paths[1:]):
        result = run("encode", *inputs, "-o", tmp_path / "codes", "--model", tiny_folder)
        assert_harmless(result.out, result.err)
        assert "owned" in result.out + result.err or r"b\udcff" in result.err
    result = run("encode", Path(tmp_path, f"{EVIL}.wav"), "-o", tmp_path, f"--{EVIL}")
    assert result.code == 2
    assert_harmless(result.err)


def test_warnings_of_readers_do_not_reach_the_terminal_raw(capsys):
    """They name the file, and come from another process."""
    from xcodec2.corpus import Recording
    from xcodec2.extract.reading import read_audio

    child = SimpleNamespace(ask=lambda *_: (np.zeros(1), 1, 16_000, [f"{EVIL}\n.wav: opposite"]))
    read_audio(Recording("id", "source", {}, None), child, 1.0)
    said = capsys.readouterr().err
    assert_harmless(said)
    assert said == f"xcodec2: warning: {SHOWN} .wav: opposite\n"


def test_ids_in_a_summary_do_not_reach_the_terminal_raw(monkeypatch, tmp_path):
    from xcodec2 import extract

    summary = {"rows": 2, "errors": 1, "errors_by_reason": {EVIL: 1}}
    monkeypatch.setattr(extract, "extract", lambda *args, **options: summary)
    result = run("extract", ".", tmp_path / "out")
    assert_harmless(result.out)
    assert json.loads(result.out) == summary
