"""One page of many reports: a table that is sorted and filtered in the browser."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.metrics import COLUMNS, Column
from xcodec2.evaluate.report.language_model import lm_numbers
from xcodec2.files import open_regular, replacing

ALL = "all"
MAX_BYTES = 100 << 20  # of a summary.json
# Of codes: where it stands in a summary → column.
OF_CODES = {
    ("use", "entropy_bit_rate"): Column(
        "entropy_bit_rate", "bit/s, entropy", "lower", 0, "bits a second after entropy coding"
    ),
    ("compression", "ngram_2"): Column(
        "ngram_2", "bit/s, bigrams", "lower", 0, "held-out bits a second of a bigram model"
    ),
    ("phones", "held_out_pnmi"): Column(
        "held_out_pnmi", "PNMI, held out", "higher", 3, "what codes say of phones"
    ),
    ("abx", "tokens_within_any"): Column(
        "abx_tokens", "ABX, tokens", "lower", 3, "any context, one speaker"
    ),
    ("speakers", "naive_bayes"): Column(
        "leakage", "speaker leakage", "", 3, "share of speakers that counts of codes give away"
    ),
}


Values = dict[str, tuple[float, float | None, float | None]]  # column → mean, low, high


@dataclass(frozen=True)
class Entry:
    """One row: a system on a part of a report's corpus.

    Attributes:
        system: Its name.
        report: The report's folder, or where others have published.
        corpus: What was evaluated on.
        language: Of this part, or all.
        condition: `column=value` of this part, or all.
        recordings: How many; None where it is not known.
        bit_rate: Bits a second; None where it is not known.
        values: Column → mean, low, high.
        published: Others' numbers.
    """

    system: str
    report: str
    corpus: str
    language: str
    condition: str
    recordings: int | None
    bit_rate: float | None
    values: Values = field(default_factory=dict)
    published: bool = False


def leaderboard(reports: Sequence[str | Path], out: str | Path) -> int:
    """Write one page of many reports.

    Args:
        reports: Folders that `evaluate` wrote, or summary.json files.
        out: The HTML file.

    Returns:
        How many rows it has.

    Raises:
        XCodec2Error: A report cannot be read, or the page not be written.
    """
    columns: dict[str, Column] = {}
    entries: list[Entry] = []
    for report in reports:
        path = Path(report)
        path = path / "summary.json" if path.is_dir() else path
        summary = read_summary(path)
        try:
            entries += entries_of(summary, path.parent.name or str(path), columns)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise XCodec2Error(f"{path}: is no summary of an evaluation ({problem!r})") from problem
    with replacing(out, XCodec2Error) as file:
        file.write(leaderboard_page(entries, columns).encode())
    return len(entries)


def read_summary(path: Path) -> dict[str, Any]:
    """What a summary.json holds. Raises XCodec2Error for anything else."""
    with open_regular(path, XCodec2Error) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise XCodec2Error(f"{path}: is too large for a summary")
    try:
        summary = json.loads(content)
    except (ValueError, RecursionError) as problem:
        raise XCodec2Error(f"{path}: is not JSON ({problem})") from problem
    if not isinstance(summary, dict) or not isinstance(summary.get("systems"), dict):
        raise XCodec2Error(f"{path}: is no summary of an evaluation")
    return summary


def entries_of(
    summary: Mapping[str, Any], report: str, columns: dict[str, Column]
) -> Iterator[Entry]:
    """The rows of one report; adds the columns it has."""
    known = {name: Column(**about) for name, about in summary["columns"].items()}
    columns |= {name: column for name, column in known.items() if name not in columns}
    source = str(summary["source"])
    languages = {str(v) for v in summary["groups"].get("language", {})}
    only = next(iter(languages)) if len(languages) == 1 else ALL
    for system, found in summary["systems"].items():
        values = dict(values_of(found, known))
        for column, value in more_of(summary, system):
            columns.setdefault(column.name, column)
            values[column.name] = value
        yield measured_entry(system, found, values, report, source, only, ALL)
    for group, parts in summary["groups"].items():
        for value, systems in parts.items():
            language = str(value) if group == "language" else only
            condition = ALL if group == "language" else f"{group}={value}"
            for system, found in systems.items():
                if found["recordings"]:
                    values = dict(values_of(found, known))
                    yield measured_entry(system, found, values, report, source, language, condition)
    for row in (summary.get("protocol") or {}).get("published", ()):
        for name in row["metrics"]:
            columns.setdefault(name, COLUMNS[name])
        metrics: Values = {
            name: (finite_number(value), None, None) for name, value in row["metrics"].items()
        }
        origin = f"{row['source']}, {row['date']}"
        rate = None if row["bit_rate"] is None else finite_number(row["bit_rate"])
        title = str(summary["protocol"]["title"])
        yield Entry(
            str(row["system"]), origin, title, only, ALL, None, rate, metrics, published=True
        )


def measured_entry(
    system: str,
    found: Mapping[str, Any],
    values: Values,
    report: str,
    corpus: str,
    language: str,
    condition: str,
) -> Entry:
    """A row of what was measured of one system on one part."""
    rate = None if found["bit_rate"] is None else finite_number(found["bit_rate"])
    count = int(finite_number(found["recordings"]))
    return Entry(str(system), report, corpus, language, condition, count, rate, values)


def values_of(
    found: Mapping[str, Any], known: Mapping[str, Column]
) -> Iterator[tuple[str, tuple[float, float | None, float | None]]]:
    """Means with their intervals."""
    for name, metric in found["metrics"].items():
        if name in known:
            low, high = (
                None if metric[end] is None else finite_number(metric[end]) for end in EDGES
            )
            yield name, (finite_number(metric["mean"]), low, high)


EDGES = ("low", "high")


def more_of(
    summary: Mapping[str, Any], system: str
) -> Iterator[tuple[Column, tuple[float, float | None, float | None]]]:
    """What is measured of codes, and by the LM in the loop."""
    facts = summary["codes"].get(system) or {}
    for (part, name), column in OF_CODES.items():
        value = (facts.get(part) or {}).get(name)
        if value is not None:
            yield column, (finite_number(value), None, None)
    if found := ((summary.get("lm") or {}).get("systems") or {}).get(system):
        for column, value in lm_numbers(found):
            low, high = (None if value[end] is None else finite_number(value[end]) for end in EDGES)
            yield column, (finite_number(value["mean"]), low, high)


def finite_number(value: Any) -> float:
    """A finite number of a file that anybody may have written. Raises ValueError for others."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def leaderboard_page(entries: Sequence[Entry], columns: Mapping[str, Column]) -> str:
    """The page; it fetches nothing."""
    shown = [c for c in columns.values() if any(c.name in e.values for e in entries)]
    arrows = {"higher": " ↑", "lower": " ↓"}
    head = "".join(
        f'<th title="{escape(c.note)}">{escape(c.title)}<i>{arrows.get(c.better, "")}</i></th>'
        for c in shown
    )
    body = "".join(row_of_entry(entry, shown) for entry in entries)
    filters = "".join(
        f'<label>{name} <select data-filter="{name}">'
        + "".join(f"<option>{escape(v)}</option>" for v in options(entries, name))
        + "</select></label> "
        for name, title in (
            ("language", "language"),
            ("condition", "condition"),
            ("corpus", "corpus"),
        )
    )
    read = files("xcodec2.evaluate.report")
    css, script, more = (
        read.joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js", "leaderboard.js")
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Codecs: leaderboard</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        "<header><h1>Leaderboard</h1><p>A click on a column sorts by it. ± is half the 95 % "
        "interval; rows of different corpora are not comparable, and published rows are others' "
        f"numbers.</p></header><p class='filters'>{filters}<label>system "
        '<input type="search" data-filter="system" size="12"></label> '
        '<span id="count" aria-live="polite"></span></p>'
        '<div class="wide"><table id="leaderboard" class="sortable"><thead><tr><th>system</th>'
        f"<th>language</th><th>condition</th><th>corpus</th><th>files</th><th>bit/s</th>{head}"
        f"<th>report</th></tr></thead><tbody>{body}</tbody></table></div>\n</main>\n"
        f"<script>\n{script}{more}</script>\n</body>\n</html>\n"
    )


def options(entries: Sequence[Entry], name: str) -> list[str]:
    """The values of a filter: all first, `any` to see every row."""
    values = sorted({getattr(entry, name) for entry in entries} - {ALL})
    return ["any", *values] if name == "corpus" else [ALL, *values, "any"]


def row_of_entry(entry: Entry, shown: Sequence[Column]) -> str:
    """A row of the table."""
    cells = ""
    for column in shown:
        if column.name not in entry.values:
            cells += "<td>–</td>"
            continue
        mean, low, high = entry.values[column.name]
        half = (
            ""
            if low is None or high is None
            else f"<small>±{(high - low) / 2:.{column.digits}f}</small>"
        )
        cells += f"<td>{mean:.{column.digits}f}{half}</td>"
    attributes = " ".join(
        f'data-{name}="{escape(getattr(entry, name))}"'
        for name in ("system", "language", "condition", "corpus")
    )
    kind = ' class="others"' if entry.published else ""
    origin = f"published: {entry.report}" if entry.published else entry.report
    texts = "".join(
        f"<td>{escape(text)}</td>" for text in (entry.language, entry.condition, entry.corpus)
    )
    return (
        f"<tr{kind} {attributes}><th>{escape(entry.system)}</th>{texts}"
        f"<td>{'' if entry.recordings is None else entry.recordings}</td>"
        f"<td>{'' if entry.bit_rate is None else f'{entry.bit_rate:.0f}'}</td>"
        f"{cells}<td>{escape(origin)}</td></tr>"
    )
