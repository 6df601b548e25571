"""The architecture page describes the package as it is."""

from __future__ import annotations

import re
import sys

import pytest
from paths import ROOT

from xcodec2.codec.config import XCodec2Config

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src" / "xcodec2"


def tree(page: str) -> list[str]:
    """Paths of the annotated tree, relative to the package; folders end in a slash."""
    block = page.split("```text\nsrc/xcodec2/\n")[1].split("```")[0]
    folder, paths = "", []
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.findall(r"(?<!\S)(\w+\.py|\w+/)(?!\S)", line)
        parent = folder if depth == 2 else ""
        paths += [parent + name for name in names]
        if depth == 1:
            folder = names[0]
    return paths


def chain(page: str) -> list[str]:
    """The modules of the numbered list, in its order."""
    return re.findall(r"^\| \d \| `([\w/]+\.py)` \|", page, re.MULTILINE)


def test_the_tree_is_read():
    rows = "  a.py   one", "  b/   two", "    c.py  d.py  three", "  e/  f/  four"
    page = "\n".join(("```text", "src/xcodec2/", *rows, "```"))
    assert tree(page) == ["a.py", "b/", "b/c.py", "b/d.py", "e/", "f/"]


def test_every_listed_path_exists():
    for path in tree(PAGE):
        found = PACKAGE / path
        assert found.is_dir() if path.endswith("/") else found.is_file(), path


def test_every_package_is_listed():
    packages = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(tree(PAGE))


def test_eight_modules_call_one_another_in_the_order_of_the_list():
    modules = chain(PAGE)
    assert 0 < len(modules) <= 8
    names = ["xcodec2." + module.removesuffix(".py").replace("/", ".") for module in modules]
    for number, name in enumerate(names[1:], 1):
        parent, _, leaf = name.rpartition(".")
        before = "".join(
            (PACKAGE / module).read_text(encoding="utf-8") for module in modules[:number]
        )
        imported = rf"from {re.escape(name)} import|from {re.escape(parent)} import .*\b{leaf}\b"
        assert re.search(imported, before), name


def test_layers_are_those_of_the_linter():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    held = [sorted(layer.split(" | ")) for layer in layers]
    shown = PAGE.split("```text\ncli\n")[1].split("```")[0]
    assert [sorted(layer.split()) for layer in f"cli\n{shown}".splitlines()] == held


@pytest.mark.slow
def test_picture_is_what_the_code_draws(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from draw_architecture import PICTURE, draw

    assert PICTURE.read_text(encoding="utf-8") == draw(XCodec2Config())
