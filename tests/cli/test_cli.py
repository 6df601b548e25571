"""The command line: what it writes, how it fails, and that its page in the docs is the truth."""

from __future__ import annotations

import errno
import io
import json
import os
import re
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
from paths import ROOT
from safetensors import safe_open

from xcodec2 import Codes, XCodec2Model
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
        said = f"{target}: 0.70 s of speech at 16000 Hz\n"
        command = ("decode", tmp_path / "a.npz", "-o", target, "--model", tiny_folder)
        assert run(*command) == (0, said, "")
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
        patch.setattr("xcodec2.codes.write_npz", fill_the_disk)
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
    pytest.importorskip("pystoi")
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
    first = run("convert", tiny_folder, tmp_path / "original", "--to", "original")
    assert first.code == 0
    assert re.fullmatch(rf"{tmp_path / 'original'}  \d\.\d MB\n", first.out)
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
    rest = ["info", "leaderboard", "llasa", "reconstruct", "serve", "speak", "train"]
    assert [*first, *rest, "transcribe", "voices"] == COMMANDS


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
