"""Does an evaluation of many files give the same numbers however it is run, in flat memory?

    python benchmarks/evaluate_scale.py                    # 907 files, 8 systems, signal metrics
    python benchmarks/evaluate_scale.py --files 120 --metrics stoi,mel

Short files of made-up speech are evaluated as 8 systems (known changes, which cost next to
nothing) with 1, 2 and 4 workers, and once more by a run that is killed (SIGKILL to its whole
process group) when two fifths of the rows are there and then started again. Each run is a process
of its own. Printed are whether all rows and summaries are equal, how many rows the second start
found, and the peak memory of the largest process for an eighth of the files and for all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SYSTEMS = ("copy", "quiet", "loud", "inverted", "delay", "noise-20", "narrow", "gap")
METRICS = "stoi,pesq,mel,si-sdr,f0"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=907, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of a file (%(default)s)")
    parser.add_argument("--metrics", default=METRICS, help="(%(default)s)")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)  # corpus, report, workers
    arguments = parser.parse_args()
    if arguments.one:
        corpus, out, workers = arguments.one
        print(json.dumps(one_run(corpus, out, workers, arguments.metrics)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few = folder / "few"
        make_files(few, arguments.files // 8, arguments.seconds)
        make_files(folder / "all", arguments.files, arguments.seconds)
        first = run(few, folder / "few-1", 1, arguments.metrics)
        print(f"{arguments.files // 8} files, 1 worker: {shown(first)}", flush=True)
        whole = folder / "all"
        runs = {}
        for workers in (1, 2, 4):
            label = f"{arguments.files} files, {workers} workers"
            runs[label] = run(whole, folder / f"all-{workers}", workers, arguments.metrics)
            print(f"{label}: {shown(runs[label])}", flush=True)
        rows = arguments.files * len(SYSTEMS)
        found = killed(whole, folder / "killed", arguments.metrics, rows * 2 // 5)
        label = f"killed after {found} of {rows} rows and started again, 2 workers"
        runs[label] = run(whole, folder / "killed", 2, arguments.metrics)
        print(f"{label}: {shown(runs[label])}", flush=True)
        equal = len({one["digest"] for one in runs.values()}) == 1
        print("all numbers equal" if equal else "NUMBERS DIFFER")
        first_run = next(iter(runs.values()))
        growth = first_run["own"] - first["own"]
        print(f"1 worker: {growth:+.0f} MB from {arguments.files // 8} to {arguments.files} files")
        sys.exit(not equal)


def make_files(folder: Path, count: int, seconds: float) -> None:
    """Harmonics that glide, with syllables: something that pitch and STOI are defined for."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    clock = np.arange(int(seconds * RATE)) / RATE
    for number in range(count):
        pitch = rng.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * rng.uniform(1, 3) * clock))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        tilt = rng.uniform(0.6, 1.6)
        voice = sum(np.sin(k * phase) / k**tilt for k in range(1, 25))
        loud = 0.55 + 0.45 * np.sin(2 * np.pi * rng.uniform(3, 6) * clock + rng.uniform(0, 6))
        speech = 0.1 * voice * loud + 0.002 * rng.standard_normal(len(clock))
        soundfile.write(folder / f"{number:05d}.flac", speech, RATE)


def command(corpus: Path, out: Path, workers: int, metrics: str) -> list[str]:
    """One run as a process of its own."""
    one = ["--one", str(corpus), str(out), str(workers)]
    return [sys.executable, __file__, *one, "--metrics", metrics]


def run(corpus: Path, out: Path, workers: int, metrics: str) -> dict[str, float]:
    """What `one_run` gives."""
    ended = subprocess.run(
        command(corpus, out, workers, metrics), check=True, stdout=subprocess.PIPE
    )
    result: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return result


def one_run(corpus: str, out: str, workers: str, metrics: str) -> dict[str, object]:
    """Evaluate; memory in MB, CPU seconds, and a digest of every number."""
    from xcodec2.evaluate import evaluate

    summary = evaluate(
        corpus, out, models=(), baselines=[f"change:{name}" for name in SYSTEMS],
        metrics=metrics.split(","), workers=int(workers), cost=False, worst=0, audio=False,
    )  # fmt: skip
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(Path(out) / "rows.parquet").to_pylist()
    numbers = {key: summary[key] for key in ("systems", "against_first", "failed", "corpus_sha256")}
    content = json.dumps([rows, numbers], default=str)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "digest": hashlib.sha256(content.encode()).hexdigest(),
        "rows": len(rows),
        "own": usage[0].ru_maxrss / 1024,
        "children": usage[1].ru_maxrss / 1024,
        "seconds": sum(one.ru_utime + one.ru_stime for one in usage),
    }


def killed(corpus: Path, out: Path, metrics: str, rows: int) -> int:
    """Start a run, kill it when so many rows are there; how many whole ones it left."""
    journal = out / "rows.jsonl"
    process = subprocess.Popen(
        command(corpus, out, 2, metrics), start_new_session=True, stdout=subprocess.DEVNULL
    )
    while process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= rows:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            break
        time.sleep(0.5)
    if process.returncode != -signal.SIGKILL:
        sys.exit("the run ended before it could be killed")
    return journal.read_bytes().count(b"\n")


def shown(result: dict[str, float]) -> str:
    """For people."""
    return (
        f"{result['rows']} rows, {result['seconds']:.0f} s of CPU, peak {result['own']:.0f} MB, "
        f"of a worker {result['children']:.0f} MB, {str(result['digest'])[:12]}"
    )


if __name__ == "__main__":
    main()
