"""What evaluating the test set without judges costs, beside another checkout.

    python scripts/prepare_nano_data.py
    git worktree add ../before f1dea02
    python benchmarks/evaluation.py --against ../before
    python benchmarks/evaluation.py --data '' --sample 100 --against ../before

The whole command with two workers, alternating; medians of wall and CPU seconds. Told, too, is by
how much the two builds' numbers differ. Without the test set, `--data ''` takes crops of the demo
clip.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
from extraction import SOURCE, cpu_of_children, make_corpus

METRICS = "stoi,pesq,mel,si-sdr,f0"


def evaluate(manifest: Path, out: Path, source: Path, args: argparse.Namespace) -> list[float]:
    """Wall and CPU seconds of the whole command."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "xcodec2.cli", "evaluate", str(manifest), "--out", str(out)]
    command += ["--model", args.model, "--metrics", args.metrics, "--workers", str(args.workers)]
    command += ["--no-audio", "--no-cost"]
    command += ["--sample", str(args.sample)] if args.sample else []
    begin, used = time.perf_counter(), cpu_of_children()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(source)},
    )
    return [time.perf_counter() - begin, cpu_of_children() - used]


def numbers(out: Path) -> dict[tuple[str, str], float]:
    """Every number of a report's rows, by recording and column."""
    rows = pyarrow.parquet.read_table(out / "rows.parquet").to_pylist()
    return {
        (row["id"], column): value
        for row in rows
        for column, value in row.items()
        if isinstance(value, float) and column != "seconds"
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/nano")
    parser.add_argument("--work", type=Path, default=Path("runs/evaluation"))
    parser.add_argument("--model", default="nano")
    parser.add_argument("--metrics", default=METRICS, help="(%(default)s)")
    parser.add_argument("--sample", type=int, help="recordings; all when left out")
    parser.add_argument("--workers", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    if args.data:
        manifest = Path(args.data) / "test" / "manifest.tsv"
    else:
        manifest = make_corpus(None, args.work / "corpus", args.sample or 100)
    places = {"this checkout": SOURCE}
    if args.against:
        places[str(args.against)] = args.against.resolve() / "src"
    spent: dict[str, list[list[float]]] = {name: [] for name in places}
    for _ in range(args.rounds):
        for number, (name, source) in enumerate(places.items()):
            spent[name].append(evaluate(manifest, args.work / f"report-{number}", source, args))
            print(f"{name}: {spent[name][-1]}", file=sys.stderr, flush=True)
    print("| evaluation | s | CPU s |\n|---|---|---|")
    for name, runs in spent.items():
        wall, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} |")
    if args.against:
        now, then = (numbers(args.work / f"report-{number}") for number in (0, 1))
        both = now.keys() & then.keys()
        worst = max(both, key=lambda key: abs(now[key] - then[key]))
        print(f"{len(both)} numbers in both, {sum(now[k] == then[k] for k in both)} equal; ")
        print(f"the furthest apart: {worst}, {then[worst]} and {now[worst]}")


if __name__ == "__main__":
    main()
