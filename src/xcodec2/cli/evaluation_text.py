"""What `xcodec2 evaluate` prints: the summary in words and units, readable without the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

ARROWS = {"higher": "↑", "lower": "↓", "": " "}
NOTES = {
    "bit rate": "bit/s",
    "real-time factor": "computing time / speech time, one thread",
    "peak memory": "MB, of the process",
}
CODES = {
    "entropy_bits": "bits of entropy per code",
    "entropy_bit_rate": "bit/s of entropy",
    "nominal_bit_rate": "bit/s nominal",
    "bits_a_code": "bits per code",
    "codes_a_second": "codes per second",
    "codebook_size": "codes in the codebook",
    "distinct": "of them distinct",
    "total": "codes",
}


class Column(Protocol):
    """What is said of a number: its name, which way is better, digits after the point, unit."""

    @property
    def title(self) -> str: ...
    @property
    def better(self) -> str: ...
    @property
    def digits(self) -> int: ...
    @property
    def note(self) -> str: ...


def readable(summary: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[str]:
    """Lines: what was measured, a row for each number and a column for each system, then what the
    codes are like, and what is undefined, missing or failed, with the reasons.

    Args:
        summary: As `xcodec2.evaluate.evaluate` returns it.
        columns: The numbers that there may be, by their names in the summary.
    """
    systems = summary["systems"]
    seconds = max((found["seconds"] for found in systems.values()), default=0)
    count = summary["recordings"]
    plural = "" if count == 1 else "s"
    yield f"{count} recording{plural}, {duration(seconds)}, of {summary['source']}"
    yield from aligned(list(rows(summary, columns)))
    if any(column.better for column in columns.values()):
        yield "↑ higher is better, ↓ lower is better; means over recordings"
    for name, facts in summary["codes"].items():
        yield from of_codes(name, facts)
    for name, found in systems.items():
        for metric, reasons in found.get("undefined", {}).items():
            for why, times in reasons.items():
                yield f"undefined: {metric} of {name} for {times} of {found['recordings']}: {why}"
    for name, found in summary["cost"].items():
        if "error" in found:
            yield f"undefined: real-time factor of {name}: {found['error']}"
    for metric, why in summary["missing"].items():
        yield f"missing: {metric}: {why}"
    if failed := summary["failed"]:
        identity, system, error = (failed[0][key] for key in ("id", "system", "error"))
        yield f"failed: {len(failed)}, the first: {identity}, {system}: {error}"


def rows(summary: Mapping[str, Any], columns: Mapping[str, Column]) -> Iterator[list[str]]:
    """Cells: title, one for each system, note."""
    systems = summary["systems"]
    yield ["", *systems, ""]
    yield row("bit rate", "", [found["bit_rate"] for found in systems.values()], 0)
    for name, column in columns.items():
        means = [found["metrics"].get(name, {}).get("mean") for found in systems.values()]
        if any(mean is not None for mean in means):
            yield row(column.title, column.better, means, column.digits, column.note)
    for title, key, digits in (
        ("real-time factor", "real_time_factor", 4),
        ("peak memory", "peak_memory_mb", 0),
    ):
        costs = [summary["cost"].get(name, {}).get(key) for name in systems]
        if any(cost is not None for cost in costs):
            yield row(title, "lower", costs, digits)


def row(
    title: str, better: str, values: list[float | None], digits: int, note: str = ""
) -> list[str]:
    shown = ["–" if value is None else f"{value:.{digits}f}" for value in values]
    return [f"{title} {ARROWS[better]}", *shown, note or NOTES.get(title, "")]


def of_codes(name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """What a system's codes are like, one line for each part of the facts."""
    for part, found in facts.items():
        single = {key: value for key, value in (found or {}).items() if is_figure(value)}
        if single:
            said = ", ".join(figure(key, value) for key, value in single.items())
            yield f"{part} of the codes of {name}: {said}"


def is_figure(value: Any) -> bool:
    return isinstance(value, (int, float, str))


def figure(key: str, value: float | str) -> str:
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"{shown} {CODES[key]}" if key in CODES else f"{key.replace('_', ' ')} {shown}"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def aligned(cells: list[list[str]]) -> Iterator[str]:
    """Rows of equal width: the first and last column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *middle, last in cells:
        padded = [cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *padded, last]).rstrip()
