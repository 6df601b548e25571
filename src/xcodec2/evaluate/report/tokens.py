"""The report's tables of codes, as HTML: how they are used, what they know, what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from xcodec2.evaluate.probing import TOKEN_METRICS
from xcodec2.evaluate.report.language_model import lm_models


def code_table(codes: Mapping[str, Any]) -> str | None:
    """How each codebook is used and what its codes know."""
    if not codes:
        return None
    body = "".join(
        f"<tr><th>{escape(label)}</th>"
        f"{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for label, values in code_lines(codes)
        if any(value != "–" for value in values)
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in codes)
    return (
        f'<div class="wide"><table class="facts"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def code_lines(codes: Mapping[str, Any], words: bool = True) -> Iterator[tuple[str, list[str]]]:
    """Label, and a value for each system.

    Args:
        codes: System → what is measured of its codes.
        words: Whether values that are no numbers are among them.

    Yields:
        Lines in the order of tables.
    """
    for metric in TOKEN_METRICS:
        for label, field in metric.lines.items():
            name, _, form = field.partition(":")
            if form == "s" and not words:
                continue
            found = [(facts.get(metric.name) or {}).get(name) for facts in codes.values()]
            yield label, ["–" if value is None else format(value, form) for value in found]


def language_table(codes: Mapping[str, Any]) -> str | None:
    """What is measured of each language's codes: a row for each language and system."""
    fields = [
        (metric.name, name, title, metric.lines)
        for metric in TOKEN_METRICS
        for name, title in metric.of_languages.items()
    ]
    rows = [
        (language, system, found)
        for system, facts in codes.items()
        for language, found in facts.get("languages", {}).items()
    ]
    shown = [f for f in fields if any(f[1] in found.get(f[0], {}) for *_, found in rows)]
    if not rows or not shown:
        return None
    body = ""
    for language, system, found in sorted(rows, key=lambda row: row[0]):
        cells = ""
        for metric, name, _, lines in shown:
            form = next(f.partition(":")[2] for f in lines.values() if f.startswith(f"{name}:"))
            value = found.get(metric, {}).get(name)
            cells += f"<td>{'–' if value is None else format(value, form)}</td>"
        body += (
            f"<tr><th>{escape(language)}</th><td>{escape(system)}</td>"
            f"<td>{found['recordings']}</td>{cells}</tr>"
        )
    head = "".join(f"<th>{escape(title)}</th>" for *_, title, _ in shown)
    return (
        '<h3>By language</h3><div class="wide"><table class="sortable"><thead><tr><th>language</th>'
        f"<th>system</th><th>files</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def lm_table(summary: Mapping[str, Any]) -> str | None:
    """What the language models needed, and what the CTC models read."""
    lm, probes = summary.get("lm"), summary.get("text_probe") or {}
    parts = []
    if lm and "error" in lm:
        parts.append(f"<p class='note'>No language model: {escape(lm['error'])}.</p>")
    elif lm:
        parts.append(lm_models(lm))
    if probes:
        body = ""
        for name, found in probes.items():
            if "error" in found:
                body += (
                    f"<tr><th>{escape(name)}</th><td colspan=4>{escape(found['error'])}</td></tr>"
                )
                continue
            cells = "".join(
                f"<td>{found[key]['mean']:.3f}{half_width(found[key], 3)}</td>"
                if key in found
                else "<td>–</td>"
                for key in ("phone_error_rate", "character_error_rate", "word_error_rate")
            )
            body += f"<tr><th>{escape(name)}</th>{cells}<td>{found['held_out']}</td></tr>"
        parts.append(
            "<h3>Text in the codes</h3><p class='note'>Error rates of a small CTC model that reads "
            "codes, trained on four fifths of the recordings, on the others.</p>"
            '<div class="wide"><table class="sortable"><thead><tr><th>system</th><th>phones<i> ↓'
            "</i></th><th>characters<i> ↓</i></th><th>words<i> ↓</i></th><th>held-out files</th>"
            f"</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return "".join(parts) or None


def half_width(found: Mapping[str, Any], digits: int) -> str:
    """± half an interval, where there is one."""
    if found["low"] is None:
        return ""
    return f"<small>±{(found['high'] - found['low']) / 2:.{digits}f}</small>"
