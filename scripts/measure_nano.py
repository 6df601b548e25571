"""Measure a codec on the project's test set: speakers, languages and noise that nano has not been trained on.

    python scripts/prepare_nano_data.py
    python scripts/measure_nano.py                     # nano, all clips from 1.5 to 15 s
    python scripts/measure_nano.py --model FOLDER --most 15 --json figures.json

STOI, extended STOI (pystoi) and PESQ wide and narrow band (pesq), averaged over clips of each source and over
sources, each source alike. Shorter clips are left out because STOI is not defined on them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import multiprocessing
import random
import statistics
import warnings
from pathlib import Path

import soundfile
import torch
from tqdm import tqdm

METRICS = ("STOI", "ESTOI", "PESQ-WB", "PESQ-NB")
SHORTEST, LONGEST = 1.5, 15.0


def start_worker(model: str) -> None:
    global codec
    from xcodec2 import XCodec2Model

    torch.set_num_threads(1)
    codec = XCodec2Model.from_pretrained(model)


def measure(path: Path) -> tuple[dict[str, float], list[int]]:
    """Metrics of one clip, those that it has, and its codes."""
    import pesq
    from pystoi import stoi

    codes = codec.encode(path)
    decoded = codec.decode(codes).numpy()
    original, rate = soundfile.read(path, dtype="float32")
    figures = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi says so when too little speech is left
        try:
            figures["STOI"] = float(stoi(original, decoded, rate))
            figures["ESTOI"] = float(stoi(original, decoded, rate, extended=True))
        except RuntimeWarning:
            pass
    for mode in ("wb", "nb"):
        try:
            figures[f"PESQ-{mode.upper()}"] = float(pesq.pesq(rate, original, decoded, mode))
        except pesq.PesqError:  # no utterance found: nothing to measure
            continue
    return figures, codes.codes.tolist()


def choose(manifest: Path, most: int | None) -> dict[str, list[Path]]:
    """Clips by source, in an order that does not depend on names."""
    clips: dict[str, list[Path]] = {}
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if SHORTEST <= float(row["seconds"]) <= LONGEST:
                clips.setdefault(row["source"], []).append(manifest.parent / row["path"])
    for paths in clips.values():
        random.Random(0).shuffle(paths)
    return {source: paths[:most] for source, paths in sorted(clips.items())}


def summary(name: str, results: list[tuple[dict[str, float], list[int]]]) -> dict[str, object]:
    means = {metric: statistics.fmean(f[metric] for f, _ in results if metric in f) for metric in METRICS}
    codes = torch.tensor([code for _, codes in results for code in codes])
    share = codes.unique(return_counts=True)[1] / len(codes)
    used = {"codes": len(codes), "distinct": len(share), "entropy bits": float(-(share * share.log2()).sum())}
    return {"source": name, "clips": len(results), **means, **used}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--data", type=Path, default=Path("data/nano"), help="what prepare_nano_data.py wrote")
    parser.add_argument("--most", type=int, help="clips of each source at most")
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()

    clips = choose(args.data / "test" / "manifest.tsv", args.most)
    paths = [path for group in clips.values() for path in group]
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.workers, start_worker, (args.model,)) as pool:
        results = dict(zip(paths, tqdm(pool.imap(measure, paths), total=len(paths), disable=None), strict=True))
    rows = [summary(source, [results[path] for path in group]) for source, group in clips.items()]
    total = summary("all", list(results.values()))
    total |= {metric: statistics.fmean(row[metric] for row in rows) for metric in METRICS}
    print("| source | clips | " + " | ".join(METRICS) + " | codes | distinct | bits a code |")
    print("|---|" + "---|" * (len(METRICS) + 4))
    for row in [*rows, total]:
        figures = " | ".join(f"{row[metric]:.3f}" for metric in METRICS)
        print(f"| {row['source']} | {row['clips']} | {figures} | {row['codes']} | {row['distinct']} | ", end="")
        print(f"{row['entropy bits']:.2f} of {math.log2(65536):.0f} |")
    if args.json:
        args.json.write_text(json.dumps([*rows, total], indent=2) + "\n")


if __name__ == "__main__":
    main()
