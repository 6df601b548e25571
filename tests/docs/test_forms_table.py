"""The table of forms in docs/reference/compatibility.md: every cell is a test that exists."""

from __future__ import annotations

import ast
import itertools
import re

from paths import ROOT

PAGE = ROOT / "docs" / "reference" / "compatibility.md"
COLUMNS = ["form or runtime", "load", "save", "encode equal", "decode", "streams", "against"]
VERSION = re.compile(r"([A-Za-z_]\w*) (\d+\.\d+\.\d+)$")
GOLDEN = "xcodec2"  # of PyPI, in no constraints: goldens were made with it


def rows() -> list[list[str]]:
    lines = PAGE.read_text().splitlines()
    start = lines.index(f"| {' | '.join(COLUMNS)} |") + 2
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def names_of_tests() -> set[str]:
    return {
        node.name
        for file in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


def test_every_cell_is_a_test_that_exists():
    known = names_of_tests()
    for form, *cells, _ in rows():
        assert any(cell != "—" for cell in cells), form
        for cell in cells:
            name = re.fullmatch(r"`(test_\w+)`", cell)
            assert cell == "—" or (name and name[1] in known), (form, cell)


def test_versions_are_those_that_tests_run_with():
    constraints = (ROOT / "constraints.txt").read_text()
    named = [VERSION.search(row[-1]) for row in rows()]
    assert sum(match is not None for match in named) >= 5
    for match in filter(None, named):
        if match[1] != GOLDEN:
            assert f"{match[1]}=={match[2]}" in constraints, match[0]
