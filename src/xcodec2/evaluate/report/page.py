"""The page, part by part. All text of the corpus goes through `html.escape`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from xcodec2.corpus import Recording
from xcodec2.evaluate.metrics.metric import Columns
from xcodec2.evaluate.report import plots
from xcodec2.evaluate.report.published import published_table
from xcodec2.evaluate.report.tables import (
    comparison_table,
    cost_table,
    failures,
    group_tables,
    how_measured,
    metric_table,
)
from xcodec2.evaluate.report.tokens import code_table, language_table, lm_table
from xcodec2.evaluate.report.worst import Shown, ranking_column, worst_files
from xcodec2.evaluate.systems.system import System

Row = Mapping[str, Any]


def page(
    summary: Mapping[str, Any],
    rows: Sequence[Row],
    systems: Sequence[System],
    recordings: Sequence[Recording],
    columns: Columns,
    *,
    costly: Sequence[str],
    worst: int,
    audio: bool,
) -> str:
    """The whole report.

    Args:
        summary: What summary.json holds.
        rows: Of all recordings and systems.
        systems: The first is run again on its worst files.
        recordings: Of the corpus.
        columns: Of the metrics, by name.
        costly: Titles of what was measured on a sample only, if on one.
        worst: How many of the worst files to show.
        audio: Whether these have players.

    Returns:
        HTML that fetches nothing.
    """
    names = [system.name for system in systems]
    ranking = ranking_column(rows, columns)
    shown = worst_files(rows, systems, recordings, ranking, worst, audio) if worst else []
    parts = [
        header(summary, names),
        section("protocol", "Protocol", published_table(summary, columns)),
        section("table", "Summary", metric_table(summary["systems"], columns)),
        section(
            "rate",
            "Quality against bit rate",
            plots.quality_against_rate(summary, columns),
            "Bit rates are measured: bits that were written over seconds of speech. Bars are 95 % "
            "intervals; the dashed line is the original, where it is not far off.",
        ),
        section(
            "distributions",
            "Every file",
            plots.distributions(rows, names, columns),
            "How the files spread; the bar holds the middle half, the dot is the median.",
        ),
        section(
            "comparison",
            f"Against {names[0]}, file by file",
            comparison_table(summary, names, columns),
        ),
        *(
            section(f"group-{group}", f"By {group}", table)
            for group, table in group_tables(summary, columns)
        ),
        section(
            "codes",
            "Codes",
            code_table(summary["codes"]),
            "",
            (plots.code_histogram(summary["codes"]) or "")
            + (language_table(summary["codes"]) or ""),
        ),
        section("lm", "What codes are worth to a language model", lm_table(summary)),
        section(
            "worst",
            f"The worst files of {names[0]}" + (f", by {ranking.title}" if ranking else ""),
            "".join(recording_card(item, names[0], columns) for item in shown),
        ),
        section("cost", "Cost", cost_table(summary["cost"])),
        section("failures", "What could not be measured", failures(summary)),
        section("how", "How it was measured", how_measured(summary, columns, costly)),
    ]
    read = files(__package__)
    css, script = (
        read.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    title = f"{names[0]}: evaluation"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{css}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + f"\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def header(summary: Mapping[str, Any], names: Sequence[str]) -> str:
    """What was evaluated on what."""
    first = summary["systems"][names[0]]
    minutes = first["seconds"] / 60
    selection = summary["selection"]
    taken = []
    if selection["sample"] is not None:
        taken.append(f"a sample of {selection['sample']} by id")
    if selection["seconds"]:
        shortest, longest = selection["seconds"]
        taken.append(f"those from {shortest:g} to {longest:g} s")
    number = f"{summary['recordings']} recording{'' if summary['recordings'] == 1 else 's'}"
    limits = f" ({escape(', '.join(taken))})" if taken else ""
    return (
        f"<header><h1>{escape(names[0])}</h1>"
        f"<p>{number}{limits}, {minutes:.1f} minutes, from "
        f"<code>{escape(summary['source'])}</code>; {len(names)} systems. "
        f"open-xcodec2 {escape(summary['version'])}.</p>"
        "</header>"
    )


def section(
    name: str, title: str, content: str | None, note: str = "", more: str | None = None
) -> str:
    """A part of the page; nothing where there is no content."""
    if not content:
        return ""
    words = f"<p class='note'>{escape(note)}</p>" if note else ""
    inner = f"<h2>{escape(title)}</h2>{words}{content}{more or ''}"
    return f'<section id="{escape(name)}">{inner}</section>'


def recording_card(shown: Shown, name: str, columns: Columns) -> str:
    """One file with its numbers, picture and players."""
    row = shown.row
    numbers = " ".join(
        f"<span><b>{row[key]:.{column.digits}f}</b> {escape(column.title)}</span>"
        for key, column in columns.items()
        if key in row and column.per_file
    )
    text = row["columns"].get("text")
    said = f"<blockquote>{escape(str(text))}</blockquote>" if text else ""
    players = "".join(
        f'<label>{escape(title)} <audio controls preload="metadata" src="{url}"></audio></label>'
        for title, url in shown.sounds.items()
    )
    return (
        f"<article><h3>{escape(row['id'])} <small>{row['seconds']:.1f} s</small></h3>{said}"
        f'<p class="numbers">{numbers}</p>'
        f'<img src="{shown.picture}" '
        f'alt="Spectrograms of the original, of {escape(name)}, and their difference">'
        f'<p class="players">{players}</p>{other_systems(shown)}</article>'
    )


def other_systems(shown: Shown) -> str:
    """The same file by the other systems."""
    figures = "".join(
        f'<figure><img src="{url}" alt="Spectrograms of the original, of {escape(name)}, and their '
        f'difference"><figcaption>{escape(name)}</figcaption></figure>'
        for name, url in shown.others.items()
    )
    return f'<div class="systems">{figures}</div>' if figures else ""
