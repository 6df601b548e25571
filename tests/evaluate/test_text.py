"""The lines in the terminal: to be read without the report."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from xcodec2.evaluate.metrics import COLUMNS
from xcodec2.evaluate.report.text import summary_lines


def system(files: int, undefined: dict | None = None, **means: float) -> dict:
    metrics = {
        name: {"mean": mean, "low": mean - 0.25, "high": mean + 0.25, "n": files}
        for name, mean in means.items()
    }
    return {
        "recordings": files, "failed": 1, "seconds": 90.0, "bit_rate": 800.0, "metrics": metrics,
        "undefined": undefined or {},
    }  # fmt: skip


def summary(systems: dict) -> dict:
    names = {name for found in systems.values() for name in found["metrics"]}
    return {
        "recordings": 3,
        "source": "test.tsv",
        "cost": {"nano": {"real_time_factor": 0.0123, "peak_memory_mb": None}},
        "columns": {n: asdict(c) for n, c in COLUMNS.items() if n in names},
        "systems": systems,
        "codes": {
            "nano": {"use": {"total": 1928, "entropy_bits": 10.0}, "phones": None, "speakers": None}
        },
        "missing": {"dnsmos": "its weights are not here; fetch them with: …"},
        "failed": [
            {"id": "a", "system": "nano", "error": "silent"},
            {"id": "a", "system": "mulaw", "error": "silent"},
            *({"id": name, "system": "nano", "error": "broke"} for name in "bcd"),
        ],
    }


def test_systems_stand_side_by_side_with_intervals_and_what_failed_below():
    why = {"wer": {"knows en": 2}}
    found = summary({"nano": system(2, why, stoi=0.5, mel=1), "mulaw": system(2, why, stoi=0.75)})
    assert list(summary_lines(found)) == [
        "3 recordings, 1.5 minutes, of test.tsv",
        "",
        "                  better  nano          mulaw",
        "files                     2             2",
        "bit/s                     800           800",
        "STOI              higher  0.500 ±0.250  0.750 ±0.250  intelligibility, 0 to 1",
        "mel distance      lower   1.000 ±0.250  –",
        "real-time factor  lower   0.0123        –",
        "",
        "codes                 nano",
        "codes                 1,928",
        "entropy, bits a code  10.00",
        "",
        "missing: dnsmos: its weights are not here; fetch them with: …",
        "not defined: wer on 2 files of every system: knows en",
        "failed: b and 2 more of nano: broke",
        "failed: a of every system: silent",
    ]


def test_systems_that_have_no_place_go_below_and_no_line_is_too_long():
    found = summary({f"system {k}": system(2, stoi=0.5) | {"undefined": {}} for k in range(9)})
    found["systems"]["system 8"]["metrics"] = {}
    said = [line for line in summary_lines(found, 60) if not line.startswith(("missing", "failed"))]
    assert max(map(len, said)) <= 60
    heads = [line.split()[1:] for line in said if "better" in line]
    assert heads == [
        ["system", "0", "system", "1", "system", "2"],
        ["system", "3", "system", "4", "system", "5"],
        ["system", "6", "system", "7", "system", "8"],
    ]
    alone = list(summary_lines(found, 10))  # however narrow: one system at a time
    assert sum("better" in line for line in alone) == 9
    last = alone[alone.index(next(line for line in alone if "system 8" in line)) :]
    assert not any(line.startswith("STOI") for line in last)


def test_reasons_are_counted_and_cut():
    many = {"pesq": {f"reason {k}": k + 1 for k in range(12)}}
    said = [
        line for line in summary_lines(summary({"nano": system(20, many)})) if "defined" in line
    ]
    assert said[0] == "not defined: pesq on 12 files of nano: reason 11"
    assert said[-1] == "not defined: 4 more reasons, in the report"
    assert len(said) == 9


@pytest.mark.parametrize(
    ("recognized", "reference", "wanted"),
    [
        ("the the the the", "the cat", True),
        ("I see it. I see it. I see it.", "I see it", True),
        ("no no no no", "No, no, no, no!", False),
        ("no no no no no no", "no no no no", True),
        ("bye bye", "bye", False),
        ("it is what it is", "it is what it is", False),
        ("hahahahahahaha", "laughter", True),
        ("and so on and so on", "and so on", False),
        ("one two three four five six seven eight " * 3, "one", True),
        ("", "something", False),
    ],
)
def test_a_recognizer_that_repeats_itself_is_found(recognized, reference, wanted):
    from xcodec2.evaluators.text import looped

    assert looped(recognized, reference) is wanted
