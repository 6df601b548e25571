"""A summary in lines of text, for a terminal and, as Markdown, for pages that are made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xcodec2.evaluate.metrics import COLUMNS


def lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The summary's table, what the codes know, and what is missing or failed."""
    yield from aligned(table(summary["systems"]))
    for name, facts in summary["codes"].items():
        for part in ("use", "phones", "speakers"):
            for label, value in (facts[part] or {}).items():
                if not isinstance(value, list):
                    shown = f"{value:.4g}" if isinstance(value, float) else value
                    yield f"{name}  {part}: {label.replace('_', ' ')} {shown}"
    for measure, why in summary["missing"].items():
        yield f"missing: {measure}: {why}"
    if failed := summary["failed"]:
        yield f"failed: {len(failed)} rows, the first: {failed[0]['id']}, {failed[0]['system']}: {failed[0]['error']}"


def table(systems: Mapping[str, Any], columns: Sequence[str] = tuple(COLUMNS)) -> list[list[str]]:
    """Heads and cells, of the columns that any of the systems has."""
    there = [c for c in columns if any(c in found["metrics"] for found in systems.values())]
    cells = [["system", "files", "bit/s", *(COLUMNS[c].title for c in there)]]
    for name, found in systems.items():
        rate = "" if found["bit_rate"] is None else f"{found['bit_rate']:.0f}"
        cells.append(
            [
                name,
                str(found["recordings"]),
                rate,
                *(number(found["metrics"].get(c), c) for c in there),
            ]
        )
    return cells


def number(found: Mapping[str, Any] | None, column: str) -> str:
    return "–" if found is None else f"{found['mean']:.{COLUMNS[column].digits}f}"


def aligned(cells: list[list[str]]) -> Iterator[str]:
    """Rows of equal width, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        yield "  ".join([row[0].ljust(widths[0]), *padded])


def markdown(cells: list[list[str]]) -> str:
    """A Markdown table."""
    head, *body = ("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join([head, "|" + "---|" * len(cells[0]), *body])
