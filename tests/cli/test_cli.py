"""The command line: what it writes, how it fails, and that its page in the docs is the truth."""

from __future__ import annotations

import errno
import io
import json
import os
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import BinaryIO, NamedTuple

import click
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paths import ROOT
from safetensors import safe_open

from xcodec2 import Codes, XCodec2Error, XCodec2Model
from xcodec2.cli import main, xcodec2

COMMANDS = sorted(xcodec2.commands)


class Run(NamedTuple):
    code: int
    out: str
    err: str


def run(*args: object) -> Run:
    """`xcodec2 ARGS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    return Run(stop.value.code or 0, out.getvalue(), err.getvalue())


def shell(*args: object) -> Run:
    """`xcodec2 ARGS` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "xcodec2.cli", *map(str, args)], capture_output=True, text=True
    )
    return Run(done.returncode, done.stdout, done.stderr)


def assert_failed(result: Run, code: int, *words: str) -> None:
    """It ended with this exit code and one expected line on stderr that has the words."""
    assert result.code == code, result
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("xcodec2: error: ")
    assert "unexpected" not in lines[0]
    for word in words:
        assert word in lines[0]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """0.7 s at 22.05 kHz in stereo: rate and channels must be converted."""
    rng = np.random.default_rng(0)
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.1 * rng.standard_normal((15435, 2)), 22050)
    return path


# --- what the commands write ----------------------------------------------------------------------


def test_encode_then_decode_keeps_the_duration(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    said = f"{tmp_path / 'a.npz'}: 36 codes, 0.70 s, model tiny\n"
    assert run("encode", speech, "-o", tmp_path / "a.npz", "--model", tiny_folder) == (0, said, "")
    codes = Codes.load(tmp_path / "a.npz")
    assert (codes.num_samples, codes.sample_rate, len(codes.codes)) == (
        15435,
        22050,
        11200 // 320 + 1,
    )
    for suffix in ("wav", "flac", "ogg", "mp3"):
        target = tmp_path / f"again.{suffix}"
        assert run("decode", tmp_path / "a.npz", "-o", target, "--model", tiny_folder) == (
            0,
            "",
            "",
        )
        decoded = soundfile.info(target)
        assert (decoded.samplerate, decoded.channels, decoded.format) == (16000, 1, suffix.upper())
        assert decoded.frames == 11200 or suffix == "mp3"  # MP3 pads to its own frames


def test_a_channel_is_taken_and_a_lost_voice_is_told(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    left, _ = soundfile.read(speech)
    soundfile.write(speech, np.stack([left[:, 0], -left[:, 0]], 1), 22050)
    soundfile.write(tmp_path / "left.wav", left[:, 0], 22050)
    model = ("--model", tiny_folder)
    told = run("encode", speech, "-o", tmp_path / "a.npz", *model)
    assert told.code == 0
    assert told.err.startswith(f"xcodec2: warning: {speech}: the average of its 2 channels is")
    assert told.err.count("\n") == 1
    run("encode", tmp_path / "left.wav", "-o", tmp_path / "left.npz", *model)
    expected = Codes.load(tmp_path / "left.npz").codes
    commands = {
        "encode": (speech, "-o", tmp_path / "b.npz"),
        "reconstruct": (speech, "-o", tmp_path / "b.wav", "--codes", tmp_path / "b.npz"),
    }
    for command, args in commands.items():
        done = run(command, *args, "--channel", "0", *model)
        assert (done.code, done.err) == (0, "")
        assert torch.equal(Codes.load(tmp_path / "b.npz").codes, expected)
        assert_failed(run(command, *args, "--channel", "2", *model), 1, "no channel 2")
        assert run(command, *args, "--channel", "-1", *model).code == 2
    evaluated = run(
        "evaluate", speech, "--out", tmp_path / "report", "--metrics", "none", "--no-cost",
        "--channel", "0", *model,
    )  # fmt: skip
    assert evaluated.code == 0, evaluated.err
    assert (
        json.loads((tmp_path / "report" / "summary.json").read_text())["selection"]["channel"] == 0
    )


def test_several_inputs_go_to_a_folder(speech: Path, tiny_folder: Path, tmp_path: Path) -> None:
    other = speech.with_name("other.flac")
    soundfile.write(other, np.full(3200, 0.1), 16000)
    assert (
        run("encode", speech, other, "-o", tmp_path / "new" / "codes", "--model", tiny_folder).code
        == 0
    )
    written = sorted((tmp_path / "new" / "codes").iterdir())
    assert [path.name for path in written] == ["other.npz", "speech.npz"]
    assert (
        run(
            "decode", *written, "-o", tmp_path / "out", "--format", "flac", "--model", tiny_folder
        ).code
        == 0
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "other.flac",
        "speech.flac",
    ]


def test_one_input_goes_into_a_folder_that_exists_or_ends_in_a_slash(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    assert run("encode", speech, "-o", f"{tmp_path}/new/", "--model", tiny_folder).code == 0
    assert (tmp_path / "new" / "speech.npz").is_file()
    assert run("encode", speech, "-o", tmp_path, "--model", tiny_folder).code == 0
    assert (tmp_path / "speech.npz").is_file()


def test_a_bad_file_among_several_costs_one_line(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF but not really")
    last = speech.rename(tmp_path / "zlast.wav")
    result = run("encode", bad, last, "-o", tmp_path / "codes", "--model", tiny_folder)
    assert result.code == 1
    assert [path.name for path in (tmp_path / "codes").iterdir()] == ["zlast.npz"]
    first, second = result.err.splitlines()
    assert first.startswith("xcodec2: error: ")
    assert first.count(str(bad)) == 1
    assert second == "xcodec2: error: 1 of 2 files failed"


def test_a_result_of_before_is_replaced_only_by_a_whole_new_one(
    speech: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.npz"
    target.write_bytes(b"of before")

    def fill_the_disk(file: BinaryIO, _: object) -> None:
        file.write(b"a first part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("xcodec2.codes._write_npz", fill_the_disk)
        assert_failed(
            run("encode", speech, "-o", target, "--model", tiny_folder),
            1,
            str(target),
            "No space left",
        )
    assert target.read_bytes() == b"of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "speech.wav"]

    assert run("encode", speech, "-o", target, "--model", tiny_folder).code == 0
    assert len(Codes.load(target)) == 36


def test_reconstruct_prints_figures_and_writes_what_was_asked(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    out, codes, picture = tmp_path / "again.flac", tmp_path / "codes.npz", tmp_path / "both.png"
    result = run(
        *("reconstruct", speech, "-o", out, "--model", tiny_folder),
        *("--codes", codes, "--picture", picture, "--stoi"),
    )
    assert result.code == 0, result
    figures = dict(line.split(maxsplit=1) for line in result.out.splitlines())
    assert figures["duration"] == "0.70 s"
    assert figures["bitrate"] == "800 bit/s"
    assert figures["tokens"].startswith("36 (50 per second")
    assert 0 < float(figures["encode"].split()[2]) < 1000
    assert -1 <= float(figures["STOI"]) <= 1
    waveform, rate = soundfile.read(out, dtype="float32")
    assert rate == 16000
    model = XCodec2Model.from_pretrained(tiny_folder)
    assert Codes.load(codes) == model.encode(speech)
    np.testing.assert_allclose(waveform, model.decode(Codes.load(codes)), atol=2**-14)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_decode_warns_when_another_model_made_the_codes(tiny_folder: Path, tmp_path: Path) -> None:
    Codes(torch.arange(20), model="else/where", weights_hash="0123456789abcdef").save(
        tmp_path / "a.npz"
    )
    result = run("decode", tmp_path / "a.npz", "-o", tmp_path / "a.wav", "--model", tiny_folder)
    assert result.code == 0
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("xcodec2: warning: ")
    assert "else/where" in result.err


def test_info_tells_codes_from_models_whatever_their_name(
    speech: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    run("encode", speech, "-o", tmp_path / "codes.bin", "--model", tiny_folder)
    facts = json.loads(run("info", tmp_path / "codes.bin", "--json").out)
    model = XCodec2Model.from_pretrained(tiny_folder)
    assert facts["kind"] == "codes"
    assert (facts["tokens"], facts["num_samples"], facts["duration"]) == (36, 15435, 0.7)
    assert facts["weights_hash"] == model.weights_hash

    (tiny_folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# tiny\n")
    facts = json.loads(run("info", tiny_folder, "--json").out)
    assert (facts["kind"], facts["format"], facts["license"]) == (
        "model",
        "transformers",
        "apache-2.0",
    )
    assert facts["weights_hash"] == model.weights_hash
    assert facts["codebook_size"] == 65536
    assert facts["parameters"]["total"] == sum(p.numel() for p in model.parameters())
    assert facts["parameters"]["quantizer"] == sum(p.numel() for p in model.quantizer.parameters())

    assert (
        json.loads(run("info", tiny_folder / "model.safetensors", "--json").out)["kind"] == "model"
    )
    text = run("info", tiny_folder).out
    assert f"{facts['parameters']['total']:,}" in text
    assert "codebook_size       65536" in text


def test_convert_goes_both_ways(tiny_folder: Path, tmp_path: Path) -> None:
    assert run("convert", tiny_folder, tmp_path / "original", "--to", "original").code == 0
    assert (
        run("convert", tmp_path / "original", tmp_path / "back", "--to", "transformers").code == 0
    )
    expected = XCodec2Model.from_pretrained(tiny_folder).state_dict()
    for folder, prefix in (("original", "generator."), ("back", "")):
        with safe_open(tmp_path / folder / "model.safetensors", "pt") as file:
            assert f"{prefix}quantizer.project_in.weight" in file.keys()  # noqa: SIM118
        weights = XCodec2Model.from_pretrained(tmp_path / folder).state_dict()
        assert weights.keys() == expected.keys()
        for (
            key,
            tensor,
        ) in weights.items():  # the original's weight norm rounds the convolutions once more
            torch.testing.assert_close(tensor, expected[key], rtol=1e-6, atol=1e-7)


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
        (["encde"], ["encode"]),
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
    monkeypatch.setattr(XCodec2Model, "from_pretrained", raiser(error))
    assert_failed(run("encode", speech, "-o", tmp_path / "a.npz"), code, *words)


def test_an_interrupt_exits_130(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(XCodec2Model, "from_pretrained", raiser(KeyboardInterrupt()))
    result = run("encode", speech, "-o", tmp_path / "a.npz")
    assert (result.code, result.err.strip()) == (130, "xcodec2: error: interrupted")


def test_debug_shows_where(speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(XCodec2Model, "from_pretrained", raiser(ZeroDivisionError("a bug")))
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


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=40, deadline=None)
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


# --- help and docs --------------------------------------------------------------------------------


def test_help_imports_nothing_slow() -> None:
    script = (
        "import sys\nfrom xcodec2.cli import main\n"
        "try:\n    main({args})\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', [m for m in ('torch', 'numpy', 'soundfile', 'huggingface_hub', 'tqdm') if "
        "m in sys.modules])"
    )
    for args in ([], ["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)):
        done = subprocess.run(
            [sys.executable, "-c", script.format(args=args)], capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == "HEAVY []", args


def test_the_commands_are_those_of_the_interface() -> None:
    first = ["convert", "decode", "encode", "evaluate", "export", "extract"]
    assert [*first, "info", "llasa", "reconstruct", "speak", "train", "transcribe"] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_parse(name: str) -> None:
    parent = click.Context(
        xcodec2, **xcodec2.context_settings
    )  # click keeps the -h that it first makes a command
    help_text = xcodec2.commands[name].get_help(
        click.Context(xcodec2.commands[name], parent, info_name=name)
    )
    examples = [
        line.strip() for line in help_text.splitlines() if line.startswith(f"    xcodec2 {name} ")
    ]
    assert len(examples) >= 2
    for line in examples:
        words = shlex.split(line)[2:]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                click.Path, "convert", lambda self, value, *_: Path(value)
            )  # its files need not exist
            xcodec2.commands[name].make_context(name, words)


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "make_cli_docs.py"))
    page = script["PAGE"].read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"## xcodec2 {name}\n" in page, f"{name} is not documented: run `make docs`"
    assert page == script["cli_page"](), "docs/reference/cli.md is stale: run `make docs`"
