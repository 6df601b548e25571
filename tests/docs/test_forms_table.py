"""The table of forms in docs/reference/compatibility.md: every cell is a test that exists."""

from __future__ import annotations

import ast
import itertools
import re

from paths import GOLDENS, ROOT

PAGE = ROOT / "docs" / "reference" / "compatibility.md"
DECODE = "decode, at least, in the test"
COLUMNS = ["form or runtime", "load", "save", "encode equal", DECODE, "streams", "against"]
VERSION = re.compile(r"([A-Za-z_]\w*) (\d+\.\d+\.\d+)")


def rows() -> list[list[str]]:
    lines = PAGE.read_text().splitlines()
    start = lines.index(f"| {' | '.join(COLUMNS)} |") + 2
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[start:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def sources() -> dict[str, dict[str, ast.AST]]:
    """Of each test, the functions and constants of its file by name."""
    found = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        tops = ast.parse(file.read_text()).body
        own: dict[str, ast.AST] = {
            top.name: top for top in tops if isinstance(top, ast.FunctionDef)
        }
        for top in tops:
            if isinstance(top, ast.Assign) and isinstance(top.targets[0], ast.Name):
                own[top.targets[0].id] = top
        found |= {name: own for name in own if name.startswith("test_")}
    return found


def text_of(test: str, own: dict[str, ast.AST]) -> str:
    """A test, and what of its own file it uses."""
    names = [test]
    for name in names:  # grows while it is read
        used = {node.id for node in ast.walk(own[name]) if isinstance(node, ast.Name)}
        names += [other for other in own if other in used and other not in names]
    return "\n".join(ast.unparse(own[name]) for name in names)


def test_every_cell_is_a_test_that_exists():
    known = sources()
    for form, *cells, _ in rows():
        assert any(cell != "—" for cell in cells), form
        for column, cell in zip(COLUMNS[1:], cells, strict=False):
            if cell == "—":
                continue
            name = re.match(r"`(test_\w+)`", cell)
            assert name, (form, cell)
            assert name[1] in known, (form, cell)
            bounds = re.findall(r"(\d+) dB( below the peak)?", cell)
            assert bool(bounds) == (column == DECODE), (form, cell)
            differing = cell.removeprefix(name[0])
            assert not differing or differing.startswith(", "), (form, cell)
            numbers = [
                f"{10 ** (-int(bound) / 20):g}" if peak else rf"{bound}(\.0)?"
                for bound, peak in bounds
            ]
            for number in numbers or re.findall(r"\d[\d.]*\b", differing):
                literal = re.compile(rf"(?<![\w.]){number}(?![\w.])")
                assert literal.search(text_of(name[1], known[name[1]])), (form, cell)


def test_versions_are_those_that_tests_run_with():
    tested = (ROOT / "constraints.txt").read_text().split()
    # of the packages that no constraints have, since goldens stand for them
    tested += (GOLDENS / "make_original.py").read_text().split()
    named = {form: VERSION.findall(against) for form, *_, against in rows()}
    assert [package for package, _ in named["original"]] == ["xcodec2", "neucodec"]
    assert sum(map(bool, named.values())) >= 5
    for package, version in itertools.chain(*named.values()):
        assert f"{package}=={version}" in tested
