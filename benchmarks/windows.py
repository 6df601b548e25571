"""What windows cost: codes and samples that differ from one pass with full attention.

    python scripts/prepare_nano_data.py
    python benchmarks/windows.py  # nano; the tables of docs/guides/long-audio-and-streams.md

Each recording is two minutes of one speaker of the test set, clip after clip.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from xcodec2 import XCodec2Model
from xcodec2.codec.inference import windows
from xcodec2.train.tasks.codec import quick_figures

SOURCES = ("asterisk-it", "asterisk-ru", "tuxpaint-fr")
WINDOW_SIZES = (500, 1500)
CLIPS = 20  # of each source, to hear what a stream loses
OVERLAPS = (0, 25, 50, 100, 150, 250)
STREAMS = [
    (25, 0, 1),
    (25, 25, 2),
    (25, 50, 2),
    (25, 50, 5),
    (25, 50, 10),
    (25, 100, 5),
    (25, 250, 5),
    (50, 100, 5),
]
STREAMS += [(10, 100, 5), (25, 250, 25), (1000, 250, 250)]


def recording(manifest: Path, source: str, seconds: int) -> Tensor:
    """Clips of one source, one after another, (seconds·16000,)."""
    pieces: list[Tensor] = []
    with manifest.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["source"] == source and sum(map(len, pieces)) < seconds * 16_000:
                pieces.append(
                    torch.from_numpy(
                        soundfile.read(manifest.parent / row["path"], dtype="float32")[0]
                    )
                )
    return torch.cat(pieces)[: seconds * 16_000]


def clips(manifest: Path, source: str, count: int) -> list[Tensor]:
    """The first clips of one source that are at least two seconds long."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [
            r
            for r in csv.DictReader(file, delimiter="\t")
            if r["source"] == source and float(r["seconds"]) >= 2
        ]
    return [
        torch.from_numpy(soundfile.read(manifest.parent / r["path"], dtype="float32")[0])
        for r in rows[:count]
    ]


def heard(model: XCodec2Model, manifest: Path) -> None:
    """Whether a stream at its defaults says less of the original than decoding as a whole does."""
    print("\n| decoded | STOI | ESTOI |\n|---|---|---|")
    originals = [clip for source in SOURCES for clip in clips(manifest, source, CLIPS)]
    encoded = [model.encode(clip, 16_000) for clip in originals]
    ways = {
        "whole": model.decode,
        "as a stream": lambda codes: torch.cat(list(model.stream_decode(codes.codes))),
    }
    for name, decode in ways.items():
        figures = [
            quick_figures(clip.numpy(), decode(codes)[: len(clip)].numpy(), 16_000)
            for clip, codes in zip(originals, encoded, strict=True)
        ]
        means = [sum(figure[key] for figure in figures) / len(figures) for key in ("stoi", "estoi")]
        print(f"| {name} | {means[0]:.3f} | {means[1]:.3f} |", flush=True)


def full_encode(model: XCodec2Model, waveform: Tensor) -> Tensor:
    return model.quantize(model.encode_features(model.pad(waveform[None])).latent).codes[0]


def full_decode(model: XCodec2Model, codes: Tensor) -> Tensor:
    return model.decode_vectors(model.quantizer.vectors(codes[None])).waveform[0]


def snr(wrong: Tensor, right: Tensor) -> float:
    """dB."""
    return float(
        10 * (right.square().sum() / (wrong - right).square().sum().clamp(min=1e-12)).log10()
    )


def click(streamed: Tensor, full: Tensor, step: int, hop: int) -> float:
    """The largest step from sample to sample at a join, relative to the largest anywhere in the
    full decode.
    """
    joins = torch.arange(step * hop, len(full), step * hop)
    joins = torch.cat([joins, joins + hop - 1])  # where the fade begins and where it ends
    return float(streamed.diff().abs()[joins - 1].max() / full.diff().abs().max())


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano")
    parser.add_argument("--data", type=Path, default=Path("data/nano"))
    parser.add_argument("--seconds", type=int, default=120)
    args = parser.parse_args()
    model = XCodec2Model.from_pretrained(args.model)
    manifest = args.data / "test" / "manifest.tsv"
    recordings = [recording(manifest, source, args.seconds) for source in SOURCES]
    exact = [full_encode(model, waveform) for waveform in recordings]

    print("| window, frames | overlap, frames | codes that differ |\n|---|---|---|")
    for size in WINDOW_SIZES:
        for overlap in OVERLAPS:
            if 2 * overlap < size:
                codes = [
                    windows.encode_long(model, w, size=size, overlap=overlap) for w in recordings
                ]
                differ = (
                    torch.cat([c != e for c, e in zip(codes, exact, strict=True)]).float().mean()
                )
                print(f"| {size} | {overlap} | {100 * differ:.2f} % |", flush=True)

    decoded = [full_decode(model, codes) for codes in exact]
    print(
        "\n| step | look-back | look-ahead | latency, ms | SNR to full decode, dB | step at a join "
        "|"
    )
    print("|---|---|---|---|---|---|")
    for step, look_back, look_ahead in STREAMS:
        options = {"step": step, "look_back": look_back, "look_ahead": look_ahead}
        streamed = [torch.cat(list(model.stream_decode([codes], **options))) for codes in exact]
        quality = sum(snr(s, d) for s, d in zip(streamed, decoded, strict=True)) / len(decoded)
        hop = model.config.output_hop
        worst = max(click(s, d, step, hop) for s, d in zip(streamed, decoded, strict=True))
        latency = 1000 * (step + look_ahead) / model.frame_rate
        print(
            f"| {step} | {look_back} | {look_ahead} | {latency:.0f} | {quality:.1f} | {worst:.2f} "
            "|",
            flush=True,
        )
    heard(model, manifest)


if __name__ == "__main__":
    main()
