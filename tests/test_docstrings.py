"""Docstrings say which of this package's errors a function raises.

Ruff holds that there is a docstring, and its form; its own rule on Raises also asks for what a
function only lets through.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import xcodec2
from xcodec2 import errors

PACKAGE = Path(xcodec2.__file__).parent
ERRORS = {name for name in vars(errors) if name.endswith("Error")}
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent.name != "cli"
)  # commands turn errors into lines


def raised(function: ast.FunctionDef) -> Iterator[str]:
    """This package's errors that stand in `raise` statements of its own body."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            name = node.exc.func.id if isinstance(node.exc.func, ast.Name) else ""
            if name in ERRORS:
                yield name
        todo.extend(ast.iter_child_nodes(node))


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    """A module's public functions and methods."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    for node in (child for home in (module, *classes) for child in home.body):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def test_errors_that_a_public_function_raises_are_in_its_docstring():
    silent = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name} raises {name}"
        for path in MODULES
        for node in functions(path)
        for name in {*raised(node)}
        if name not in (ast.get_docstring(node) or "")
    ]
    assert not silent


def unreadable_entries(text: str) -> list[str]:
    """Lines of Args, Attributes and Raises where an entry should begin and none does: the site is
    built strictly, and takes a line that is not indented further for a new entry.
    """
    found, inside = [], False
    for line in text.splitlines():
        if not line.startswith(" "):
            inside = line in ("Args:", "Attributes:", "Raises:")
        elif inside and re.match(r"    (?! )(?![\w*., ()]+: )", line):
            found.append(line)
    return found


def test_entries_go_on_indented():
    assert unreadable_entries("A.\n\nRaises:\n    E: One, or\n    two.") == ["    two."]
    assert not unreadable_entries("A.\n\nRaises:\n    E: One, or\n        two.\n\nB:\n    c.")
    assert not [
        f"{path.relative_to(PACKAGE)}: {line}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module))
        for line in unreadable_entries(ast.get_docstring(node) or "")
    ]
