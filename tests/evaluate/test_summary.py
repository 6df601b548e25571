"""Means, error rates and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from xcodec2.evaluate.metrics import COLUMNS
from xcodec2.evaluate.summary import compared, estimate, summarize


def test_error_rates_are_sums_and_intervals_hold_the_mean():
    rows = [
        {
            "id": str(i),
            "system": "s",
            "columns": {},
            "seconds": 1.0,
            "wer": wrong / total,
            "wer_wrong": wrong,
            "wer_total": total,
            "stoi": 0.5 + 0.01 * i,
        }
        for i, (wrong, total) in enumerate([(1, 1), (0, 9), (2, 10)])
    ]
    found = estimate(rows, COLUMNS["wer"])
    assert found["mean"] == pytest.approx(3 / 20)
    assert found["low"] < 3 / 20 < found["high"]
    assert estimate(rows[:1], COLUMNS["stoi"]) == {"mean": 0.5, "low": None, "high": None, "n": 1}
    assert estimate(rows, COLUMNS["pesq_wb"]) is None
    better = [{**row, "stoi": row["stoi"] + 0.001} for row in rows]
    difference = compared(rows, better, COLUMNS)[
        "stoi"
    ]  # far smaller than the spread of files, and yet certain
    assert difference["low"] == pytest.approx(0.001) == pytest.approx(difference["high"])
    assert summarize(rows, ["s"], COLUMNS)["systems"]["s"]["recordings"] == 3


def test_bootstrap_intervals_are_those_of_the_normal_distribution():
    values = np.random.default_rng(1).standard_normal(400)
    found = estimate([{"stoi": value} for value in values], COLUMNS["stoi"])
    half = 1.96 * values.std() / 20
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.015)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.015)
