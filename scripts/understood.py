"""How well are codecs understood, by kind of recording? A table for comparing checkpoints of one
run, or runs.

    python scripts/understood.py nano runs/a/model runs/b/model --data data/nano/hard/manifest.tsv

Of each model and kind of recording (`source` of the manifest): STOI to the clean clip, the
recognizer's negative log likelihood of the clean clip's own text after the decoded speech (mean of
its tokens, in nats), and word errors against that text, each clip's share at most 1. The first line
is of the recordings themselves. Beneath: the paired difference of each model's likelihood to the
first one's with its 95 % interval over clips, the share of codes that change when the semantic
branch is silenced, and of codes kept at -6 dB.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from pystoi import stoi

from xcodec2 import XCodec2Model
from xcodec2.audio.io import load_audio
from xcodec2.train.listener import Listener

RATE = 16_000
RESAMPLES = 2000
HALF = 10 ** (-6 / 20)
Figures = dict[str, float]


def main() -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("models", nargs="+", help="what from_pretrained takes")
    parser.add_argument("--data", type=Path, required=True, help="manifest of prepare_hard_set.py")
    parser.add_argument(
        "--size", default="tiny", choices=("tiny", "base"), help="of Moonshine (%(default)s)"
    )
    parser.add_argument("--json", type=Path, help="file for every clip's figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(options.data)
    listener = Listener(options.size)
    found = {"(original)": [figures_of(row, row["heard"], listener) for row in rows]}
    branches = {}
    for name in options.models:
        model = XCodec2Model.from_pretrained(name)
        found[name] = [
            figures_of(row, model.decode(model.encode(row["heard"], RATE)), listener)
            for row in rows
        ]
        branches[name] = branch_figures(
            model, [row["clean"] for row in rows if row["condition"] == "clean"]
        )
        print_model(name, rows, found[name])
    print_model("(original)", rows, found["(original)"])
    first = np.array([one["nll"] for one in found[options.models[0]]])
    for name in options.models:
        low, mean, high = interval(np.array([one["nll"] for one in found[name]]) - first)
        listed = ", ".join(f"{key} {value:.3f}" for key, value in branches[name].items())
        print(f"{name}: nll {mean:+.3f} ({low:+.3f} to {high:+.3f}); {listed}")
    if options.json:
        options.json.write_text(
            json.dumps({"clips": [row["id"] for row in rows], "figures": found})
        )


def read_rows(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        row["heard"] = load_audio(path.parent / row["path"], target_rate=RATE).waveform
        row["clean"] = load_audio(path.parent / row["clean"], target_rate=RATE).waveform
        row["condition"] = row["source"].rpartition("-")[2]
    return rows


def figures_of(row: dict, decoded: torch.Tensor, listener: Listener) -> Figures:
    """Against the clean clip, whatever was put on it."""
    clean = row["clean"]
    similarity = stoi(clean.numpy(), decoded.numpy()[: len(clean)], RATE)
    return {"stoi": float(similarity), **listener.figures(clean, decoded, RATE)}


def branch_figures(model: XCodec2Model, clips: list[torch.Tensor]) -> Figures:
    """What of the codes hangs on the semantic branch, and on the level."""
    heard = [model.encode(clip, RATE).codes for clip in clips]
    soft = [model.encode(clip * HALF, RATE).codes for clip in clips]
    handle = model.semantic_adapter.register_forward_hook(
        lambda module, inputs, output: torch.zeros_like(output)
    )
    silent = [model.encode(clip, RATE).codes for clip in clips]
    handle.remove()
    joined, other, softer = (torch.cat(codes) for codes in (heard, silent, soft))
    return {
        "changed without semantic branch": float((joined != other).float().mean()),
        "kept at -6 dB": float((joined == softer).float().mean()),
        "different codes": joined.unique().numel() / joined.numel(),
    }


def print_model(name: str, rows: list[dict], figures: list[Figures]) -> None:
    kinds: dict[str, list[Figures]] = defaultdict(list)
    for row, one in zip(rows, figures, strict=True):
        for kind in ("all", row["condition"], row["source"].rpartition("-")[0]):
            kinds[kind].append(one)
    for kind, ones in kinds.items():
        means = {
            key: float(np.mean([one[key] for one in ones if key in one]))
            for key in ("stoi", "nll", "wer")
        }
        listed = "  ".join(f"{key} {value:.3f}" for key, value in means.items())
        print(f"{name:30} {kind:12} {len(ones):4} clips  {listed}", flush=True)


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """2.5 %, mean and 97.5 % of the mean, by resampling clips."""
    generator = np.random.default_rng(0)
    means = generator.choice(differences, (RESAMPLES, len(differences))).mean(1)
    return (
        float(np.quantile(means, 0.025)),
        float(differences.mean()),
        float(np.quantile(means, 0.975)),
    )


if __name__ == "__main__":
    main()
