"""Whether a decoder of nano's codes at 24 kHz is worth more than nano's 16 kHz, resampled.

    python scripts/prepare_nano_data.py --out data/nano-24k --cache data/nano/debian --rate 24000
    python scripts/nano_24k_report.py runs/nano-24k/model --data data/nano-24k

Of test clips at 24 kHz: distance of log-mel spectra up to 12 kHz; log-spectral distance and level
of the band from 8 to 12 kHz, in dB; and at 16 kHz, where it must lose nothing, STOI, ESTOI and
PESQ-WB. The model's codes are nano's, which is asserted. Means, and of each difference the 95 %
interval of the mean. One thread.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import numpy as np
import soxr
import torch
from scipy.stats import t

from xcodec2 import XCodec2Model
from xcodec2.corpus import read_corpus
from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics import METRICS, Pair
from xcodec2.signal.mel import log_mel, magnitudes

RATE, WIDE = 16_000, 24_000
WINDOW = 1024
SECONDS = (1.5, 9.0)
FLOOR_DB = -100.0
HEARD_DB = -60.0  # of a frame's level, below which its upper band is silence


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="what from_pretrained takes")
    parser.add_argument("--data", type=Path, default=Path("data/nano-24k"))
    parser.add_argument("--clips", type=int, default=100, help="(%(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    nano, wide = XCodec2Model.from_pretrained("nano"), XCodec2Model.from_pretrained(args.model)
    assert wide.sample_rate == WIDE
    assert wide.weights_hash == nano.weights_hash, "the codes are not nano's"
    recordings = list(read_corpus(args.data / "test" / "manifest.tsv"))
    rows = []
    for recording in recordings[:: max(1, len(recordings) // (2 * args.clips))]:
        original = np.asarray(recording.load(WIDE).waveform)
        if len(rows) < args.clips and SECONDS[0] <= len(original) / WIDE <= SECONDS[1]:
            codes = nano.encode(original, WIDE)
            narrow, decoded = (np.asarray(model.decode(codes)) for model in (nano, wide))
            raised = soxr.resample(narrow, RATE, WIDE, quality="VHQ")
            rows.append([figures(original, one) for one in (raised, decoded)])
    print(
        f"{len(rows)} clips\n\n| | nano, resampled | {args.model} | difference |\n|---|---|---|---|"
    )
    for name in rows[0][0]:
        values = np.array([[one.get(name, np.nan) for one in row] for row in rows])
        values = values[np.isfinite(values).all(1)]
        change = values[:, 1] - values[:, 0]
        reach = t.ppf(0.975, len(change) - 1) * change.std(ddof=1) / len(change) ** 0.5
        before, after = values.mean(0)
        print(
            f"| {name} | {before:.3f} | {after:.3f} | {change.mean():+.3f} "
            f"({change.mean() - reach:+.3f} to {change.mean() + reach:+.3f}) |"
        )


def figures(original: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Everything of one clip, (N,) at 24 kHz each."""
    made = np.pad(made, (0, max(0, len(original) - len(made))))[: len(original)]
    pair = [torch.from_numpy(one.astype(np.float32))[None] for one in (original, made)]
    mels = [log_mel(one, WINDOW, WIDE) for one in pair]
    first = WINDOW * 8_000 // WIDE
    whole = [20 * magnitudes(one, WINDOW)[0].log10() for one in pair]
    bands = [one[first:].clamp(min=FLOOR_DB) for one in whole]
    loud = level(whole[0]) > level(whole[0]).max() + HEARD_DB
    apart = (bands[0] - bands[1])[:, loud]
    found = {
        "log-mel distance, 0 to 12 kHz": float((mels[0] - mels[1]).abs().mean()),
        "log-spectral distance, 8 to 12 kHz, dB": float(apart.square().mean(0).sqrt().mean()),
        "level of 8 to 12 kHz, dB from the original": float(
            (level(bands[1]) - level(bands[0]))[loud].mean()
        ),
    }
    lower = [soxr.resample(one[0].numpy(), WIDE, RATE, quality="VHQ") for one in pair]
    for metric in (one for one in METRICS if one.name in ("stoi", "pesq")):
        with contextlib.suppress(UndefinedError):
            found |= metric()(Pair(lower[0], lower[1]))
    return found


def level(decibels: torch.Tensor) -> torch.Tensor:
    """(bins, T) in dB → (T,): of their power."""
    return 10 * (10 ** (decibels / 10)).sum(0).log10()


if __name__ == "__main__":
    main()
