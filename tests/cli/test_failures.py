"""How the command line fails: one line, the right exit code, no traceback, nothing left behind."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_cli import COMMANDS, assert_failed, run, shell

from xcodec2 import Codes, XCodec2Error
from xcodec2.cli import main

# --- how it fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["encode"], ["SPEECH"]),
        (["encode", "{speech}"], ["--out"]),
        (["encode", "{tmp}/missing.wav", "-o", "{tmp}/a.npz"], ["missing.wav"]),
        (["encode", "{tmp}", "-o", "{tmp}/a.npz"], ["directory"]),
        (["encode", "{speech}", "-o", "{tmp}/a.npz", "--devise", "cpu"], ["--devise"]),
        (
            ["encode", "{speech}", "-o", "{tmp}/a.npz", "--device", "toaster"],
            ["toaster", "--device"],
        ),
        (["encode", "{speech}", "-o", "{tmp}/no/such/a.npz"], ["no/such", "does not exist"]),
        (["encode", "{speech}", "-o", "{speech}"], ["overwritten"]),
        (["encode", "{speech}", "{codes}", "-o", "{codes}"], ["need a folder"]),
        (
            ["encode", "{speech}", "{tmp}/sub/speech.flac", "-o", "{tmp}/codes"],
            ["speech.npz", "twice"],
        ),
        (["decode", "{codes}", "-o", "{tmp}/a.txt"], ["a.txt", ".flac"]),
        (["decode", "{codes}", "-o", "{tmp}/a"], [".flac"]),
        (["decode", "{codes}", "-o", "{tmp}/", "--format", "docx"], ["docx"]),
        (["reconstruct", "{speech}", "-o", "{speech}"], ["overwritten"]),
        (
            ["reconstruct", "{speech}", "-o", "{tmp}/a.wav", "--picture", "{tmp}/no/such.png"],
            ["does not exist"],
        ),
        (["reconstruct", "{speech}", "-o", "{tmp}/a.wav", "--codes", "{tmp}/a.wav"], ["a.wav"]),
        (["info"], ["MODEL_OR_CODES"]),
        (["convert", "nano", "{tmp}/c"], ["--to"]),
        (["convert", "nano", "{tmp}/c", "--to", "onnx"], ["onnx", "original"]),
        (["convert", "nano", "{speech}", "--to", "original"], ["speech.wav", "folder"]),
        (["export", "nano", "", "--to", "gguf"], ["OUT is empty"]),
        (["export", "nano", "{tmp}/new/", "--to", "gguf"], ["new/ is a folder", "a file"]),
        (["export", "nano", "{tmp}/sub", "--to", "gguf"], ["sub is a folder", "a file"]),
        (["export", "nano", "{tmp}/new", "--full", "--to", "onnx"], ["--full", "gguf"]),
        (["encde"], ["encode" if hasattr(click.exceptions, "NoSuchCommand") else "encde"]),
        (["--nonsense"], ["--nonsense"]),
    ],
    ids=lambda value: " ".join(value[:1] + value[-1:]) if value[0] in COMMANDS else None,
)
def test_bad_use_is_one_line_and_exit_2(
    args: list[str], words: list[str], speech: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "speech.flac").write_bytes(b"")
    Codes(torch.arange(3)).save(tmp_path / "codes.npz")
    before = sorted(tmp_path.rglob("*"))
    names = {"tmp": tmp_path, "speech": speech, "codes": tmp_path / "codes.npz"}
    assert_failed(run(*(arg.format(**names) for arg in args)), 2, *words)
    assert sorted(tmp_path.rglob("*")) == before, "bad use must leave nothing behind"


def test_unusable_content_is_one_line_and_exit_1(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "noise").write_bytes(b"\x07" * 999)
    (tmp_path / "folder").mkdir()
    for bad in ("empty", "noise"):
        assert_failed(
            run("encode", tmp_path / bad, "-o", tmp_path / "a.npz", "--model", tiny_folder), 1, bad
        )
        assert_failed(
            run("decode", tmp_path / bad, "-o", tmp_path / "a.wav", "--model", tiny_folder), 1, bad
        )
        assert_failed(
            run("reconstruct", tmp_path / bad, "-o", tmp_path / "a.wav", "--model", tiny_folder),
            1,
            bad,
        )
        assert_failed(run("info", tmp_path / bad), 1, bad)
    assert_failed(
        run("encode", speech, "-o", tmp_path / "a.npz", "--model", tmp_path / "folder"), 1, "folder"
    )
    assert_failed(run("info", tmp_path / "folder"), 1, "folder")
    assert_failed(
        run("convert", tmp_path / "noise", tmp_path / "to", "--to", "original"), 1, "noise"
    )


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.npz"), 1, ["a.npz: No space left"]),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a.npz"),
            1,
            ["a.npz: Permission denied"],
        ),
        (MemoryError(), 1, ["out of memory"]),
        (XCodec2Error("in\nthree\nlines"), 1, ["in three lines"]),
    ],
)
def test_any_error_is_one_line(
    error: Exception,
    code: int,
    words: list[str],
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xcodec2.quick.quick_model", raiser(error))
    assert_failed(run("encode", speech, "-o", tmp_path / "a.npz"), code, *words)


def test_an_interrupt_exits_130(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xcodec2.quick.quick_model", raiser(KeyboardInterrupt()))
    result = run("encode", speech, "-o", tmp_path / "a.npz")
    assert (result.code, result.err.strip()) == (130, "xcodec2: error: interrupted")


def test_debug_shows_where(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xcodec2.quick.quick_model", raiser(ZeroDivisionError("a bug")))
    result = run("encode", speech, "-o", tmp_path / "a.npz")
    assert result.code == 1
    assert (
        result.err == "xcodec2: error: ZeroDivisionError: a bug "
        "(unexpected: `xcodec2 --debug ...` shows where)\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "encode", str(speech), "-o", str(tmp_path / "a.npz")])


def raiser(error: BaseException):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("command", ["encode - -o x.npz", "decode - -o x.wav"])
def test_standard_input_that_is_empty_is_named(
    command: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most often the command before the pipe has failed."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    assert_failed(run(*command.split(), "--model", tiny_folder), 1, "standard input is empty")


def test_failures_in_a_process_of_its_own(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(bytes(range(256)) * 8)
    assert_failed(
        shell("encode", tmp_path / "noise.wav", "-o", tmp_path / "a.npz", "--model", tiny_folder), 1
    )
    assert_failed(shell("encode", "-o", tmp_path / "a.npz"), 2)


HEADERS = [
    b"",
    b"RIFF\x24\x00\x00\x00WAVEfmt ",
    b"fLaC",
    b"OggS",
    b"ID3\x04",
    b"\x1aE\xdf\xa3",
    b"PK\x03\x04",
    b"\x93NUMPY\x01\x00",
]


@settings(max_examples=25, deadline=None)
@given(content=st.builds(bytes.__add__, st.sampled_from(HEADERS), st.binary(max_size=400)))
@example(content=b"\x00\x00\x00\x18ftypM4A " + bytes(64))
def test_random_bytes_never_give_a_traceback(content: bytes, tiny_folder: Path) -> None:
    path = tiny_folder.parent / "fuzz"
    path.write_bytes(content)
    for args in (
        ["encode", path, "-o", path.with_suffix(".npz")],
        ["decode", path, "-o", path.with_suffix(".wav")],
    ):
        result = run(*args, "--model", tiny_folder)
        if result.code:
            assert_failed(result, 1)
    result = run("info", path)
    if result.code:
        assert_failed(result, 1)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_files_never_give_a_traceback(data: st.DataObject, tiny_folder: Path) -> None:
    """Good files with some bytes changed or the end cut off, which gets further in than random
    bytes do.
    """
    folder = tiny_folder.parent
    good = {"codes": folder / "good.npz", "audio": folder / "good.flac"}
    if not good["codes"].exists():
        Codes(torch.arange(50), num_samples=16000, sample_rate=16000, model="tiny").save(
            good["codes"]
        )
        soundfile.write(good["audio"], 0.1 * np.random.default_rng(0).standard_normal(4000), 16000)
    kind = data.draw(st.sampled_from(sorted(good)))
    content = bytearray(good[kind].read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged"
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    verb, target = {"codes": ("decode", "damaged.wav"), "audio": ("encode", "damaged.npz")}[kind]
    result = run(verb, path, "-o", folder / target, "--model", tiny_folder)
    if result.code:
        assert_failed(result, 1)
