"""A user's own metric: a class in a file of theirs, by the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from click.testing import CliRunner
from tiny import speech

from xcodec2.cli import xcodec2
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import Column, FunctionSystem, Metric, Pair, evaluate
from xcodec2.evaluate.metrics import COLUMNS, METRICS, NAMES
from xcodec2.evaluate.metrics.selection import RESERVED

PEAK = """
from __future__ import annotations

from dataclasses import dataclass

from xcodec2.evaluate import Column, Metric, Pair


@dataclass(frozen=True)
class Scale:
    factor: float = 1.0


class Peak(Metric):
    name = "peak"
    columns = (Column("peak_ratio", "peak <ratio>", "lower", digits=4),)

    def __call__(self, pair: Pair) -> dict[str, float]:
        return {"peak_ratio": Scale().factor * abs(pair.decoded).max() / abs(pair.original).max()}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: two clips, and a module with a metric."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for index in range(2):
        samples = speech().numpy()[20_000 * index : 20_000 * index + 20_000]
        soundfile.write(tmp_path / "clips" / f"{index}.wav", samples, 16_000)
    (tmp_path / "own_peak_metric.py").write_text(PEAK)
    return tmp_path


@pytest.mark.parametrize("name", ["own_peak_metric:Peak", "own_peak_metric.py:Peak"])
def test_by_the_command_line(folder, tiny_folder, name):
    words = ["evaluate", "clips", "-o", "out", "--baseline", "original", "--no-cost"]
    words += ["--model", str(tiny_folder), "--metrics", f"si-sdr,{name}", "--worst", "1"]
    result = CliRunner().invoke(xcodec2, words)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("peak")]
    assert line.split()[:3] == ["peak", "<ratio>", "lower"]
    assert "1.0000 ±0.0000" in line
    summary = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    assert summary["systems"]["original"]["metrics"]["peak_ratio"]["mean"] == 1.0
    assert summary["columns"]["peak_ratio"]["metric"] == "peak"
    assert summary["measures"]["peak"].startswith("Peak of own_peak_metric.py, ")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "peak &lt;ratio&gt;" in page
    assert "peak <ratio>" not in page
    rows = pq.read_table("out/rows.parquet").to_pylist()
    assert [row["peak_ratio"] for row in rows if row["system"] == "original"] == [1.0, 1.0]
    assert rows[0]["stoi"] is None  # built-in columns are there, whatever was measured


@pytest.mark.usefixtures("no_page")
def test_measured_again_when_the_file_changes(folder):
    def measured(out: str) -> list[float]:
        name = "own_peak_metric.py:Peak"
        options = {"models": (), "cost": False, "worst": 0, "metrics": [name]}
        evaluate("clips", out, baselines=["original"], **options)
        return [row["peak_ratio"] for row in pq.read_table(f"{out}/rows.parquet").to_pylist()]

    assert measured("out") == [1.0, 1.0]
    (folder / "own_peak_metric.py").write_text(
        PEAK.replace("factor: float = 1.0", "factor: float = 2.0")
    )
    assert measured("out") == [2.0, 2.0]
    lines = (folder / "out" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert measured("out") == [2.0, 2.0]
    assert (folder / "out" / "rows.jsonl").read_text().splitlines() == lines


class Moody(Metric):
    """Fails as a user's class may fail."""

    name, columns, implementation = "moody", (Column("mood", "mood"),), "1"
    result: object = 1.0

    def __call__(self, pair: Pair) -> dict[str, float]:
        if isinstance(self.result, Exception):
            raise self.result
        return {"mood": self.result}


@pytest.mark.usefixtures("no_page")
@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (ZeroDivisionError("no luck"), "ZeroDivisionError: no luck"),
        (XCodec2Error("too sad"), "too sad"),
        (float("nan"), "mood: not finite"),
        ("happy", "TypeError: must be real number, not str"),
    ],
)
def test_a_metric_that_fails_costs_its_value_alone(folder, result, reason, monkeypatch):
    monkeypatch.setattr(Moody, "result", result)
    options = {"models": (), "cost": False, "worst": 0, "baselines": ["mulaw"]}
    summary = evaluate("clips", "out", metrics=["si-sdr", Moody], **options)
    found = summary["systems"]["mulaw"]
    assert found["undefined"] == {"moody": {reason: 2}}
    assert found["metrics"].keys() == {"si_sdr"}


@pytest.mark.usefixtures("no_page")
def test_a_value_of_an_earlier_implementation_does_not_stay(folder, monkeypatch):
    options = {"models": (), "cost": False, "worst": 0, "baselines": ["mulaw"], "metrics": [Moody]}
    assert evaluate("clips", "out", **options)["systems"]["mulaw"]["metrics"]["mood"]["n"] == 2
    monkeypatch.setattr(Moody, "implementation", "2")
    monkeypatch.setattr(Moody, "result", XCodec2Error("too sad"))
    for _ in range(2):
        found = evaluate("clips", "out", **options)["systems"]["mulaw"]
        assert found["undefined"] == {"moody": {"too sad": 2}}
        assert found["metrics"] == {}


def of(**names: object) -> type[Metric]:
    return type("Own", (Moody,), names)


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ("taste", "no metric is called taste; there are stoi, pesq"),
        ("no_such_module:Peak", "no_such_module cannot be imported .ModuleNotFoundError"),
        ("no_such_file.py:Peak", "no_such_file.py cannot be imported .FileNotFoundError"),
        ("own_peak_metric:Pike", "own_peak_metric has no Pike"),
        ("own_peak_metric:Scale", "own_peak_metric:Scale: is no metric; derive the class from"),
        ("json:dumps", "json:dumps: is no metric"),
        (of(columns=()), "Own: needs a name and columns"),
        (of(columns=("mood",)), "columns must be xcodec2.evaluate.Column objects"),
        (of(name="stoi"), "a metric cannot be called 'stoi'"),
        (of(name="a,b"), "a metric cannot be called 'a,b'"),
        (of(columns=(Column("wer", "mine"),)), "its column 'wer' is there already"),
        (of(columns=(Column("wer_total", "mine"),)), "its column 'wer_total' is there already"),
        (of(counts=("codes",)), "its column 'codes' is there already"),
        (of(columns=(Column("column_text", "t"),)), "its column 'column_text' is there already"),
        (type("Open", (Metric,), {"name": "o", "columns": Moody.columns}), "Open: cannot be made"),
    ],
)
def test_what_is_no_metric_is_refused_before_any_work(folder, metric, says):
    with pytest.raises(XCodec2Error, match=says):
        evaluate("clips", "out", models=(), baselines=["mulaw"], metrics=[metric], cost=False)
    assert not (folder / "out").exists()


def test_a_class_without_a_file_needs_a_word_for_its_version(folder):
    names: dict = {}
    exec(PEAK.replace("Peak(", "Typed(").replace("@dataclass(frozen=True)", ""), names)
    with pytest.raises(XCodec2Error, match="Typed is in no file: give it an `implementation`"):
        evaluate("clips", "out", models=(), baselines=["mulaw"], metrics=[names["Typed"]])


def test_two_of_ones_own_cannot_share_a_column(folder):
    other = of(name="other")
    with pytest.raises(XCodec2Error, match="its column 'mood' is there already"):
        evaluate("clips", "out", models=(), baselines=["mulaw"], metrics=[Moody, other])


def test_each_built_in_metric_says_everything_about_itself():
    """Names and columns are unique, and no row's own column is taken."""
    assert len(set(NAMES)) == len(METRICS) == 11
    names = [column.name for metric in METRICS for column in metric.columns]
    assert len(set(names)) == len(COLUMNS) == len(names)
    assert not set(names) & RESERVED
    for metric in METRICS:
        assert metric.__doc__, metric
        assert metric.cost in ("low", "high")
        for column in metric.columns:
            assert column.better in ("higher", "lower") or column.name == "asr_loops"
            assert column.note
            assert set(column.ratio or ()) <= set(metric.counts)


@pytest.mark.usefixtures("no_page")
def test_old_names_of_arguments_still_work(folder):
    same = FunctionSystem("same", np.copy)
    with pytest.warns(DeprecationWarning, match=r"evaluate\(measures=\) is now metrics="):
        summary = evaluate(
            "clips", "out", models=(), functions=[same], measures=("mel",), cost=False, worst=0
        )
    assert summary["systems"]["same"]["metrics"]["mel"]["mean"] == 0
    with pytest.raises(TypeError, match="both 'measures' and 'metrics'"):
        evaluate("clips", "out", measures=(), metrics=())
