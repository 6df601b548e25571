"""Draw the curves of training runs, one panel a number and one line a run.

    python scripts/plot_runs.py runs/nano runs/nano-gan -o curves.png --of valid/stoi --of mel

Numbers are those of each run's log.jsonl; `--average N` smooths over N logged steps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np


def curve(run: Path, name: str, average: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one number of a run, each a mean over `average` logged ones."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    points = np.array(
        [(line["step"], line[name]) for line in lines if name in line], dtype=float
    ).reshape(-1, 2)
    width = 1 if name.startswith("valid/") else average
    whole = len(points) // width * width
    steps, values = points[:whole].reshape(-1, width, 2).mean(axis=1).T
    return steps, values


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument(
        "--of", action="append", required=True, metavar="NAME", help="a number of log.jsonl"
    )
    parser.add_argument("--average", type=int, default=5)
    asked = parser.parse_args()
    figure, panels = plt.subplots(
        1, len(asked.of), figsize=(4.2 * len(asked.of), 3.4), layout="constrained"
    )
    for panel, name in zip(np.atleast_1d(panels), asked.of, strict=True):
        for color, run in enumerate(
            asked.runs
        ):  # a run keeps its color where another lacks the number
            steps, values = curve(run, name, asked.average)
            if len(steps):
                panel.plot(
                    steps,
                    values,
                    color=f"C{color}",
                    marker="o" if len(steps) < 20 else None,
                    label=run.name,
                )
        panel.set(xlabel="step", title=name)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.savefig(asked.out, dpi=110)


if __name__ == "__main__":
    main()
