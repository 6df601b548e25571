"""A summary as text: lines for a terminal, and Markdown for pages that are made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from xcodec2.evaluate.metrics.metric import Column, Columns
from xcodec2.evaluate.report.language_model import lm_lines
from xcodec2.evaluate.report.tokens import code_lines

MAX_REASONS = 8  # lines; the report has all of them


def summary_lines(summary: Mapping[str, Any], width: int = 80) -> Iterator[str]:
    """What a run found out, to be read without the report.

    Args:
        summary: What summary.json holds.
        width: Characters of a line; systems that have no place go below.

    Yields:
        Lines: a table of metrics (rows) and systems (columns) with half the widths of their
        intervals, what codes know, what is missing, not defined, or failed.
    """
    systems = summary["systems"]
    seconds = max(found["seconds"] for found in systems.values())
    number = summary["recordings"]
    length = f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} minutes"
    yield f"{number} recording{'' if number == 1 else 's'}, {length}, of {summary['source']}"
    if protocol := summary.get("protocol"):
        yield f"protocol: {protocol['title']}, corpus {summary['corpus_sha256'][:16]}"
    columns = {name: Column(**about) for name, about in summary["columns"].items()}
    heads = [["", "better"], ["files", ""], ["bit/s", ""]]
    heads += [[column.title, column.better] for column in columns.values()]
    heads += [["real-time factor", "lower"], ["memory, MB", "lower"]]
    notes = ["", "", "bits that were written over seconds of speech"]
    notes += [column.note for column in columns.values()]
    notes += ["computing time over speech time, one thread", "of the process, at its peak"]
    cells = {
        name: [*system_cells(found, columns), *cost_cells(summary["cost"].get(name, {}))]
        for name, found in systems.items()
    }
    yield from table_blocks(heads, cells, width, notes)
    codes = [
        (label, row)
        for label, row in code_lines(summary["codes"], words=False)
        if set(row) != {"–"}
    ]
    if codes:
        of_system = zip(*(row for _, row in codes), strict=True)
        cells = dict(zip(summary["codes"], map(list, of_system), strict=True))
        yield from table_blocks([["codes"], *([label] for label, _ in codes)], cells, width)
    yield from model_lines(summary)
    reasons = [f"missing: {name}: {why}" for name, why in summary["missing"].items()]
    reasons += undefined(systems)
    costs = summary["cost"].items()
    reasons += [f"cost of {name}: {found['error']}" for name, found in costs if "error" in found]
    reasons += failed(summary["failed"], systems)
    if reasons:
        yield ""
    yield from reasons


def model_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """What the language models needed and the CTC models read, a line for each system."""
    if lm := summary.get("lm"):
        yield from lm_lines(lm)
    for name, found in (summary.get("text_probe") or {}).items():
        if "error" in found:
            yield f"no text probe of {name}: {found['error']}"
        else:
            rates = {"characters": "character_error_rate", "words": "word_error_rate"}
            shown = ", ".join(f"{found[key]['mean']:.3f} of {what}" for what, key in rates.items())
            yield f"text in the codes of {name}: errors {shown}"


def system_cells(found: Mapping[str, Any], columns: Columns) -> list[str]:
    """Files, bit rate and means of one system, each mean with half the width of its interval."""
    cells = [str(found["recordings"]), rate_of(found) or "–"]
    for name, column in columns.items():
        metric = found["metrics"].get(name)
        cell = mean_text(metric, column)
        if metric and metric["low"] is not None:
            cell += f" ±{(metric['high'] - metric['low']) / 2:.{column.digits}f}"
        cells.append(cell)
    return cells


def cost_cells(cost: Mapping[str, Any]) -> list[str]:
    """Real-time factor and memory of one system."""
    factor, memory = cost.get("real_time_factor"), cost.get("peak_memory_mb")
    return [
        "–" if factor is None else f"{factor:.4f}",
        "–" if memory is None else f"{memory:.0f}",
    ]


def undefined(systems: Mapping[str, Any]) -> list[str]:
    """Where metrics have no value, and why, the most frequent reasons first."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for system, found in systems.items():
        for metric, whys in found["undefined"].items():
            for why, count in whys.items():
                counts.setdefault((metric, why), {})[system] = count
    ordered = sorted(counts.items(), key=lambda item: -sum(item[1].values()))
    shown = []
    for (metric, why), of in ordered[:MAX_REASONS]:
        number = max(of.values())
        named = "every system" if len(of) == len(systems) > 1 else ", ".join(of)
        files = f"{number} file{'' if number == 1 else 's'}"
        shown.append(f"not defined: {metric} on {files} of {named}: {why}")
    if len(ordered) > MAX_REASONS:
        shown.append(f"not defined: {len(ordered) - MAX_REASONS} more reasons, in the report")
    return shown


def failed(rows: Sequence[Mapping[str, Any]], systems: Mapping[str, Any]) -> list[str]:
    """What failed and why, the most frequent reasons first: a codec that fails on every file is not
    hidden behind one broken recording.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        found.setdefault(row["error"], {}).setdefault(row["system"], []).append(row["id"])
    ordered = sorted(found.items(), key=lambda item: -sum(map(len, item[1].values())))
    shown = []
    for why, of in ordered[:MAX_REASONS]:
        first, *more = dict.fromkeys(name for names in of.values() for name in names)
        files = f"{first} and {len(more)} more" if more else first
        named = "every system" if len(of) == len(systems) > 1 else ", ".join(of)
        shown.append(f"failed: {files} of {named}: {why}")
    if len(ordered) > MAX_REASONS:
        shown.append(f"failed: {len(ordered) - MAX_REASONS} more reasons, in the report")
    return shown


def table_blocks(
    heads: Sequence[Sequence[str]],
    systems: Mapping[str, Sequence[str]],
    width: int,
    notes: Sequence[str] | None = None,
) -> Iterator[str]:
    """Tables below each other, with as many systems side by side as there is place for.

    Args:
        heads: What stands before each row; for the first of them systems' names are the row.
        systems: Name → its cells.
        width: Characters of a line.
        notes: What stands behind each row, where there is place for it.

    Yields:
        Lines, an empty one before each table; rows in which none has a value are left out.
    """
    waiting = [[name, *cells] for name, cells in systems.items()]
    rows = [k for k in range(len(heads)) if any(cells[k] != "–" for cells in waiting)]
    left = sum(max(map(len, part)) + 2 for part in zip(*(heads[k] for k in rows), strict=True))
    while waiting:
        used = left
        here: list[list[str]] = []
        while waiting and (not here or used + max(map(len, waiting[0])) <= width):
            here.append(waiting.pop(0))
            used += max(map(len, here[-1])) + 2
        table = {k: [*heads[k], *(cells[k] for cells in here)] for k in rows}
        widths = [max(map(len, column)) for column in zip(*table.values(), strict=True)]
        yield ""
        for k, row in table.items():
            if any(cells[k] != "–" for cells in here):
                line = "  ".join(map(str.ljust, row, widths))
                note = notes[k] if notes and len(line) + 2 + len(notes[k]) <= width else ""
                yield f"{line}  {note}".rstrip()


def mean_text(found: Mapping[str, Any] | None, column: Column) -> str:
    """A mean as tables show it."""
    return "–" if found is None else f"{found['mean']:.{column.digits}f}"


def rate_of(found: Mapping[str, Any]) -> str:
    """A bit rate as tables show it."""
    return "" if found["bit_rate"] is None else f"{found['bit_rate']:.0f}"


def summary_table(systems: Mapping[str, Any], columns: Columns) -> list[list[str]]:
    """A table with a row per system.

    Args:
        systems: Of a summary, or of a group of it.
        columns: By name; those that no system has are left out.

    Returns:
        The heads, and the cells of each row.
    """
    there = [c for n, c in columns.items() if any(n in s["metrics"] for s in systems.values())]
    cells = [["system", "files", "bit/s", *(column.title for column in there)]]
    for name, found in systems.items():
        means = (mean_text(found["metrics"].get(column.name), column) for column in there)
        cells.append([name, str(found["recordings"]), rate_of(found), *means])
    return cells


def markdown(cells: list[list[str]]) -> str:
    """A Markdown table."""
    head, *body = ("| " + " | ".join(row) + " |" for row in cells)
    return "\n".join([head, "|" + "---|" * len(cells[0]), *body])
