"""The tables of README.md and of nano's card are those of the evaluation that is in docs."""

from __future__ import annotations

import json
import re

from make_quality_tables import PAGES, SUMMARY, filled, tables

SUMMED_UP = json.loads(SUMMARY.read_text(encoding="utf-8"))


def test_pages_show_the_evaluation_as_it_is():
    made = tables(SUMMED_UP)
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        assert re.findall(r"<!-- quality: (\w+) -->", page), path
        assert filled(page, made) == page, f"{path} is stale: python scripts/make_quality_tables.py"


def test_a_changed_evaluation_changes_the_pages():
    changed = json.loads(json.dumps(SUMMED_UP))
    changed["systems"]["nano"]["metrics"]["stoi"]["mean"] += 0.01
    page = PAGES[0].read_text(encoding="utf-8")
    assert filled(page, tables(changed)) != page


def test_evaluation_is_of_the_model_that_is_shipped():
    from xcodec2 import XCodec2Model
    from xcodec2.evaluate.systems import all_weights

    assert (
        all_weights(XCodec2Model.from_pretrained("nano"))[:16]
        in SUMMED_UP["implementations"]["nano"]
    )
