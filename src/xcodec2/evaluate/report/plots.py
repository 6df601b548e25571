"""The report's drawings, as SVG that takes the page's own fonts."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from xcodec2.evaluate.metrics.metric import Column, Columns

INK, FAINT, GRID = "#1f2733", "#6b7685", "#e6e9ee"
COLORS = (
    "#0b6e99", "#d9480f", "#2b8a3e", "#7048e8", "#c2255c",
    "#b08800", "#5c677d", "#0ca678", "#e67700", "#364fc7",
)  # fmt: skip
LABEL_PLACES = ((6, 4), (6, -11), (-6, 4), (-6, -11), (0, 8), (0, -16), (6, 15), (6, -22))
ANCHORS = ("original", "mulaw")  # no codecs at a rate that anyone would plot
MIN_FOR_A_SHAPE = 5  # values; fewer are drawn as points alone


def colors(systems: Sequence[str]) -> dict[str, str]:
    """System → its color."""
    return {name: COLORS[index % len(COLORS)] for index, name in enumerate(systems)}


@contextmanager
def style(salt: str) -> Any:
    """Plain axes; the salt makes identifiers that no other drawing on the page has, and the same
    ones every time.
    """
    import matplotlib as mpl

    plain: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "text.parse_math": False,  # names are names, whatever dollars are in them
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "text.color": INK,
    }
    with mpl.rc_context(plain):
        yield


def svg(figure: Any) -> str:
    """The drawing as an element of a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    drawn = buffer.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    drawn = re.sub(r"font:( bold)?( [\d.]+px)[^;\"]*", r"font:\1\2 inherit", drawn)
    tag, rest = drawn.split(">", 1)
    return re.sub(r'\s(width|height)="[^"]*"', "", tag) + ' class="plot">' + rest


def quality_against_rate(summary: Mapping[str, Any], columns: Columns) -> str | None:
    """A panel per metric, every system with a bit rate at its place; the original as a line where
    it ends.
    """
    systems = summary["systems"]
    measured = [
        column
        for name, column in columns.items()
        if column.against_rate and any(name in s["metrics"] for s in systems.values())
    ]
    placed = [name for name, s in systems.items() if s["bit_rate"] and name not in ANCHORS]
    if not measured or not placed:
        return None
    from matplotlib.figure import Figure

    across = min(3, len(measured))
    down = -(-len(measured) // across)
    with style("rate"):
        figure = Figure(figsize=(4.1 * across, 2.9 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis, column in zip(axes, measured, strict=False):
            draw_rates(axis, column, systems, placed)
        for axis in axes[len(measured) :]:
            axis.set_visible(False)
        return svg(figure)


def draw_rates(
    axis: Any, column: Column, systems: Mapping[str, Any], placed: Sequence[str]
) -> None:
    """One panel, scaled to the codecs: the original's line is there where it is not far above."""
    palette = colors(list(systems))
    points = {
        name: (systems[name]["bit_rate"], found)
        for name in placed
        if (found := systems[name]["metrics"].get(column.name))
    }
    for name, (rate, found) in points.items():
        single = found["low"] is None
        spread = (
            None if single else [[found["mean"] - found["low"]], [found["high"] - found["mean"]]]
        )
        axis.errorbar(
            rate, found["mean"], spread, fmt="o", color=palette[name], markersize=6, elinewidth=1.2
        )
    rates = [systems[name]["bit_rate"] for name in placed]
    axis.set_xscale("log")
    axis.set_xlim(min(rates) / 1.8, max(rates) * 2.6)
    axis.xaxis.set_major_formatter(
        lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
    )
    axis.xaxis.set_minor_formatter(lambda *_: "")
    axis.set_title(
        column.title + (" (lower is better)" if column.better == "lower" else ""), loc="left"
    )
    axis.set_xlabel("bit/s, measured", fontsize=8)
    axis.margins(y=0.25)
    bottom, top = axis.get_ylim()
    ceiling = systems.get("original", {}).get("metrics", {}).get(column.name)
    if ceiling and bottom <= ceiling["mean"] <= top + 0.5 * (top - bottom):
        axis.axhline(ceiling["mean"], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    places = {
        name: axis.transData.transform((rate, found["mean"]))
        for name, (rate, found) in points.items()
    }
    for name, offset in label_offsets(places).items():
        rate, found = points[name]
        side = "left" if offset[0] > 0 else "right" if offset[0] < 0 else "center"
        axis.annotate(
            name,
            (rate, found["mean"]),
            offset,
            textcoords="offset points",
            fontsize=8,
            color=palette[name],
            ha=side,
        )


def label_offsets(places: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Where each label stands beside its point, in points (places are in pixels at 100 a inch): the
    first of a few places where it covers no other point and no label; the least bad one where there
    is none.
    """
    boxes: list[tuple[float, float, float, float]] = [
        (x - 5, y - 5, x + 5, y + 5) for x, y in places.values()
    ]
    chosen: dict[str, tuple[float, float]] = {}
    for name, (x, y) in places.items():
        width, height = 6.2 * len(name), 11.0
        best = None
        for dx, dy in LABEL_PLACES:
            left = x + 1.4 * dx - (width if dx < 0 else width / 2 if dx == 0 else 0)
            box = (left, y + 1.4 * dy - 2, left + width, y + 1.4 * dy + height)
            crowd = sum(overlap(box, other) for other in boxes)
            if best is None or crowd < best[0]:
                best = (crowd, (dx, dy), box)
        assert best is not None
        chosen[name] = best[1]
        boxes.append(best[2])
    return chosen


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def distributions(
    rows: Sequence[Mapping[str, Any]], systems: Sequence[str], columns: Columns
) -> str | None:
    """A panel per metric: for each system its files' values as a shape, with the median and the
    middle half.
    """
    there = [column for name, column in columns.items() if any(name in row for row in rows)]
    if not there:
        return None
    from matplotlib.figure import Figure

    across = min(3, len(there))
    down = -(-len(there) // across)
    with style("distribution"):
        figure = Figure(
            figsize=(4.1 * across, (0.7 + 0.27 * len(systems)) * down), layout="constrained"
        )
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for index, (axis, column) in enumerate(zip(axes, there, strict=False)):
            having = [
                name
                for name in systems
                if any(r["system"] == name and column.name in r for r in rows)
            ]
            draw_distribution(
                axis,
                column,
                rows,
                systems,
                having,
                named=index % across == 0 or having != list(systems),
            )
        for axis in axes[len(there) :]:
            axis.set_visible(False)
        return svg(figure)


def draw_distribution(
    axis: Any,
    column: Column,
    rows: Sequence[Mapping[str, Any]],
    systems: Sequence[str],
    having: Sequence[str],
    named: bool,
) -> None:
    """One panel: a shape of each system's values, its middle half and its median."""
    palette = colors(systems)
    for place, name in enumerate(reversed(having)):
        own = [row for row in rows if row["system"] == name]
        values = np.array([row[column.name] for row in own if column.name in row])
        if len(values) >= MIN_FOR_A_SHAPE and np.ptp(values) > 1e-9:
            counts, edges = np.histogram(values, bins=40)
            smooth = np.convolve(
                np.pad(counts, 2, mode="edge"), [0.1, 0.2, 0.4, 0.2, 0.1], mode="valid"
            )
            height = 0.38 * smooth / smooth.max()
            middles = (edges[:-1] + edges[1:]) / 2
            axis.fill_between(
                middles,
                place - height,
                place + height,
                color=palette[name],
                alpha=0.35,
                linewidth=0,
            )
        if len(values):
            low, median, high = np.percentile(values, (25, 50, 75))
            axis.plot(
                [low, high],
                [place, place],
                color=palette[name],
                linewidth=2.4,
                solid_capstyle="round",
            )
            axis.plot(
                median, place, "o", color="white", markeredgecolor=palette[name], markersize=4.5
            )
    axis.set_yticks(range(len(having)), list(reversed(having)) if named else [""] * len(having))
    axis.set_ylim(-0.6, len(having) - 0.4)
    axis.grid(axis="y", visible=False)
    axis.set_title(column.title, loc="left")


def code_histogram(codes: Mapping[str, Any]) -> str | None:
    """How often the most frequent codes come, in order of frequency, beside an even use."""
    used = {name: facts["use"] for name, facts in codes.items()}
    if not used:
        return None
    from matplotlib.figure import Figure

    with style("codes"):
        figure = Figure(figsize=(8.2, 2.9), layout="constrained")
        axis = figure.subplots()
        palette = colors(list(used))
        for name, use in used.items():
            shares = np.array(use["most_frequent"]) / use["total"]
            axis.plot(
                np.arange(1, len(shares) + 1),
                shares,
                color=palette[name],
                linewidth=1.8,
                label=name,
            )
            even = 1 / use["codebook_size"]
            axis.axhline(even, color=palette[name], linewidth=0.9, linestyle=(0, (4, 3)))
            axis.annotate(
                "all codes alike",
                (1, even),
                (2, 4),
                textcoords="offset points",
                fontsize=8,
                color=FAINT,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set(xlabel="rank of the code", ylabel="share of all codes")
        axis.legend(frameon=False, fontsize=8)
        return svg(figure)
