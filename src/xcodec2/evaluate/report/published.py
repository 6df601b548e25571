"""The table of a protocol: these systems, and what others have published."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from xcodec2.evaluate.metrics.metric import Columns
from xcodec2.evaluate.report.tables import arrow, mean_cell


def published_table(summary: Mapping[str, Any], columns: Columns) -> str | None:
    """What the protocol shows of these systems, and below it what others have published."""
    protocol = summary.get("protocol")
    if not protocol:
        return None
    named = [*protocol["headline"], *(n for row in protocol["published"] for n in row["metrics"])]
    there = [columns[name] for name in dict.fromkeys(named) if name in columns]
    head = "".join(f"<th>{escape(c.title)}<i>{arrow(c.better)}</i></th>" for c in there)
    body = ""
    for name, found in summary["systems"].items():
        cells = "".join(mean_cell(found["metrics"].get(c.name), c, False) for c in there)
        rate = "" if found["bit_rate"] is None else f"{found['bit_rate']:.0f}"
        body += f"<tr><th>{escape(name)}</th><td>{rate}</td>{cells}<td>this run</td></tr>"
    for row in protocol["published"]:
        rate = "" if row["bit_rate"] is None else f"{row['bit_rate']:.0f}"
        cells = "".join(
            f"<td>{row['metrics'][c.name]:.{c.digits}f}</td>"
            if c.name in row["metrics"]
            else "<td>–</td>"
            for c in there
        )
        note = f"; {row['note']}" if row["note"] else ""
        source = escape(f"{row['source']}, {row['date']}{note}")
        body += (
            f'<tr class="others"><th>{escape(row["system"])}</th><td>{rate}</td>{cells}'
            f"<td>published: {source}</td></tr>"
        )
    rule, judges = protocol["corpus"], protocol["judges"]
    taken = f"{rule['recordings']} recordings" if rule["recordings"] else "any number of recordings"
    taken = f"{rule['files']} listed recordings" if rule["files"] else taken
    words = [
        f"{protocol['title']} ({protocol['source']}): {taken}, compared at "
        f"{protocol['sample_rate']} Hz after {protocol['resampling']}, trimming: "
        f"{protocol['trimming']}, {protocol['aggregate']}; {', '.join(judges['metrics'])} with "
        f"{judges['asr']} and {judges['speaker_encoder']}.",
        f"This corpus has the digest {summary['corpus_sha256']}.",
        f"Not as its source: {protocol['differs']}." if protocol["differs"] else "",
        "Rows marked as published are others' numbers, not measured here."
        if protocol["published"]
        else "",
    ]
    return (
        f"<p class='note'>{escape(' '.join(filter(None, words)))}</p>"
        '<div class="wide"><table class="sortable"><thead><tr><th>system</th><th>bit/s</th>'
        f"{head}<th>source</th></tr></thead><tbody>{body}</tbody></table></div>"
    )
