"""All figures that decide whether a nano ships, of several models side by side.

    python scripts/phone_manifest.py
    python scripts/nano_report.py nano runs/nano-3/model --data data/nano

Sound, of 60 clips of the test set: STOI, ESTOI, PESQ-WB, DistillMOS, speaker similarity.
Intelligibility, of the hard set (`prepare_hard_set.py`): STOI to the clean clip, likelihood and
word errors of another recognizer than the one that teaches.
Codes, of the test clips: how many change when the semantic branch is silenced, and how many stay
the same at -6 dB, with white noise of 30 dB, and through 44.1 kHz and back.
Phones (`xcodec2 evaluate --phones` gives the same): purity on held-out sentences, and a linear
probe that sees two frames on either side.

`--only sound,codes` leaves parts out. Everything runs in one thread.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soxr
import torch
from understood import figures_of, read_rows

from xcodec2 import XCodec2Model
from xcodec2.audio.io import load_audio
from xcodec2.corpus import read_corpus
from xcodec2.corpus.labels import labels_of
from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics import METRICS, Metric, Pair
from xcodec2.evaluate.probing.probes import phone_probes
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem
from xcodec2.train.listener import Listener

RATE = 16_000
SECONDS = (2.5, 9.0)  # of a test clip
SOUND = ("stoi", "pesq", "distillmos", "speaker")
COLUMNS = ("stoi", "estoi", "pesq_wb", "distillmos", "speaker")
PARTS = ("sound", "hard", "codes", "phones")
SNR_DB = 30
Figures = dict[str, float]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", help="what from_pretrained takes")
    parser.add_argument("--data", type=Path, default=Path("data/nano"))
    parser.add_argument("--clips", type=int, default=60, help="of the test set (%(default)s)")
    parser.add_argument("--sentences", type=int, default=0, help="with phones; 0: all")
    parser.add_argument("--only", default=",".join(PARTS), help="parts (%(default)s)")
    parser.add_argument("--size", default="tiny", choices=("tiny", "base"), help="of Moonshine")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if set(chosen) - set(PARTS):
        parser.error(f"--only: of {', '.join(PARTS)}")
    torch.set_num_threads(1)
    clips = test_clips(options.data / "test" / "manifest.tsv", options.clips)
    metrics = [metric() for metric in METRICS if metric.name in SOUND]
    measures: dict[str, Callable[[XCodec2Model], Figures]] = {
        "sound": lambda model: sound(model, clips, metrics),
        "hard": hard_set(options.data / "hard" / "manifest.tsv", options.size)
        if "hard" in chosen
        else lambda model: {},
        "codes": lambda model: code_figures(model, clips),
        "phones": lambda model: phone_figures(
            model, options.data / "phones.tsv", options.sentences
        ),
    }
    found: dict[str, Figures] = {}
    for name in options.models:
        model, found[name] = XCodec2Model.from_pretrained(name), {}
        for part in chosen:
            found[name] |= measures[part](model)
            print(f"{name}: {part} done", flush=True)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def test_clips(manifest: Path, count: int) -> list[torch.Tensor]:
    """(N,) each, at equal distances in the manifest, so that each source has its share."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file, delimiter="\t")
            if SECONDS[0] <= float(row["seconds"]) <= SECONDS[1]
        ]
    places = np.linspace(0, len(rows) - 1, count).round().astype(int)
    return [
        load_audio(manifest.parent / rows[place]["path"], target_rate=RATE).waveform
        for place in places
    ]


def sound(model: XCodec2Model, clips: list[torch.Tensor], metrics: list[Metric]) -> Figures:
    """Means over the clips for which a measure is defined."""
    values: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for clip in clips:
        pair = Pair(clip.numpy(), model.decode(model.encode(clip, RATE)).numpy())
        for metric in metrics:
            try:
                figures = metric(pair)
            except UndefinedError:
                continue
            for name in set(figures) & set(values):
                values[name].append(figures[name])
    return {name: float(np.mean(values[name])) for name in COLUMNS}


def hard_set(manifest: Path, size: str) -> Callable[[XCodec2Model], Figures]:
    """What measures a model on the hard set; the set and the recognizer are read once."""
    rows, listener = read_rows(manifest), Listener(size)

    def measure(model: XCodec2Model) -> Figures:
        figures = [
            figures_of(row, model.decode(model.encode(row["heard"], RATE)), listener)
            for row in rows
        ]
        return {
            f"hard: {key}": float(np.mean([one[key] for one in figures if key in one]))
            for key in ("stoi", "nll", "wer")
        }

    return measure


def code_figures(model: XCodec2Model, clips: list[torch.Tensor]) -> Figures:
    """What of the codes hangs on the semantic branch, and what stays under small changes."""

    def codes(change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return torch.cat([model.encode(change(clip), RATE).codes for clip in clips])

    plain = codes(lambda clip: clip)
    handle = model.semantic_adapter.register_forward_hook(
        lambda module, inputs, output: torch.zeros_like(output)
    )
    silent = codes(lambda clip: clip)
    handle.remove()
    generator = torch.Generator().manual_seed(0)
    kept = {
        "kept at -6 dB": lambda clip: clip * 10 ** (-6 / 20),
        f"kept with noise at {SNR_DB} dB": lambda clip: with_noise(clip, generator),
        "kept through 44.1 kHz": through_44100,
    }
    return {
        "changed without semantic branch": float((plain != silent).float().mean()),
        **{name: float((plain == codes(change)).float().mean()) for name, change in kept.items()},
        "different codes": plain.unique().numel() / plain.numel(),
    }


def with_noise(clip: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(clip.shape, generator=generator)
    return clip + noise * clip.square().mean().sqrt() * 10 ** (-SNR_DB / 20)


def through_44100(clip: torch.Tensor) -> torch.Tensor:
    back = soxr.resample(soxr.resample(clip.numpy(), RATE, 44_100), 44_100, RATE)
    return torch.from_numpy(np.resize(back, len(clip)))


def phone_figures(model: XCodec2Model, manifest: Path, count: int) -> Figures:
    """What codes say of phones; of all sentences, or of `count` at equal distances."""
    system, rows, labels = TokenizerSystem("model", model), [], {}
    recordings = list(read_corpus(str(manifest)))
    for recording in recordings[:: max(1, len(recordings) // count) if count else 1]:
        rows.append(
            {"id": recording.id, "codes": system.codes(recording.load(RATE).waveform.numpy())}
        )
        labels[recording.id] = labels_of(recording, "phones") or []
    figures = phone_probes(system, rows, labels) or {}
    return {
        "phone purity": figures["held_out_purity"],
        "probe": figures["probe"],
        "probe with neighbors": figures["probe_with_neighbours"],
    }


def table(found: dict[str, Figures]) -> str:
    """Markdown: a line a figure, a column a model."""
    names = dict.fromkeys(name for figures in found.values() for name in figures)
    lines = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for name in names:
        values = [f"{figures[name]:.3f}" if name in figures else "" for figures in found.values()]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
