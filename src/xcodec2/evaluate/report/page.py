"""The page, part by part. All text of the corpus goes through `html.escape`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from xcodec2.corpus import Recording
from xcodec2.evaluate.metrics import COLUMNS
from xcodec2.evaluate.report import plots
from xcodec2.evaluate.report.tables import (
    code_table,
    comparison_table,
    cost_table,
    failures,
    group_tables,
    how_measured,
    main_table,
)
from xcodec2.evaluate.report.worst import Shown, ranking, worst_files
from xcodec2.evaluate.systems import System

Row = Mapping[str, Any]


def page(
    summary: Mapping[str, Any],
    rows: Sequence[Row],
    systems: Sequence[System],
    recordings: Sequence[Recording],
    *,
    worst: int,
    audio: bool,
) -> str:
    """The whole report.

    worst: how many files to show of the first system, with players when `audio`.
    """
    names = [system.name for system in systems]
    shown = worst_files(rows, systems[0], recordings, worst, audio) if worst else []
    parts = [
        header(summary, names),
        section("table", "Summary", main_table(summary)),
        section(
            "rate",
            "Quality against bit rate",
            plots.quality_against_rate(summary),
            "Bit rates are measured: bits that were written over seconds of speech. Bars are 95 % intervals; the "
            "dashed line is the original, where it is not far off.",
        ),
        section(
            "distributions",
            "Every file",
            plots.distributions(rows, names),
            "How the files spread; the bar holds the middle half, the dot is the median.",
        ),
        section(
            "comparison", f"Against {names[0]}, file by file", comparison_table(summary, names)
        ),
        *(
            section(f"group-{column}", f"By {column}", table)
            for column, table in group_tables(summary)
        ),
        section(
            "codes",
            "Codes",
            code_table(summary["codes"]),
            "",
            plots.code_histogram(summary["codes"]),
        ),
        section(
            "worst", worst_title(names[0], rows), "".join(card(item, names[0]) for item in shown)
        ),
        section("cost", "Cost", cost_table(summary["cost"])),
        section("failures", "What could not be measured", failures(summary)),
        section("how", "How it was measured", how_measured(summary)),
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
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>{words}{content}{more or ""}</section>'


def worst_title(name: str, rows: Sequence[Row]) -> str:
    column = ranking(rows)
    return f"The worst files of {name}, by {COLUMNS[column].title}" if column else "The worst files"


def card(shown: Shown, name: str) -> str:
    """One file with its numbers, picture and players."""
    row = shown.row
    numbers = " ".join(
        f"<span><b>{row[column]:.{about.digits}f}</b> {escape(about.title)}</span>"
        for column, about in COLUMNS.items()
        if column in row and about.measure != "invariance"
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
        f'<img src="{shown.picture}" alt="Spectrograms of the original, of {escape(name)}, and their difference">'
        f'<p class="players">{players}</p></article>'
    )
