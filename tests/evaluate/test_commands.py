"""Codecs as two commands: bits from bytes, arguments as they were written, and clear errors."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import speech

from xcodec2.cli import xcodec2
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import evaluate, evaluation
from xcodec2.evaluate.systems import programs
from xcodec2.evaluate.systems.changes import CHANGES
from xcodec2.evaluate.systems.command import split_commands
from xcodec2.evaluate.systems.named import baseline

CODEC = """
import sys, wave
what, source, target = sys.argv[1:4]
if what == "encode":  # every second sample, in 8 bits
    with wave.open(source) as file:
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    open(target, "wb").write(bytes((value >> 8) + 128 for value in samples[::2]))
else:
    with wave.open(target, "wb") as file:
        file.setnchannels(1), file.setsampwidth(1), file.setframerate(8000)
        file.writeframes(open(source, "rb").read())
"""


@pytest.fixture
def codec(tmp_path: Path) -> str:
    """The commands of a codec whose file's name would be several words, or more, in a shell."""
    script = tmp_path / "my codec; touch $(HACKED): 'it'.py"
    script.write_text(CODEC)
    run = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))}"
    return f"{run} encode {{in}} {{code}}.bin:{run} decode {{code}}.bin {{out}}"


def test_bits_are_those_of_the_files_and_speech_comes_back(codec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = speech().numpy()[:32_001]
    system = baseline(f"cmd@mine:{codec}")
    assert system.name == "mine"
    decoded = system(clip)
    assert decoded.bits == 8 * 16_001
    middle = slice(1000, 30_000)
    assert np.corrcoef(decoded.waveform[middle], clip[middle])[0, 1] > 0.9
    assert os.listdir(tmp_path) == ["my codec; touch $(HACKED): 'it'.py"]
    summary = evaluate(
        clip_file(tmp_path, clip),
        tmp_path / "out", models=(), baselines=[f"cmd:{codec}"], metrics=("mel",), cost=False,
        worst=0,
    )  # fmt: skip
    (found,) = summary["systems"].values()
    assert found["bit_rate"] == pytest.approx(8 * 8000, rel=1e-3)


def clip_file(folder: Path, clip: np.ndarray) -> str:
    import soundfile

    soundfile.write(folder / "clip.wav", clip, 16_000)
    return str(folder / "clip.wav")


def test_another_program_under_the_same_name_is_another_codec(codec, tmp_path):
    before = baseline(f"cmd:{codec}").key
    assert baseline(f"cmd:{codec}").key == before
    (script,) = tmp_path.iterdir()
    script.write_text(CODEC + "\n")
    assert baseline(f"cmd:{codec}").key != before


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a {in} {code}:b {code} {out}", (["a", "{in}", "{code}"], ["b", "{code}", "{out}"])),
        ("a -r 1:2 {in} {code}:b {code} {out}", "a -r 1:2 {in} {code}"),
        ("a 'x:y' {in} {code}:b -m 3:4 {code} {out}", "a x:y {in} {code}"),
        ("a {in} {code} -x 1:2:cat {code} {out}", "a {in} {code} -x 1:2"),
        ("C:/a {in} {code}.opus:D:/b {code}.opus {out}", "C:/a {in} {code}.opus"),
    ],
)
def test_commands_are_cut_where_each_has_its_places(text, wanted):
    encode, decode = split_commands(text)
    if isinstance(wanted, tuple):
        assert (encode, decode) == wanted
    assert " ".join(encode) == (wanted if isinstance(wanted, str) else "a {in} {code}")
    assert decode[-1] == "{out}"


@pytest.mark.parametrize(
    "text",
    ["cmd:", "cmd:a {in} {code}", "cmd:a {in} {code}:b {out}", "cmd:a {code}:b {code} {out}",
     "cmd:a 'x {in} {code}:b {code} {out}", "cmd@a b:a {in} {code}:b {code} {out}",
     "cmd:a {in} {code}:b {in} {code} {out}"],
)  # fmt: skip
def test_other_forms_are_refused_with_the_form_that_is_right(text):
    with pytest.raises(XCodec2Error, match=r"write cmd:ENCODE:DECODE"):
        baseline(text)


def test_faults_are_named(tmp_path, monkeypatch):
    clip = speech().numpy()[:8000]
    with pytest.raises(XCodec2Error, match="nowhere-at-all: no such program"):
        baseline("cmd:nowhere-at-all {in} {code}:cp {code} {out}")
    for text, wanted in {
        "cmd:true {in} {code}:cp {code} {out}": r"true left nothing in the place of \{code\}",
        "cmd:cp {in} {code}:true {code} {out}": r"true left 0 files in the place of \{out\}",
        "cmd:sh -c 'echo broke >&2; exit 3' {in} {code}:cp {code} {out}": "sh failed: broke",
        "cmd:sh -c 'exit 3' {in} {code}:cp {code} {out}": "exit status 3, and no reason given",
        "cmd:cp {in} {code}:sh -c 'echo no audio > \"$2\"' - {code} {out}": r"\{out\}",
        "cmd:cp {in} {code}:sh -c 'echo \"$2 and $2.tmp\" >&2; exit 1' - {code} {out}": (
            r"failed: \{out\} and \{out\}\.tmp$"
        ),
    }.items():
        said = set()
        for _ in range(2):  # a reason that has a folder of its own each time is no reason
            with pytest.raises(XCodec2Error, match=wanted) as failed:
                baseline(text)(clip)
            said.add(str(failed.value))
        assert len(said) == 1, said
        assert "xcodec2-" not in said.pop()
    monkeypatch.setattr(programs, "TIMEOUT", 0.3)
    marker = tmp_path / "late"
    started = time.monotonic()
    slow = f"cmd:sh -c '(sleep 1.5; touch {marker}) & sleep 30' {{in}} {{code}}:cp {{code}} {{out}}"
    with pytest.raises(XCodec2Error, match=r"took more than 0\.3 s"):
        baseline(slow)(clip)
    assert time.monotonic() - started < 10
    time.sleep(1.5)
    assert not marker.exists()  # what it had started is gone, too


def test_changes_are_what_they_are_called():
    clip = speech().numpy()
    assert np.array_equal(baseline("change:copy")(clip).waveform, clip)
    assert np.array_equal(baseline("change:delay")(clip).waveform[160:], clip[:-160])
    for name in ("narrow", "gap", "noise-20", "noise", "loud", "quiet", "inverted", "silence"):
        changed = baseline(f"change:{name}")(clip).waveform
        assert changed.shape == clip.shape
        assert changed.dtype == np.float32
    with pytest.raises(XCodec2Error, match="there are copy, quiet"):
        baseline("change:faster")


def test_robustness_ranks_copy_planted_faults_and_floor(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "page", lambda *args, **options: "")
    clip = clip_file(tmp_path, speech().numpy()[20_000:60_000])
    command = ["evaluate", clip, "-o", str(tmp_path / "out"), "--robustness"]
    command += ["--metrics", "stoi,mel,si-sdr"]
    result = CliRunner().invoke(xcodec2, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert list(summary["systems"]) == [f"change:{name}" for name in CHANGES]
    for column in ("stoi", "estoi", "mel", "si_sdr"):
        sign = -1 if column == "mel" else 1
        mean = {
            name.removeprefix("change:"): sign * found["metrics"][column]["mean"]
            for name, found in summary["systems"].items()
            if column in found["metrics"]
        }
        assert mean["copy"] == max(mean.values()), column
        for fault in ("narrow", "gap"):
            assert mean["noise"] < mean[fault] < mean["copy"], (column, fault)
    refused = CliRunner().invoke(xcodec2, [*command, "--baseline", "mulaw"])
    assert refused.exit_code == 2
    assert "--robustness evaluates no models and baselines" in refused.output
