"""Numbers in other forms, and one page of many reports, in a real browser."""

from __future__ import annotations

import base64
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import in_browser
from click.testing import CliRunner
from tiny import speech

from xcodec2.cli import xcodec2
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import FunctionSystem, evaluate, evaluation
from xcodec2.evaluate.exports import FORMS
from xcodec2.evaluate.leaderboard import leaderboard

EVIL = "<img src=x onerror=window.injected=1>\"'"


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """Two systems, one with a name that is markup for HTML and for LaTeX, with all exports."""
    folder = tmp_path_factory.mktemp("exports")
    lines = ["id\tpath\tlanguage\tnoise\ttext"]
    for number in range(4):
        samples = speech().numpy()[8_000 * number : 8_000 * number + 24_000]
        soundfile.write(folder / f"{number}.wav", samples, 16_000, subtype="FLOAT")
        lines.append(f"../clip {number}\t{number}.wav\t{'ab'[number % 2]}\tlow\tsome words")
    (folder / "m.tsv").write_text("\n".join(lines) + "\n")
    systems = [
        FunctionSystem("half_5% & <b>", lambda w: w / 2, bit_rate=800),
        FunctionSystem("better", lambda w: w * np.float32(0.9), bit_rate=6000),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "page", lambda *args, **options: "")
        evaluate(
            str(folder / "m.tsv"), folder / "out", models=(), systems=systems, exports=FORMS,
            metrics=("stoi", "pesq", "mel"), group_by=["language", "noise"], cost=False, worst=0,
        )  # fmt: skip
    return folder / "out"


def summary_of(report: Path) -> dict:
    return json.loads((report / "summary.json").read_text(encoding="utf-8"))


def test_csv_holds_the_summary_to_the_last_digit(report):
    with (report / "exports" / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    for name, found in summary_of(report)["systems"].items():
        assert float(rows[name]["bit_rate"]) == found["bit_rate"]
        for column, metric in found["metrics"].items():
            assert float(rows[name][column]) == metric["mean"]
            assert float(rows[name][f"{column}_low"]) == metric["low"]
            assert int(rows[name][f"{column}_n"]) == metric["n"] == 4


def test_latex_is_escaped_and_marks_the_best(report):
    text = (report / "exports" / "table.tex").read_text(encoding="utf-8")
    assert r"half\_5\% \& <b> & 800 &" in text
    best = summary_of(report)["systems"]["better"]["metrics"]["mel"]["mean"]
    line = next(line for line in text.splitlines() if line.startswith("better"))
    assert rf"\textbf{{{best:.3f}}}" in line
    assert (
        len({line.count("&") - line.count(r"\&") for line in text.splitlines() if "&" in line}) == 1
    )


def test_codec_superb_has_what_is_defined_alike_and_no_more(report):
    found = json.loads((report / "exports" / "codec-superb.json").read_text(encoding="utf-8"))
    metrics = summary_of(report)["systems"]["better"]["metrics"]
    wanted = {
        "pesq": metrics["pesq_wb"]["mean"],
        "pesq-wb": metrics["pesq_wb"]["mean"],
        "stoi": metrics["stoi"]["mean"],
    }
    assert found["better"] == {"Speech": wanted, "overall": wanted}


def test_versa_gets_audio_lists_texts_and_a_configuration(report):
    folder = report / "exports" / "versa"
    lists = {path.stem: path.read_text().splitlines() for path in folder.glob("*.scp")}
    assert set(lists) == {"gt", "half_5-b", "better"}
    keys = [line.split(" ", 1)[0] for line in lists["gt"]]
    assert keys == [f"00000{number}-clip-{number}" for number in range(4)]
    for name, lines in lists.items():
        assert [line.split(" ", 1)[0] for line in lines] == keys
        for line in lines:
            path = Path(line.split(" ", 1)[1])
            assert path.parent == (folder / name).resolve()
            samples, rate = soundfile.read(path, dtype="float32")
            assert (len(samples), rate) == (24_000, 16_000)
    assert (folder / "text").read_text().splitlines()[0] == "000000-clip-0 some words"
    names = re.findall(r"^- name: (\w+)$", (folder / "score.yaml").read_text(), re.MULTILINE)
    assert names == ["pesq", "stoi", "pseudo_mos", "speaker"]


def test_other_forms_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(XCodec2Error, match="no export excel; there are csv"):
        evaluate("nowhere", tmp_path, exports=["excel"])


PROBE = """<script>
addEventListener("load", () => {
  const shown = () => [...document.querySelectorAll("tbody tr")].filter((r) => !r.hidden)
    .map((r) => r.cells[0].textContent + "|" + r.cells[1].textContent);
  const set = (name, value) => {
    const field = document.querySelector(`[data-filter=${name}]`);
    field.value = value;
    field.dispatchEvent(new Event("input"));
  };
  const first = shown();
  set("language", "a");
  const a = shown(), count = document.querySelector("#count").textContent;
  set("language", "any"); set("system", "BETTER");
  const better = shown();
  set("system", ""); set("language", "all"); set("condition", "noise=low");
  const low = shown();
  set("condition", "all");
  const heads = [...document.querySelectorAll("thead th")];
  const mel = heads.find((head) => head.textContent.startsWith("mel"));
  mel.click(); mel.click();
  const sorted = shown();
  set("system", "theirs");
  const narrow = heads.filter((head) => head.offsetWidth).map((head) => head.textContent);
  set("system", "");
  const wide = heads.filter((head) => head.offsetWidth).length;
  const found = { narrow, wide, first, a, count, better, low, sorted, errors: window.seen,
    injected: window.injected ?? 0, sideways: document.documentElement.scrollWidth - innerWidth };
  const text = btoa(unescape(encodeURIComponent(JSON.stringify(found))));
  document.body.innerHTML = "<pre>" + text + "</pre>";
});
</script>"""


def test_the_leaderboard_sorts_and_filters_in_a_browser(report, tmp_path):
    other = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    other["systems"] = {EVIL: other["systems"]["better"]}
    other["groups"], other["source"] = {}, EVIL
    published = {"system": "theirs", "source": EVIL, "date": "2026-01-01", "bit_rate": None,
                 "metrics": {"stoi": 0.5}, "note": ""}  # fmt: skip
    other["protocol"] = {"title": EVIL, "published": [published]}
    (tmp_path / "summary.json").write_text(json.dumps(other), encoding="utf-8")
    out = tmp_path / "board.html"
    result = CliRunner().invoke(
        xcodec2, ["leaderboard", str(report), str(tmp_path), "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "10 rows of 2 reports" in result.output
    content = out.read_text(encoding="utf-8")
    listen = "<script>window.seen = []; onerror = (message) => { seen.push(message); };</script>"
    content = content.replace("<head>", f"<head>{listen}", 1).replace("</body>", f"{PROBE}</body>")
    dom = in_browser(out, content, width=400)
    found = json.loads(base64.b64decode(re.search(r"<pre>(.*?)</pre>", dom)[1]))
    assert found["errors"] == []
    assert found["injected"] == 0
    assert len(found["first"]) == 4  # two systems, the other report's, and the published row
    assert found["a"] == ["half_5% & <b>|a", "better|a"]
    assert found["count"] == "2 of 10 rows"
    assert set(found["better"]) == {"better|all", "better|a", "better|b"}
    assert len(found["low"]) == 2
    assert found["sorted"][0].startswith(("better", "<img"))
    assert found["sideways"] <= 0
    # Of rows that have no more than STOI, no other column is shown.
    assert found["narrow"] == ["system", "language", "condition", "corpus", "STOI ↑", "report"]
    assert found["wide"] == 6 + 5 + 1


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("nonsense", "is not JSON"),
        ("[]", "is no summary of an evaluation"),
        ('{"systems": {"x": {}}}', "is no summary of an evaluation"),
        ("", "is empty"),
    ],
)
def test_other_files_are_no_reports(tmp_path, content, wanted):
    (tmp_path / "summary.json").write_text(content)
    with pytest.raises(XCodec2Error, match=wanted):
        leaderboard([tmp_path], tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_a_number_that_is_none_is_refused(report, tmp_path):
    text = (report / "summary.json").read_text(encoding="utf-8")
    text = re.sub(r'"mean": [\d.]+', '"mean": NaN', text, count=1)
    (tmp_path / "summary.json").write_text(text, encoding="utf-8")
    with pytest.raises(XCodec2Error, match="nan is no number"):
        leaderboard([tmp_path], tmp_path / "out.html")
