"""The report in a real browser, and text that tries to be more than text."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import in_browser
from tiny import speech

from xcodec2.evaluate import FunctionSystem, evaluate

PROBE = """<script>
addEventListener("load", async () => {
  const players = [...document.querySelectorAll("audio")];
  const loaded = (p) => new Promise((r) => p.onloadedmetadata = p.onerror = r);
  await Promise.all(players.map((p) => p.readyState ? 0 : loaded(p)));
  document.querySelector("table.sortable thead th:nth-child(4)").click();
  const report = {
    errors: window.seen,
    durations: players.map((p) => p.duration),
    images: [...document.images].map((i) => [i.complete, i.naturalWidth]),
    plots: [...document.querySelectorAll("svg.plot")].map((s) => s.getBoundingClientRect().width),
    order: [...document.querySelectorAll("#table tbody th")].map((t) => t.textContent),
    names: [...document.querySelectorAll(".wide tbody th")].map((t) => t.offsetWidth),
    sideways: document.documentElement.scrollWidth - innerWidth,
    injected: window.injected ?? 0,
  };
  const found = btoa(unescape(encodeURIComponent(JSON.stringify(report))));
  document.body.innerHTML = "<pre>" + found + "</pre>";
});
</script>"""
EVIL = "<script>window.injected=1</script>\"'><img src=x onerror=window.injected=2>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems on six clips, whose text is markup."""
    folder = tmp_path_factory.mktemp("report")
    lines = ["id\tpath\tlanguage\ttext"]
    for index in range(6):
        samples = speech().numpy()[8_000 * index : 8_000 * index + 32_000]
        soundfile.write(folder / f"{index}.wav", samples, 16_000)
        words = EVIL.replace('"', '""')
        lines.append(f'clip {index}\t{index}.wav\t{["<i>it</i>", "ru"][index % 2]}\t"{words}"')
    (folder / "m.tsv").write_text("\n".join(lines) + "\n")
    systems = [
        FunctionSystem(
            "half <b>", lambda w: w * 0.5 + 0.02 * np.sin(np.arange(len(w))), bit_rate=800
        ),
        FunctionSystem("clean", lambda w: w, bit_rate=6000),
    ]
    evaluate(
        str(folder / "m.tsv"),
        folder / "out",
        models=(),
        systems=systems,
        metrics=("stoi", "mel", "si-sdr"),
        group_by=["language"],
        worst=2,
        cost=False,
    )
    return folder / "out" / "report.html"


def test_nothing_is_wider_than_a_phone_but_what_scrolls(report):
    content = report.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>")
    listen = "<script>window.seen = [];</script>"
    dom = in_browser(report, content.replace("<head>", f"<head>{listen}", 1), width=500)
    found = json.loads(base64.b64decode(re.search(r"<pre>(.*?)</pre>", dom)[1]))
    assert found["sideways"] <= 0
    assert all(width >= 640 for width in found["plots"])  # they scroll, and can be read
    assert min(found["names"]) >= 100  # names are not broken letter by letter


def test_page_works_in_a_browser(report):
    content = report.read_text(encoding="utf-8")
    listen = "<script>window.seen = []; onerror = (message) => { seen.push(message); };</script>"
    dom = in_browser(
        report,
        content.replace("<head>", f"<head>{listen}", 1).replace("</body>", f"{PROBE}</body>"),
    )
    found = json.loads(base64.b64decode(re.search(r"<pre>(.*?)</pre>", dom)[1]))
    assert found["errors"] == []
    assert found["injected"] == 0
    assert found["durations"] == pytest.approx(
        [2.0] * 6, abs=0.01
    )  # two clips, the original and both reconstructions
    assert len(found["images"]) == 4  # the worst two files, by both systems
    assert all(complete and width == 1200 for complete, width in found["images"])
    assert len(found["plots"]) == 2  # rates and distributions; these systems have no codes
    assert all(width > 600 for width in found["plots"])
    assert found["order"] == ["clean", "half <b>"]  # the click has sorted by STOI
    assert found["sideways"] <= 0


def test_page_is_whole_and_fetches_nothing(report):
    content = report.read_text(encoding="utf-8")
    assert "<script>window.injected" not in content
    assert "onerror=window" not in content.replace("&lt;img src=x onerror=window", "")
    assert not re.findall(r'(?:src|href)="(?!data:|#)', content)
    for title in (
        "Summary",
        "Quality against bit rate",
        "Every file",
        "By language",
        "How it was measured",
    ):
        assert f"<h2>{title}</h2>" in content, title
    assert "The worst files of half &lt;b&gt;, by ESTOI" in content
    assert content.count("<article>") == 2
    assert len(content) < 1_500_000


def test_page_is_the_same_every_time_and_can_do_without_sound(report, tmp_path):
    def again(audio: bool) -> str:
        out = tmp_path / str(audio)
        evaluate(
            str(report.parent.parent / "m.tsv"),
            out,
            models=(),
            baselines=["mulaw"],
            metrics=("mel", "si-sdr"),
            worst=1,
            audio=audio,
            cost=False,
        )
        return (out / "report.html").read_text(encoding="utf-8")

    silent = again(False)
    assert "<audio" not in silent
    assert "<audio" in again(True)
    assert silent == again(False)
