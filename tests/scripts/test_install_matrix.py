"""What the matrix of environments counts as wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import install_matrix
import pytest
from install_matrix import OF_TORCH, ROOT, Cell, built, by_folder, closing, described, run_tests

FIRST = {
    "python": "3.10.13",
    "torch": "2.4.0",
    "nano": "0a1b",
    "compiled": True,
    "waveform": [7, 8, 9],
    "levels": [[0.25, -0.5], [1.0, 0.0], [0.5, 0.5]],
    "tests": "12 passed",
    "failed": 0,
}


@pytest.mark.parametrize(
    ("changes", "wrong", "said"),
    [
        ({}, False, "0 of 3 differ"),
        ({"waveform": [7, 8, 1], "compiled": False}, False, "1 of 3 differ"),
        ({"levels": [[0.25, -0.5], [1.0, 0.01], [0.5, 0.5]]}, True, "1e-02"),
        ({"nano": "ffff"}, True, "ffff"),
        ({"failed": 1, "tests": "1 failed, 11 passed"}, True, "1 failed"),
    ],
)
def test_other_codes_and_failed_tests_are_wrong_and_rounding_is_not(changes, wrong, said):
    row, found = described(FIRST | changes, FIRST, "oldest")
    assert found == wrong
    assert said in row
    assert row.count("|") == 7


def test_what_a_given_pytorch_brings_is_left_to_it():
    names = [
        "torch==2.4.0",
        "nvidia-cublas-cu12==1",
        "triton==3.0.0",
        "numpy==1.26.0",
        "tqdm==4.66",
    ]
    assert [name for name in names if not OF_TORCH.match(name)] == names[3:]


@pytest.mark.parametrize(
    ("stdout", "code", "expected"),
    [
        ("....\n===== 4 passed, 1 skipped in 1.02s =====\n", 0, "4 passed, 1 skipped"),
        (
            "..F\n1 failed, 2 passed, 3 warnings in 93.49s (0:01:33)",
            1,
            "1 failed, 2 passed, 3 warnings",
        ),
        ("no tests ran in 0.01s", 5, "no tests ran"),
        ("", 4, "nothing was printed"),
        ("......", -9, "ended by SIGKILL"),
    ],
)
def test_how_a_run_ended(stdout, code, expected):
    assert closing(stdout, code) == expected


def test_what_has_no_wheels_is_compiled():
    assert [built(version) for version in ("3.10.13", "3.13.0", "3.14.2")] == [
        ["pesq"],
        ["pesq"],
        ["pesq", "pocketsphinx"],
    ]


def test_tests_are_run_folder_by_folder_and_none_is_forgotten():
    found = by_folder(["tests"])
    assert found["tests/signal"] == ["tests/signal/test_stoi.py"]
    assert "tests/test_names.py" in found["tests"]
    there = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")}
    assert {name for files in found.values() for name in files} == there
    assert by_folder(["tests/test_names.py"]) == {"tests": ["tests/test_names.py"]}


def test_a_folder_that_fails_fails_the_cell_and_the_others_are_run_all_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(install_matrix, "ROOT", tmp_path)
    for name, body in [("good", "pass"), ("bad", "assert False")]:
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text(f"def test_it():\n    {body}\n")
    cell = Cell(sys.executable, "newest", Path("a.whl"), False, None, [], ["."])
    assert run_tests(cell, sys.executable) == {
        "tests": "bad: 1 failed; good: 1 passed",
        "failed": True,
    }
    cell.tests = ["good"]
    assert run_tests(cell, sys.executable) == {"tests": "good: 1 passed", "failed": False}
