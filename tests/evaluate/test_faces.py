"""What `xcodec2.evaluate` shows, and what it was called before."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner
from paths import ROOT
from tiny import speech

import xcodec2.evaluate
from xcodec2 import evaluators
from xcodec2.cli import xcodec2 as command
from xcodec2.errors import EvaluatorError

CONSUMER = """
from pathlib import Path
from typing import Any

import numpy as np

from xcodec2 import XCodec2Model
from xcodec2.evaluate import (
    Column, Decoded, FunctionSystem, Metric, Pair, System, TokenizerSystem, evaluate,
)
from xcodec2.tokenizer import SpeechTokenizer


class Peak(Metric):
    name = "peak"
    columns = (Column("peak_ratio", "peak", digits=2),)
    implementation = "1"

    def __call__(self, pair: Pair) -> dict[str, float]:
        length: int = pair.of_original("length", len)
        assert length
        return {"peak_ratio": float(abs(pair.decoded).max() / abs(pair.original).max())}


class Half:
    name, implementation, key = "half", "1", "half"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        return Decoded(waveform / 2)


tokenizer: SpeechTokenizer = XCodec2Model.from_pretrained("nano")
mine, nano = FunctionSystem("mine", lambda w: w), TokenizerSystem("nano", tokenizer)
systems: list[System] = [mine, nano, Half()]
out = Path("report")
summary: dict[str, Any] = evaluate("speech.wav", out, systems=systems, metrics=["stoi", Peak])
"""


def test_the_face_is_light_and_shows_what_it_has():
    code = (
        "import sys, xcodec2.evaluate as e; print(dir(e) == sorted(e.__all__), "
        "[n for n in ('torch', 'numpy', 'scipy', 'pystoi', 'matplotlib') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "True []\n"
    for name in xcodec2.evaluate.__all__:
        assert getattr(xcodec2.evaluate, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xcodec2.evaluate.nothing  # noqa: B018


def test_the_example_of_the_page_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "guides" / "evaluation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    soundfile.write(tmp_path / "speech.wav", speech().numpy()[:32_000], 16_000)
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "example"}
    exec(example, names)
    systems = names["summary"]["systems"]
    assert list(systems) == ["nano", "mine"]
    assert systems["mine"]["metrics"]["stoi"]["mean"] == pytest.approx(1)
    assert 0 < systems["nano"]["metrics"]["peak"]["mean"] < 1


@pytest.mark.slow
def test_a_consumer_passes_strict_mypy(tmp_path):
    (tmp_path / "consumer.py").write_text(CONSUMER)
    arguments = ["--strict", "--config-file=", "--follow-imports=silent", "consumer.py"]
    said = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"MYPYPATH": str(Path(xcodec2.evaluate.__file__).parents[2]), "PATH": ""},
    )
    assert said.returncode == 0, said.stdout


def test_old_names_still_work():
    with pytest.warns(DeprecationWarning, match=r"judges.rater is now .*evaluators.mos_predictor"):
        from xcodec2.evaluate.judges import rater
    assert rater is evaluators.mos_predictor
    with pytest.warns(DeprecationWarning, match=r"judges.JudgeError is now .*EvaluatorError"):
        from xcodec2.evaluate.judges import JudgeError
    assert JudgeError is EvaluatorError


def test_the_old_command_that_fetches_weights_still_works(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fetch", "no-such-package"])
    sys.modules.pop("xcodec2.evaluate.judges.fetch", None)
    with pytest.warns(DeprecationWarning, match="evaluators.fetch"), pytest.raises(SystemExit):
        runpy.run_module("xcodec2.evaluate.judges.fetch", run_name="__main__")
    assert "no evaluator comes from no-such-package" in capsys.readouterr().err


def test_old_options_still_work(tmp_path, monkeypatch):
    given: dict = {}
    monkeypatch.setattr(xcodec2.evaluate, "evaluate", lambda *_, **options: given.update(options))
    old = ["--recogniser", "pocketsphinx", "--speaker", "x/y", "--judge-sample", "7"]
    result = CliRunner().invoke(command, ["evaluate", "a", "-o", str(tmp_path), *old])
    assert "--recogniser is now --asr\n" in result.output
    assert "--judge-sample is now --costly-sample\n" in result.output
    names = ("asr", "speaker_encoder", "costly_sample")
    assert [given[name] for name in names] == ["pocketsphinx", "x/y", 7]
    assert "judge" not in CliRunner().invoke(command, ["evaluate", "--help"]).output
