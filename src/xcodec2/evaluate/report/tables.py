"""The report's tables, as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from xcodec2.evaluate.metrics.metric import Column, Columns
from xcodec2.evaluate.report.plots import ANCHORS


def metric_table(systems: Mapping[str, Any], columns: Columns) -> str:
    """Every system and metric: the mean, and half the width of its interval."""
    there = [c for n, c in columns.items() if any(n in s["metrics"] for s in systems.values())]
    best = {column.name: best_of(systems, column) for column in there}
    head = "".join(
        f'<th title="{escape(c.note)}">{escape(c.title)}<i>{arrow(c.better)}</i></th>'
        for c in there
    )
    body = ""
    for name, found in systems.items():
        rate = "" if found["bit_rate"] is None else f"{found['bit_rate']:.0f}"
        cells = "".join(
            mean_cell(found["metrics"].get(c.name), c, name in best[c.name]) for c in there
        )
        body += (
            f"<tr><th>{escape(name)}</th><td>{found['recordings']}</td><td>{rate}</td>{cells}</tr>"
        )
    return (
        '<div class="wide"><table class="sortable"><thead><tr>'
        "<th>system</th><th>files</th><th>bit/s</th>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def arrow(better: str) -> str:
    """Which way is up."""
    return {"higher": " ↑", "lower": " ↓"}.get(better, "")


def best_of(systems: Mapping[str, Any], column: Column) -> set[str]:
    """The systems whose mean is the best, as shown: several when they read alike."""
    means = {
        name: round(found["metrics"][column.name]["mean"], column.digits)
        for name, found in systems.items()
        if column.name in found["metrics"] and name not in ANCHORS
    }
    if len(means) < 2 or not column.better:
        return set()
    top = (min if column.better == "lower" else max)(means.values())
    return {name for name, mean in means.items() if mean == top}


def mean_cell(found: Mapping[str, Any] | None, column: Column, best: bool) -> str:
    """A mean with its interval, bold for the best."""
    if found is None:
        return "<td>–</td>"
    digits = column.digits
    mean = f"{found['mean']:.{digits}f}"
    shown = f"<b>{mean}</b>" if best else mean
    if found["low"] is None:
        return f'<td title="one file">{shown}</td>'
    interval = f"{found['low']:.{digits}f} to {found['high']:.{digits}f}, {found['n']} files"
    spread = f"<small>±{(found['high'] - found['low']) / 2:.{digits}f}</small>"
    return f'<td title="{interval}">{shown}{spread}</td>'


def comparison_table(
    summary: Mapping[str, Any], names: Sequence[str], columns: Columns
) -> str | None:
    """What each other system has more than the first, on the same files; bold where the interval
    leaves out zero.
    """
    others = {name: found for name, found in summary["against_first"].items() if found}
    if not others:
        return None
    there = [c for n, c in columns.items() if any(n in found for found in others.values())]
    head = "".join(f"<th>{escape(c.title)}<i>{arrow(c.better)}</i></th>" for c in there)
    body = ""
    for name, found in others.items():
        cells = "".join(difference(found.get(c.name), c) for c in there)
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    return (
        f'<p class="note">The mean difference to {escape(names[0])} on the same files, with paired '
        "95 % intervals; bold where the interval leaves out zero. Below it: the share of files on "
        'which the other system is the better one.</p><div class="wide"><table><thead><tr>'
        "<th>system</th>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def difference(found: Mapping[str, Any] | None, column: Column) -> str:
    """What another system has more, bold where the interval leaves out zero."""
    if found is None:
        return "<td>–</td>"
    digits = column.digits
    shown = f"{found['difference']:+.{digits}f}"
    if found["low"] is None:
        return f'<td title="one file">{shown}</td>'
    interval = f"{found['low']:+.{digits}f} to {found['high']:+.{digits}f}, {found['n']} files"
    certain = found["low"] > 0 or found["high"] < 0
    wins = f"<small>{100 * found['better_on']:.0f} %</small>"
    return f'<td title="{interval}">{f"<b>{shown}</b>" if certain else shown}{wins}</td>'


def group_tables(summary: Mapping[str, Any], columns: Columns) -> Iterator[tuple[str, str]]:
    """For each column to group by: a table for each of its values."""
    for group, values in summary["groups"].items():
        tables = (
            f"<h3>{escape(value)}</h3>{metric_table(systems, columns)}"
            for value, systems in values.items()
        )
        yield group, "".join(tables)


def cost_table(cost: Mapping[str, Any]) -> str | None:
    """Real-time factor and memory of each system."""
    if not cost:
        return None
    body = ""
    for name, found in cost.items():
        if "error" in found:
            body += f"<tr><th>{escape(name)}</th><td colspan=3>{escape(found['error'])}</td></tr>"
            continue
        factor = found["real_time_factor"]
        memory = found["peak_memory_mb"]
        shown = (
            "a program of its own"
            if memory is None
            else f"{memory:.0f} MB, Python and its libraries included"
        )
        body += (
            f"<tr><th>{escape(name)}</th><td>{factor:.4f}</td><td>{1 / factor:.0f}</td>"
            f"<td>{shown}</td></tr>"
        )
    return (
        '<p class="note">There and back, ten seconds of speech, one thread, on the machine that '
        "made this report and whatever else it did.</p><table class='facts'><thead><tr>"
        "<th>system</th><th>real-time factor</th>"
        f"<th>times real time</th><th>peak memory</th></tr></thead><tbody>{body}</tbody></table>"
    )


def failures(summary: Mapping[str, Any]) -> str | None:
    """Evaluators that are missing, files that failed, and metrics that were not defined, with the
    reasons.
    """
    parts = []
    if summary["missing"]:
        lines = (
            f"<li><b>{escape(m)}</b>: {escape(why)}</li>" for m, why in summary["missing"].items()
        )
        parts.append(f"<h3>Missing measures</h3><ul>{''.join(lines)}</ul>")
    if summary["failed"]:
        lines = (
            f"<tr><td>{escape(f['id'])}</td><td>{escape(f['system'])}</td>"
            f"<td>{escape(f['error'])}</td></tr>"
            for f in summary["failed"]
        )
        head = "<thead><tr><th>file</th><th>system</th><th>reason</th></tr></thead>"
        body = f"{head}<tbody>{''.join(lines)}</tbody>"
        parts.append(f"<h3>Failed files</h3><table class='facts'>{body}</table>")
    reasons = [
        f"<tr><td>{escape(name)}</td><td>{escape(m)}</td><td>{count}</td>"
        f"<td>{escape(why)}</td></tr>"
        for name, found in summary["systems"].items()
        for m, counted in found["undefined"].items()
        for why, count in counted.items()
    ]
    if reasons:
        head = (
            "<thead><tr><th>system</th><th>measure</th><th>files</th><th>reason</th></tr></thead>"
        )
        body = f"{head}<tbody>{''.join(reasons)}</tbody>"
        parts.append(f"<h3>Not defined</h3><table class='facts'>{body}</table>")
    return "".join(parts)


def how_measured(summary: Mapping[str, Any], columns: Columns, costly: Sequence[str]) -> str:
    """What made each metric, and what each system is.

    Args:
        summary: Of the run.
        columns: Of its metrics, by name.
        costly: Titles of what was measured on a sample only.

    Returns:
        HTML.
    """
    titles: dict[str, list[str]] = {}
    for column in columns.values():
        titles.setdefault(column.metric, []).append(column.title)
    lines = [
        f"<tr><th>{escape(', '.join(titles[m]))}</th><td>{escape(how)}</td></tr>"
        for m, how in summary["measures"].items()
    ]
    if summary["selection"]["judge_sample"] is not None and costly:
        fewer = "fewer of the recordings, picked by their ids; the numbers say of how many"
        *most, last = costly
        named = f"{', '.join(most)} and {last} are of" if most else f"{last} is of"
        lines.append(f"<tr><th>{escape(named)}</th><td>{fewer}</td></tr>")
    if summary["wer_against"]:
        lines.append(
            f"<tr><th>WER and CER are against</th><td>{escape(summary['wer_against'])}</td></tr>"
        )
    lines += [
        f"<tr><th>{escape(n)}</th><td>{escape(how)}</td></tr>"
        for n, how in summary["implementations"].items()
    ]
    return (
        '<p class="note">All systems got the same files in one run, and were compared at 16 kHz. '
        "Intervals are 95 % bootstrap percentiles over files.</p>"
        f"<table class='facts'><tbody>{''.join(lines)}</tbody></table>"
    )
