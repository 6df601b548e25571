"""What the matrix of environments counts as wrong."""

from __future__ import annotations

import pytest
from install_matrix import OF_TORCH, described

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
