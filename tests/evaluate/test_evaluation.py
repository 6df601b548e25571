"""The evaluation as a whole: what is better ranks higher, nothing stops it, and it goes on where it
was.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from tiny import ASSETS, speech

from xcodec2.cli import xcodec2
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import FunctionSystem, evaluate

QUICK = {"models": (), "cost": False, "worst": 0}


def with_noise(decibels: float):
    """A codec whose error is this far below the speech."""

    def codec(waveform: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).standard_normal(len(waveform)).astype(np.float32)
        return waveform + noise * np.sqrt(np.mean(waveform**2)) * np.float32(10 ** (-decibels / 20))

    return codec


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A manifest of three clips of two speakers."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    samples = speech().numpy()
    lines = ["id\tpath\tspeaker"]
    for index, start in enumerate((0, 20_000, 40_000)):
        soundfile.write(folder / f"{index}.wav", samples[start : start + 36_000], 16_000)
        lines.append(f"clip-{index}\t{index}.wav\t{'ab'[index // 2]}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.tsv"


@pytest.mark.usefixtures("no_page")
def test_a_worse_codec_ranks_lower_and_a_copy_reaches_the_ceiling(corpus, tmp_path):
    systems = [FunctionSystem("good", with_noise(30)), FunctionSystem("bad", with_noise(5))]
    metrics = ("stoi", "pesq", "mel", "si-sdr", "f0")
    summary = evaluate(
        str(corpus), tmp_path / "out", systems=systems, baselines=["original"], metrics=metrics,
        group_by=["speaker"], **QUICK,
    )  # fmt: skip
    good, bad, copy = (summary["systems"][name]["metrics"] for name in ("good", "bad", "original"))
    for column in ("stoi", "estoi", "pesq_wb", "pesq_nb", "si_sdr"):
        assert bad[column]["mean"] < good[column]["mean"] < copy[column]["mean"], column
        assert summary["against_first"]["bad"][column]["high"] < 0, column
        assert summary["against_first"]["bad"][column]["better_on"] == 0
    for column in ("mel", "f0_cents", "voicing"):
        assert bad[column]["mean"] > good[column]["mean"] > copy[column]["mean"] == 0, column
    ceilings = {"stoi": 1.0, "estoi": 1.0, "pesq_wb": 4.644, "pesq_nb": 4.549, "si_sdr": 100.0}
    assert {column: copy[column]["mean"] for column in ceilings} == pytest.approx(
        ceilings, abs=1e-3
    )
    assert good["si_sdr"]["mean"] == pytest.approx(30, abs=0.2)
    assert {v: s["good"]["recordings"] for v, s in summary["groups"]["speaker"].items()} == {
        "a": 2,
        "(others)": 1,
    }
    assert summary["missing"] == {}
    assert json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8")) == summary


@pytest.mark.usefixtures("no_page")
def test_nothing_stops_the_run_and_every_input_has_a_row_with_its_reason(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    samples = speech().numpy()
    soundfile.write(folder / "fine.wav", samples[:40_000], 16_000)
    soundfile.write(folder / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(folder / "short.wav", samples[20_000:20_800], 16_000)
    soundfile.write(folder / "little.wav", samples[20_000:24_000], 16_000)
    (folder / "broken.wav").write_bytes(b"RIFF and nothing else")

    def crash(waveform: np.ndarray) -> np.ndarray:
        if len(waveform) == 40_000:
            raise ZeroDivisionError("no luck")
        return waveform

    systems = [
        FunctionSystem("crash", crash),
        FunctionSystem("longer", lambda waveform: np.pad(waveform, (0, 8_000))),
        FunctionSystem("padded", lambda waveform: np.pad(waveform, (0, 300))),
        FunctionSystem("nan", lambda waveform: waveform * np.nan),
        FunctionSystem("mute", np.zeros_like),
    ]
    metrics = ("stoi", "pesq", "mel", "si-sdr", "f0")
    summary = evaluate(str(folder), tmp_path / "out", systems=systems, metrics=metrics, **QUICK)
    rows = pq.read_table(tmp_path / "out" / "rows.parquet").to_pylist()
    assert len(rows) == 5 * 5
    of = {(row["id"], row["system"]): row for row in rows}
    for system in ("crash", "padded"):
        assert (
            "not audio" in of["broken.wav", system]["error"]
            or "broken.wav" in of["broken.wav", system]["error"]
        )
        assert of["silent.wav", system]["error"].startswith("silent")
        assert of["short.wav", system]["error"].startswith("too short: 0.050 s")
    assert of["fine.wav", "crash"]["error"] == "ZeroDivisionError: no luck"
    assert of["fine.wav", "longer"]["error"] == "differently long: 3.00 s came back of 2.50 s"
    assert of["fine.wav", "padded"]["si_sdr"] == 100.0
    assert "NaN" in of["fine.wav", "nan"]["error"]
    mute = json.loads(of["fine.wav", "mute"]["undefined"])
    assert {"pesq": "nothing to hear", "si-sdr": "silent"}.items() <= mute.items()
    assert (
        json.loads(of["little.wav", "padded"]["undefined"])["stoi"]
        == "fewer than 30 frames of speech"
    )
    assert of["little.wav", "padded"]["mel"] == 0
    assert (
        len(summary["failed"]) == sum(row["error"] is not None for row in rows) == 3 * 5 + 1 + 2 + 2
    )


@pytest.mark.usefixtures("no_page")
def test_an_interrupted_run_goes_on_and_repeats_nothing(corpus, tmp_path):
    calls: list[int] = []

    def counting(waveform: np.ndarray) -> np.ndarray:
        calls.append(len(waveform))
        if len(calls) == 3 and not (tmp_path / "healed").exists():
            raise KeyboardInterrupt
        return waveform * np.float32(0.9)

    def once(metrics=("mel",), out="out"):
        system = FunctionSystem("counting", counting)
        return evaluate(str(corpus), tmp_path / out, systems=[system], metrics=metrics, **QUICK)

    with pytest.raises(KeyboardInterrupt):
        once()
    assert not (tmp_path / "out" / "report.html").exists()
    journal = tmp_path / "out" / "rows.jsonl"
    assert len(journal.read_text().splitlines()) == 2
    with journal.open("a") as file:
        file.write('{"key": "half a li')
    (tmp_path / "healed").touch()
    resumed = once()
    assert len(calls) == 3 + 1  # the third again, the others not
    assert once() == resumed
    assert len(calls) == 4
    more = once(("mel", "si-sdr"))
    assert len(calls) == 7  # another measure needs the sound again, but not the old measure
    assert (
        more["systems"]["counting"]["metrics"]["mel"]
        == resumed["systems"]["counting"]["metrics"]["mel"]
    )
    assert once(("mel", "si-sdr"), "fresh")["systems"] == more["systems"]
    journal.write_text("{}\n")
    with pytest.raises(XCodec2Error, match="is damaged; remove it"):
        once()


@pytest.mark.usefixtures("no_page")
def test_a_failed_row_is_tried_again(corpus, tmp_path):
    """A program that was missing for a moment would else be missing for ever."""
    healed: list[bool] = []

    def shaky(waveform: np.ndarray) -> np.ndarray:
        if not healed:
            raise OSError("no memory")
        return waveform

    def once(*metrics: str) -> dict:
        systems = [FunctionSystem("shaky", shaky)]
        found = evaluate(str(corpus), tmp_path / "out", systems=systems, metrics=metrics, **QUICK)
        return found["systems"]["shaky"]

    assert once("mel")["failed"] == 3
    healed.append(True)
    found = once("si-sdr")
    assert (found["failed"], found["metrics"]["si_sdr"]["n"]) == (0, 3)
    assert once("mel")["metrics"]["mel"]["n"] == 3


@pytest.mark.usefixtures("no_page")
def test_a_report_below_its_source_is_no_part_of_it(corpus):
    folder = corpus.parent
    options = {"baselines": ["original"], "metrics": ("mel",), **QUICK}
    first = evaluate(str(folder), folder / "report", **options)
    again = evaluate(str(folder), folder / "report", **options)  # was refused: audio and Parquet
    assert again == first
    assert first["recordings"] == 3


@pytest.mark.usefixtures("no_page")
def test_results_belong_to_what_was_heard_and_not_to_its_name(corpus, tmp_path):
    """A file that changes under its name is measured again; one that is only moved is not."""
    seen: list[int] = []
    system = FunctionSystem("same", lambda waveform: seen.append(1) or waveform)
    evaluate(str(corpus), tmp_path / "out", systems=[system], metrics=("mel",), **QUICK)
    soundfile.write(corpus.parent / "0.wav", speech().numpy()[5000:30_000], 16_000)
    (corpus.parent / "1.wav").rename(corpus.parent / "moved.wav")
    corpus.write_text(corpus.read_text().replace("1.wav", "moved.wav"))
    evaluate(str(corpus), tmp_path / "out", systems=[system], metrics=("mel",), **QUICK)
    assert len(seen) == 3 + 1


OWN = """
from xcodec2.evaluate import Column, Metric
class Peak(Metric):
    name, columns = "peak", (Column("peak", "peak"),)
    def __call__(self, pair):
        return {"peak": abs(pair.decoded).max()}
"""


@pytest.mark.usefixtures("no_page")
def test_workers_change_no_number(corpus, tmp_path):
    (tmp_path / "own.py").write_text(OWN)

    def rows(workers: int) -> list[dict]:
        out = tmp_path / f"out{workers}"
        evaluate(
            str(corpus),
            out,
            baselines=["mulaw", "original"],
            metrics=("mel", "f0", "stoi", f"{tmp_path}/own.py:Peak"),
            workers=workers,
            **QUICK,
        )
        return pq.read_table(out / "rows.parquet").to_pylist()

    measured = rows(1)
    assert measured == rows(2)
    assert all(row["peak"] > 0 for row in measured)
    with pytest.raises(XCodec2Error, match="needs workers=1"):
        evaluate(
            str(corpus),
            tmp_path / "f",
            systems=[FunctionSystem("f", lambda w: w)],
            workers=2,
            **QUICK,
        )


def test_a_missing_evaluator_is_reported(corpus, tmp_path):
    summary = evaluate(
        str(corpus), tmp_path / "out", baselines=["original"], metrics=("mel", "wer", "speaker"),
        asr=str(tmp_path / "no-model"), speaker_encoder=str(tmp_path / "none-either"), **QUICK,
    )  # fmt: skip
    assert set(summary["missing"]) == {"wer", "speaker"}
    assert "no-model: cannot be loaded" in summary["missing"]["wer"]
    assert "Missing measures" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_command_line(tiny_folder, tmp_path):
    out = tmp_path / "report"
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, speech().numpy()[:24_000], 16_000)
    command = [
        "evaluate",
        str(clip),
        "--out",
        str(out),
        "--model",
        str(tiny_folder),
        "--baseline",
        "mulaw",
    ]
    result = CliRunner().invoke(
        xcodec2, [*command, "--metrics", "si-sdr,invariance", "--worst", "1", "--no-cost"]
    )
    assert result.exit_code == 0, result.output
    assert "tiny" in result.output
    said = result.output.splitlines()
    assert said[0] == f"1 recording, 1.5 s, of {clip}"
    assert [
        line.split()[:3] for line in said if line.startswith(("bit/s  ", "nominal", "report"))
    ] == [
        ["bit/s", "811", "128000"],
        ["nominal", "bit/s", "800"],
        ["report:", str(out / "report.html")],
    ]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["systems"]["tiny"]["bit_rate"] == pytest.approx(76 * 16 / 1.5)
    assert 0 <= summary["systems"]["tiny"]["metrics"]["kept_gain"]["mean"] <= 1
    assert summary["codes"]["tiny"]["use"]["total"] == 76
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<audio") == 3  # the original, and the worst file of both systems
    assert "http" not in page.replace(
        "http://www.w3.org", ""
    )  # namespaces of SVG; nothing is fetched
    metadata = pq.read_schema(out / "rows.parquet").metadata
    assert json.loads(metadata[b"xcodec2.evaluate"])["measures"] == summary["measures"]


def vanish(waveform: np.ndarray) -> np.ndarray:
    os._exit(1)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_in_one_line(corpus, tmp_path):
    with pytest.raises(XCodec2Error, match=r"a worker process died.* fewer --workers"):
        evaluate(
            str(corpus),
            tmp_path / "out",
            systems=[FunctionSystem("gone", vanish)],
            workers=2,
            **QUICK,
        )


@pytest.mark.slow
def test_costs_are_measured_in_fresh_processes(tiny_folder):
    from xcodec2.evaluate.cost import costs

    ours = costs("model", str(tiny_folder), speech().numpy())
    assert 0 < ours["real_time_factor"] < 1
    assert 100 < ours["peak_memory_mb"] < 4000
    hog = costs("made", FunctionSystem("hog", hungry), speech().numpy())
    lean = costs("made", FunctionSystem("lean", np.negative), speech().numpy())
    assert hog["peak_memory_mb"] > lean["peak_memory_mb"] + 300
    assert (
        "not measured"
        in costs("made", FunctionSystem("local", lambda w: w), speech().numpy())["error"]
    )


def hungry(waveform: np.ndarray) -> np.ndarray:
    return waveform + np.ones(100_000_000, np.float32).sum() * 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--metrics", "stoi,taste"], 2, "taste: there are stoi, pesq"),
        (["--baseline", "mp3"], 1, "no baseline 'mp3'; there are original, mulaw, opus@RATE"),
        (["--baseline", "opus@loud"], 1, "'loud' is no bit rate"),
        (["--baseline", "mulaw", "--baseline", "mulaw"], 1, "two systems are called mulaw"),
        (["--baseline", "mulaw", "--group-by", "dialect"], 1, "no column dialect to group by"),
        (
            ["--baseline", "mulaw", "--phones", "nowhere"],
            1,
            "no recording has phone labels in 'nowhere'",
        ),
        (["--baseline", "mulaw", "--seconds", "60", "90"], 1, "none is as long"),
    ],
)
def test_bad_use_is_one_line(arguments, code, says, tiny_folder, tmp_path, capsys):
    from xcodec2.cli import main

    with pytest.raises(SystemExit) as stopped:
        main(
            [
                "evaluate",
                str(ASSETS / "demo.flac"),
                "--out",
                str(tmp_path),
                "--model",
                str(tiny_folder),
                "--metrics",
                "none",
                "--no-cost",
                *arguments,
            ]
        )
    assert stopped.value.code == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
