"""What a newcomer has: files of every kind, a broken codec among others, manifests with columns of
their own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from tiny import speech

from xcodec2.cli import main
from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import FunctionSystem, evaluate
from xcodec2.evaluate.report import plots
from xcodec2.evaluate.report.worst import worst_files
from xcodec2.evaluate.systems.tokenizer import model_names

QUICK = {"models": (), "cost": False, "worst": 0, "metrics": ("mel",)}


def clip(number: int = 0, seconds: float = 1.5) -> np.ndarray:
    return speech().numpy()[8_000 * number :][: int(16_000 * seconds)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, a silent one, one of 0.2 s and one in stereo at 44.1 kHz."""
    folder = tmp_path / "corpus"
    (folder / "b").mkdir(parents=True)
    soundfile.write(folder / "one.wav", clip(0), 16_000)
    soundfile.write(folder / "b" / "one.wav", clip(1), 16_000)  # a name that comes twice
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "short.wav", clip(2, 0.2), 16_000)
    both = np.stack([clip(3), 0.5 * clip(3)], axis=1)
    soundfile.write(folder / "stereo.wav", np.repeat(both, 3, axis=0), 44_100)
    return folder


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `xcodec2 evaluate`."""
    try:
        main(["evaluate", *arguments])
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.usefixtures("no_page")
def test_a_broken_codec_is_not_hidden_behind_a_broken_file(folder, tiny_folder, tmp_path, capsys):
    fails = "cmd@broken:sh -c 'echo no licence at $1 >&2; exit 1' - {in} {code}:cp {code} {out}"
    code, said, error = run(
        capsys, str(folder), "-o", str(tmp_path / "out"), "--model", str(tiny_folder),
        "--baseline", fails, "--metrics", "mel", "--no-cost", "--worst", "0",
    )  # fmt: skip
    assert (code, error) == (0, "")
    failed = [line for line in said.splitlines() if line.startswith("failed")]
    assert failed == [
        "failed: one.wav and 3 more of broken: sh failed: no licence at {in}",
        "failed: silent.wav of every system: silent: every sample is zero",
    ]
    rows = pq.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    assert sum(row["mel"] is not None for row in rows) == 4


@pytest.mark.usefixtures("no_page")
def test_a_run_that_measures_nothing_fails(folder, tiny_folder, tmp_path, capsys):
    code, said, error = run(
        capsys, str(folder / "silent.wav"), "-o", str(tmp_path / "out"),
        "--model", str(tiny_folder), "--metrics", "mel", "--no-cost",
    )  # fmt: skip
    assert code == 1
    assert "failed: silent.wav of tiny: silent: every sample is zero" in said
    assert error == "xcodec2: error: nothing could be measured: silent: every sample is zero\n"
    assert (tmp_path / "out" / "summary.json").exists()  # with all the reasons


@pytest.mark.usefixtures("no_page")
def test_columns_of_ones_own_can_be_named(folder, tmp_path, tiny_folder, capsys):
    (folder / "m.tsv").write_text("clip\ttake\tid\none.wav\tx\t1\nb/one.wav\ty\t1\n")
    command = [str(folder / "m.tsv"), "-o", str(tmp_path / "out"), "--model", str(tiny_folder)]
    command += ["--metrics", "none", "--no-cost", "--worst", "0"]
    code, _, error = run(capsys, *command)
    assert code == 1
    assert "name the one with the audio" in error
    code, _, error = run(capsys, *command, "--audio-column", "clip")
    assert code == 1
    assert "two recordings have the id '1'" in error
    code, said, _ = run(capsys, *command, "--audio-column", "clip", "--id-column", "take")
    assert code == 0
    assert said.startswith("2 recordings, 3.0 s")
    assert "\nbit/s" in said  # also where codes alone are wanted


@pytest.mark.usefixtures("no_page")
def test_what_python_gives_is_a_path_or_recordings_with_ids_of_their_own(folder, tmp_path):
    (tmp_path / "m.tsv").write_text("id\tpath\na\tcorpus/one.wav\n")
    summary = evaluate(tmp_path / "m.tsv", tmp_path / "out", baselines=["mulaw"], **QUICK)
    assert summary["source"] == str(tmp_path / "m.tsv")
    recordings = list(read_corpus(tmp_path / "m.tsv"))
    with pytest.raises(XCodec2Error, match="two recordings have the id 'a'"):
        evaluate(recordings * 2, tmp_path / "out", baselines=["mulaw"], **QUICK)
    with pytest.raises(XCodec2Error, match="are read already"):
        evaluate(recordings, tmp_path / "out", baselines=["mulaw"], reading={"split": "x"}, **QUICK)


def test_models_of_several_runs_have_names_of_their_own(tmp_path, monkeypatch):
    for name in ("runs/a/model", "runs/b/model", "runs/b/best"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs" / "a" / "model")
    assert model_names(["nano", "."]) == ["nano", "model"]
    monkeypatch.chdir(tmp_path)
    assert model_names(["runs/a/model"]) == ["model"]
    assert model_names(["runs/a/model", "runs/b/best"]) == ["model", "best"]
    assert model_names(["runs/a/model", "nano", "./runs/b/model/"]) == [
        "a/model",
        "nano",
        "b/model",
    ]


@pytest.mark.usefixtures("no_page")
def test_a_protocol_takes_the_digest_that_its_own_run_gave(folder, tmp_path):
    """Also of a corpus with files that are left out, or cannot be used."""
    rules = (
        'base = "codec-superb"\ntitle = "ours"\n[corpus]\nrecordings = 5\nseconds = [0.5, 20.0]\n'
    )
    (tmp_path / "first.toml").write_text(rules)
    options = {**QUICK, "metrics": ("stoi", "pesq"), "baselines": ["mulaw"]}
    first = evaluate(folder, tmp_path / "out", protocol=str(tmp_path / "first.toml"), **options)
    exact = tmp_path / "exact.toml"
    exact.write_text(f'{rules}sha256 = "{first["corpus_sha256"]}"\n')
    again = evaluate(folder, tmp_path / "out", protocol=str(exact), **options)
    assert again["corpus_sha256"] == first["corpus_sha256"]
    (folder / "one.wav").write_bytes(b"RIFF and nothing else")
    with pytest.raises(XCodec2Error, match=r"has other recordings: .*without one\.wav: "):
        evaluate(folder, tmp_path / "out", protocol=str(exact), **options)
    rows = pq.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    listed = "\n".join(f'"{r["id"]}" = "{r["content"][:12]}"' for r in rows if r["content"])
    exact.write_text(f"{rules}[corpus.files]\n{listed}\n")
    with pytest.raises(XCodec2Error, match=r"ours needs one\.wav: .*one\.wav"):
        evaluate(folder, tmp_path / "out", protocol=str(exact), **options)


@pytest.mark.usefixtures("no_page")
def test_exports_hold_what_was_measured_and_no_more(folder, tmp_path):
    same = FunctionSystem("gt", lambda waveform: waveform)
    other = FunctionSystem("gt ", lambda waveform: waveform / 2)
    evaluate(
        folder, tmp_path / "out", systems=[same, other], seconds=(1.0, 20.0), exports=["versa"],
        **QUICK,
    )  # fmt: skip
    lists = {
        path.stem: path.read_text().splitlines()
        for path in (tmp_path / "out" / "exports" / "versa").glob("*.scp")
    }
    assert sorted(map(len, lists.values())) == [3, 3, 3]  # the originals and two systems


def test_names_with_dollars_are_drawn_as_they_are():
    systems = {
        r"cost $\nope{ $": {"bit_rate": 800, "metrics": {"mel": {"mean": 1, "low": 0, "high": 2}}}
    }
    rows = [{"system": name, "mel": value} for name in systems for value in range(6)]
    from xcodec2.evaluate.metrics import COLUMNS

    column = {"mel": COLUMNS["mel"]}
    drawn = plots.distributions(rows, list(systems), column)
    assert r"cost $\nope{ $" in drawn


@pytest.mark.usefixtures("no_page")
def test_a_codec_that_fails_the_second_time_costs_no_report(folder, tmp_path):
    failing = FunctionSystem("moody", lambda waveform: 1 / 0)
    recordings = list(read_corpus(folder / "one.wav"))
    rows = [{"id": recordings[0].id, "system": "moody", "mel": 1.0}]
    from xcodec2.evaluate.metrics import COLUMNS

    assert worst_files(rows, [failing], recordings, COLUMNS["mel"], 1, audio=False) == []


def test_a_summary_says_which_files_stand_behind_each_number(folder, tmp_path, no_page):
    """0.2 s have no STOI and no PESQ, and the reason is told once, with the file's count."""
    options = {**QUICK, "metrics": ("stoi", "pesq", "mel")}
    summary = evaluate(folder, tmp_path / "out", baselines=["mulaw"], **options)
    found = summary["systems"]["mulaw"]
    assert {name: metric["n"] for name, metric in found["metrics"].items()} == {
        "stoi": 3, "estoi": 3, "pesq_wb": 3, "pesq_nb": 3, "mel": 4,
    }  # fmt: skip
    assert set(found["undefined"]) == {"stoi", "pesq"}
    saved = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert saved == summary
