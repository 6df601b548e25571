"""What a language model learned of codes, as HTML and as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from xcodec2.evaluate.metrics.metric import Column

BITS = Column(
    "lm_bits", "bit/s, LM", "lower", 0, "held-out bits a second of speech, of the same small LM"
)
# What stands beside the bits: key of the facts → column; the ceiling has the same key.
SPOKEN = {
    "bits_told": Column(
        "lm_bits_told", "bit/s, LM told phones", "lower", 0,
        "the same where the LM is told each frame's phone",
    ),
    "wer": Column(
        "lm_wer", "WER of what it says", "lower", 3,
        "word error rate of sentences that the LM says, at most 1 for each",
    ),
    "mos": Column(
        "lm_mos", "MOS of what it says", "higher", 2,
        "DistillMOS of what the LM says, 1 to 5; silence counts as 1",
    ),
}  # fmt: skip
Interval = Mapping[str, Any]


def lm_numbers(found: Mapping[str, Any]) -> Iterator[tuple[Column, Interval]]:
    """Column and its mean, low and high, of all that is known of one system."""
    yield BITS, {"mean": found["bits_a_second"], "low": found["low"], "high": found["high"]}
    for key, column in SPOKEN.items():
        if key in found:
            yield column, found[key]


def rows_of_systems(lm: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and facts; a codec of several codebooks has a second row, in the delayed layout."""
    for name, found in lm["systems"].items():
        yield name, found
        if "delayed" in found:
            yield f"{name}, delayed", found["delayed"] | {"ceiling": found.get("ceiling")}


def lm_models(lm: Mapping[str, Any]) -> str:
    """The table, with what it means above it."""
    systems = dict(rows_of_systems(lm))
    there = [c for key, c in SPOKEN.items() if any(key in found for found in systems.values())]
    head = "".join(
        f'<th title="{escape(c.note)}">{escape(c.title)}<i>{" ↓" if c.better == "lower" else " ↑"}'
        "</i></th>"
        for c in (BITS, *there)
    )
    ceilings = [key for key in ("wer", "mos") if SPOKEN[key] in there]
    head += "".join(f"<th>{key.upper()} of the codec</th>" for key in ceilings)
    body = ""
    for name, found in systems.items():
        known = {column.name: value for column, value in lm_numbers(found)}
        cells = "".join(cell(known.get(c.name), c.digits) for c in (BITS, *there))
        heard = found.get("ceiling") or {}
        cells += "".join(
            f"<td>{heard[key]:.{SPOKEN[key].digits}f}</td>" if key in heard else "<td>–</td>"
            for key in ceilings
        )
        body += (
            f"<tr><th>{escape(name)}</th>{cells}<td>{found['tokens_a_second']:.0f}</td>"
            f"<td>{found['seconds_learned'] / 60:.1f}</td><td>{escape(found['layout'])}</td></tr>"
        )
    return (
        f"<p class='note'>{escape(explained(lm))}</p>"
        f'<div class="wide"><table class="sortable"><thead><tr><th>system</th>{head}'
        "<th>bytes a second</th><th>minutes of speech seen</th>"
        f"<th>layout</th></tr></thead><tbody>{body}</tbody></table></div>"
    )


def explained(lm: Mapping[str, Any]) -> str:
    """How it was measured."""
    words = (
        f"The same small Llama, {lm['tokens']:,} bytes of each system's codes to learn from, "
        f"{lm['seeds']} seeds: the bits that it needs for a second of held-out speech, with 95 % "
        "intervals over seeds. Fewer are easier to predict; they do not say how good the speech is."
    )
    if lm.get("sentences"):
        words += (
            f" It says {lm['sentences']} held-out recordings, told {told(lm)}, at temperature "
            f"{lm['temperature']:g}; the codec's own codes of them are the ceiling "
            f"({lm['judges'] or 'nobody listens'})."
        )
    missing = "".join(f" No {name}: {why}." for name, why in lm.get("missing", {}).items())
    return words + missing + "".join(f" No model of {name}." for name in lm.get("failed", {}))


def told(lm: Mapping[str, Any]) -> str:
    """What the models know of what they say."""
    return "the phones and their durations" if lm["told"] == "phones" else str(lm["told"])


def cell(found: Interval | None, digits: int) -> str:
    """A mean, ± half its interval."""
    if found is None:
        return "<td>–</td>"
    spread = spread_of(found, digits)
    return f"<td>{found['mean']:.{digits}f}{f'<small>{spread}</small>' if spread else ''}</td>"


def spread_of(found: Interval, digits: int) -> str:
    """± half an interval, where there is one."""
    if found["low"] is None:
        return ""
    return f"±{(found['high'] - found['low']) / 2:.{digits}f}"


def lm_lines(lm: Mapping[str, Any]) -> Iterator[str]:
    """A line for each system, for a terminal."""
    if "error" in lm:
        yield f"no language model: {lm['error']}"
        return
    yield ""
    yield f"language model in the loop, {lm['tokens']:,} bytes to learn, {lm['seeds']} seeds:"
    for name, found in rows_of_systems(lm):
        parts = [
            f"{column.title} {value['mean']:.{column.digits}f}{spread_of(value, column.digits)}"
            for column, value in lm_numbers(found)
        ]
        yield f"  {name}: {', '.join(parts)} ({found['layout']})"
    for why in lm.get("failed", {}).values():
        yield f"  no model of {why}"
