"""The guide's table of ends, planted faults and what moves a metric has all of them."""

from __future__ import annotations

import re

from paths import ROOT

from xcodec2.evaluate.metrics import NAMES
from xcodec2.evaluate.probing import TOKEN_METRICS

HEAD = "| metric | ceiling | floor | planted fault |"


def test_every_metric_stands_in_the_table_with_its_two_ends():
    guide = (ROOT / "docs" / "guides" / "evaluation.md").read_text(encoding="utf-8")
    table = guide[guide.index(HEAD) :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}
    assert named == {*NAMES, *(metric.name for metric in TOKEN_METRICS)}
    assert all(len(row) == 7 and row[1] and row[2] for row in rows)
