"""How much of the model's own speed is left when it has to read, decode, batch and write 10 000
short files.

    python scripts/prepare_nano_data.py
    python benchmarks/extraction.py --rows 10000       # 10 000 files; 25 minutes on two cores
    git worktree add ../before COMMIT
    python benchmarks/extraction.py --rows 10000 --against ../before   # side by side, in turn

The files are crops of 1 … 3 s of the training set, FLAC at 16 kHz. "Model alone" runs the same
encoder in the same number of processes over the same pieces, decoded before the clock starts: once
as the pipeline calls it (rows near an edge again alone), once in plain batches. The three take
turns, and medians are shown.

With `--against` the whole command of this checkout and of another one take turns instead, over the
same files, and their codes are compared. Without the training set, `--data ''` takes crops of the
demo clip inside the package.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

SOURCE = Path(__file__).resolve().parents[1] / "src"
RATE = 16_000
WARM = 40  # recordings encoded before the clock starts


def make_corpus(data: Path | None, folder: Path, rows: int) -> Path:
    """`rows` crops and their manifest; made once."""
    manifest = folder / "manifest.tsv"
    if manifest.exists():
        return manifest
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    clip = SOURCE / "xcodec2" / "assets" / "demo.flac"
    sources = [clip] if data is None else long_files(data)
    lines = ["id\tpath\n"]
    for n in range(rows):
        samples = decoded(sources[random.integers(len(sources))])
        size = int(RATE * random.uniform(1, 3))
        start = int(random.integers(max(1, len(samples) - size)))
        name = f"{n // 1000:02}/{n:05}.flac"
        (folder / name).parent.mkdir(exist_ok=True)
        soundfile.write(folder / name, samples[start : start + size], RATE)
        lines.append(f"{n}\t{name}\n")
    manifest.write_text("".join(lines))
    return manifest


@functools.lru_cache(16)
def decoded(path: Path) -> np.ndarray:
    """(N,) int16."""
    samples, _ = soundfile.read(path, dtype="int16")
    return samples


def long_files(data: Path) -> list[Path]:
    with (data / "train" / "manifest.tsv").open(newline="") as file:
        return [
            data / "train" / row["path"]
            for row in csv.DictReader(file, delimiter="\t")
            if float(row["seconds"]) > 3.1
        ]


def model_alone(
    model: str,
    manifest: str,
    first: int,
    step: int,
    budget: float,
    exact: bool,
    ready,
    go,
    results,
) -> None:
    """One process' share: seconds of audio and seconds of encoding."""
    import torch

    from xcodec2.corpus import read_corpus
    from xcodec2.extract import encoding
    from xcodec2.extract.reading import PIECE_SECONDS

    encoder = encoding.Encoder(encoding.Settings(model, batch_seconds=budget))
    if not exact:
        encoding.TOLERANCE = -1.0
    waveforms = [
        r.load().waveform for n, r in enumerate(read_corpus(manifest)) if n % step == first
    ]
    encoding.encode_exactly(encoder.model, waveforms[:WARM], budget)
    ready.wait()
    go.wait()
    start, piece, samples = time.perf_counter(), [], 0
    for n, waveform in enumerate(waveforms):
        piece.append(waveform)
        samples += len(waveform)
        if samples > PIECE_SECONDS * RATE or n == len(waveforms) - 1:
            encoding.encode_exactly(encoder.model, piece, budget)
            piece, samples = [], 0
    assert torch.get_num_threads() == 1
    results.put((sum(map(len, waveforms)) / RATE, time.perf_counter() - start))


def alone(model: str, manifest: Path, workers: int, budget: float, exact: bool) -> float:
    """Seconds of audio a second, all processes together, from the start of the first to the end of
    the last.
    """
    context = multiprocessing.get_context("spawn")
    ready, go, results = context.Barrier(workers + 1), context.Event(), context.Queue()
    processes = [
        context.Process(
            target=model_alone,
            args=(model, str(manifest), n, workers, budget, exact, ready, go, results),
        )
        for n in range(workers)
    ]
    for process in processes:
        process.start()
    ready.wait()
    start = time.perf_counter()
    go.set()
    audio = sum(results.get()[0] for _ in processes)
    elapsed = time.perf_counter() - start
    for process in processes:
        process.join()
    return audio / elapsed


def pipeline(
    manifest: Path, out: Path, rows: int, source: Path, args: argparse.Namespace
) -> tuple[float, float, float]:
    """Seconds of audio a second of the whole command of the checkout at `source`, the seconds that
    a second run takes, which finds all done, and the CPU seconds of the first in all its processes.
    """
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "xcodec2.cli", "extract", str(manifest), str(out)]
    command += ["--model", args.model, "--workers", str(args.workers), "--rows", str(rows)]
    command += ["--batch-seconds", str(args.batch_seconds)]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    times, spent = [], []
    for _ in range(2):
        start, used = time.perf_counter(), cpu_of_children()
        summary = json.loads(
            subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            ).stdout
        )
        times.append(time.perf_counter() - start)
        spent.append(cpu_of_children() - used)
    assert not summary["errors"]
    audio = 3600 * summary["hours"]
    return audio / times[0], times[1], spent[0]


def cpu_of_children() -> float:
    """Seconds that all ended processes used; other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def side_by_side(manifest: Path, args: argparse.Namespace) -> None:
    """The whole command of this checkout and of another in turn; asserts that the codes are
    equal.
    """
    places = {"this checkout": SOURCE, str(args.against): args.against.resolve() / "src"}
    speeds: dict[str, list[float]] = {name: [] for name in places}
    spent: dict[str, list[float]] = {name: [] for name in places}
    rows = max(50, args.rows // 20)
    for _ in range(args.repeat):
        found = []
        for number, (name, source) in enumerate(places.items()):
            out = args.work / f"tokens-{args.rows}-{number}"
            speed, _, cpu = pipeline(manifest, out, rows, source, args)
            speeds[name].append(speed)
            spent[name].append(cpu)
            found.append(codes_of(out))
        for name in places:
            told = (
                f"{name}: {speeds[name][-1]:.1f} s of audio a second, {spent[name][-1]:.0f} CPU s"
            )
            print(told, file=sys.stderr, flush=True)
        assert found[0] == found[1], "the codes differ"
    print("| whole command | s of audio a second | CPU seconds |\n|---|---|---|")
    for name in places:
        cells = (
            f"{statistics.median(values):.1f} ({min(values):.1f} … {max(values):.1f})"
            for values in (speeds[name], spent[name])
        )
        print(f"| {name} | {' | '.join(cells)} |")


def codes_of(out: Path) -> dict[str, list[int]]:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(out / "data", columns=["id", "codes"]).to_pylist()
    return {row["id"]: row["codes"] for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="data/nano")
    parser.add_argument("--work", type=Path, default=Path("runs/extraction"))
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--model", default="nano", help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-seconds", type=float, default=40.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    data = Path(args.data) if args.data else None
    manifest = make_corpus(data, args.work / f"corpus-{args.rows}", args.rows)
    if args.against:
        side_by_side(manifest, args)
        return
    turns = []
    for _ in range(args.repeat):
        plain = alone(args.model, manifest, args.workers, args.batch_seconds, exact=False)
        exact = alone(args.model, manifest, args.workers, args.batch_seconds, exact=True)
        out = args.work / f"tokens-{args.rows}"
        whole, again, _ = pipeline(manifest, out, max(50, args.rows // 20), SOURCE, args)
        turns.append((plain, exact, whole, 100 * whole / exact, again))
        print(f"{plain:.1f}, {exact:.1f}, {whole:.1f}", file=sys.stderr, flush=True)
    plain, exact, whole, share, again = (
        statistics.median(values) for values in zip(*turns, strict=True)
    )
    print("| | s of audio a second | of the model alone |\n|---|---|---|")
    print(f"| model alone, plain batches | {plain:.1f} | |")
    print(f"| model alone, rows near an edge again | {exact:.1f} | 100 % |")
    print(f"| whole command, start included | {whole:.1f} | {share:.0f} % |")
    print(f"\nA second run, all done: {again:.1f} s.")


if __name__ == "__main__":
    main()
