"""From rows to what can be said of a system: means with confidence intervals, groups, and paired
comparisons.

Intervals are 95 % bootstrap percentiles over recordings, 1000 resamples with a fixed seed. Rates of
errors (WER, CER) are sums of errors over sums of words, as is usual, not means of rates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xcodec2.evaluate.metrics.metric import Column, Columns

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
MAX_DRAWN = 4_000_000  # numbers at once
MIN_GROUP = 2

Row = Mapping[str, Any]


def summarize(
    rows: Sequence[Row], systems: Sequence[str], columns: Columns, group_by: Sequence[str] = ()
) -> dict[str, Any]:
    """The numbers of a report.

    Args:
        rows: Of all recordings and systems.
        systems: Their names, the first of which the others are compared with.
        columns: Those to take of the rows, by name.
        group_by: Columns of the corpus.

    Returns:
        For each system, each group, and each pair with the first system, ready for JSON.
    """
    of_system = {name: [row for row in rows if row["system"] == name] for name in systems}
    first = systems[0]
    return {
        "systems": {name: of_rows(of_system[name], columns) for name in systems},
        "groups": {name: summarize_groups(rows, systems, columns, name) for name in group_by},
        "against_first": {
            name: compared(of_system[first], of_system[name], columns)
            for name in systems
            if name != first
        },
        "failed": [
            {"id": row["id"], "system": row["system"], "error": row["error"]}
            for row in rows
            if row.get("error")
        ],
    }


def of_rows(rows: Sequence[Row], columns: Columns) -> dict[str, Any]:
    """One system on one set of recordings."""
    good = [row for row in rows if not row.get("error")]
    undefined: dict[str, Counter[str]] = defaultdict(Counter)
    for row in good:
        for metric, why in row.get("undefined", {}).items():
            undefined[metric][why] += 1
    rates = [row["bit_rate"] * row["seconds"] for row in good if "bit_rate" in row]
    seconds = sum(row["seconds"] for row in good)
    return {
        "recordings": len(good),
        "failed": len(rows) - len(good),
        "seconds": seconds,
        "bit_rate": sum(rates) / seconds if rates and len(rates) == len(good) else None,
        "metrics": {name: found for name, c in columns.items() if (found := estimate(good, c))},
        "undefined": {metric: dict(reasons) for metric, reasons in undefined.items()},
    }


def estimate(rows: Iterable[Row], column: Column) -> dict[str, Any] | None:
    """The mean of a column, with its interval.

    Args:
        rows: Of one system.
        column: Which.

    Returns:
        mean, low, high and n over the rows that have it; None when none has. One row has no
        interval.
    """
    weights = terms(rows, column)
    if not len(weights):
        return None
    wrong, total = weights.T
    return {
        "mean": float(wrong.sum() / total.sum()),
        **interval(resampled(weights), len(weights)),
        "n": len(weights),
    }


def interval(values: np.ndarray, n: int) -> dict[str, float | None]:
    """low and high of resampled values; None where they come from a single recording."""
    low, high = np.percentile(values, INTERVAL) if n > 1 else (None, None)
    return {
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
    }


def terms(rows: Iterable[Row], column: Column) -> np.ndarray:
    """(n, 2): numerators and denominators whose sums give the column's mean."""
    above, below = column.ratio or (column.name, None)
    pairs = [(row[above], row[below] if below else 1.0) for row in rows if column.name in row]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def resampled(weights: np.ndarray) -> np.ndarray:
    """(n, m) → (RESAMPLES,): the ratio of the first two columns' sums in every resample of rows."""
    draw = np.random.default_rng(0)
    ratios: list[np.ndarray] = []
    at_once = max(1, MAX_DRAWN // len(weights))
    for start in range(0, RESAMPLES, at_once):
        picks = draw.integers(0, len(weights), (min(at_once, RESAMPLES - start), len(weights)))
        sums = weights[picks].sum(1)
        ratios.append(sums[:, 0] / np.maximum(sums[:, 1], 1e-12))
    return np.concatenate(ratios)


def compared(ours: Sequence[Row], theirs: Sequence[Row], columns: Columns) -> dict[str, Any]:
    """Compare two systems on the recordings that both have.

    The interval is of paired resamples: what makes a recording hard for both drops out of it.

    Args:
        ours: Rows of one system.
        theirs: Rows of the other.
        columns: Those to compare, by name.

    Returns:
        Column → theirs minus ours, its interval, and how often theirs is the better one.
    """
    by_id = {row["id"]: row for row in ours if not row.get("error")}
    pairs = [
        (by_id[row["id"]], row) for row in theirs if not row.get("error") and row["id"] in by_id
    ]
    result = {}
    for name, column in columns.items():
        both = [(a, b) for a, b in pairs if name in a and name in b]
        if not both:
            continue
        left, right = terms((a for a, _ in both), column), terms((b for _, b in both), column)
        # One draw for both sides: resampling with one seed picks the same recordings.
        differences = resampled(right) - resampled(left)
        sign = -1 if column.better == "lower" else 1
        wins = sign * np.array([b[name] - a[name] for a, b in both])
        result[name] = {
            "difference": float(
                right[:, 0].sum() / right[:, 1].sum() - left[:, 0].sum() / left[:, 1].sum()
            ),
            **interval(differences, len(both)),
            "better_on": float(np.mean(wins > 0) + 0.5 * np.mean(wins == 0)),
            "n": len(both),
        }
    return result


def summarize_groups(
    rows: Sequence[Row], systems: Sequence[str], columns: Columns, group_by: str
) -> dict[str, Any]:
    """Value of a column of the corpus → system → the same numbers as for all; values of a single
    recording go into `(others)`.
    """
    values = Counter(value_of(row, group_by) for row in rows if row["system"] == systems[0])
    named = {value if count >= MIN_GROUP else "(others)" for value, count in values.items()}
    result = {}
    for value in sorted(named):
        within = [
            r
            for r in rows
            if (v := value_of(r, group_by)) == value or (value == "(others)" and v not in named)
        ]
        result[value] = {
            name: of_rows([row for row in within if row["system"] == name], columns)
            for name in systems
        }
    return result


def value_of(row: Row, column: str) -> str:
    """A cell of the corpus as a group's name."""
    value = row["columns"].get(column)
    return "(none)" if value is None or value == "" else str(value)
