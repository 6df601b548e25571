"""Encode and decode in bfloat16 or int8 against float32: time, equal codes, and how far the
waveforms are apart.

    # random weights: python benchmarks/speed.py weights full
    python benchmarks/precision.py full --seconds 1 3 10
    python benchmarks/precision.py nano --files speech/*.flac --dtype int8
    # decoding there, by turns, as well
    python benchmarks/precision.py full --transformers --seconds 3

Medians of `--repeat` turns; both models decode the codes that float32 gives. Signal to noise in dB:
median and least. Files are also held against what was spoken: the evaluation's ESTOI, PESQ and mel
distance, means in float32 and in low precision over the files long enough for them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_worker import RATE, Transformers, speech
from windows import snr

from xcodec2 import XCodec2Model
from xcodec2.audio.io import load_audio
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import Pair
from xcodec2.evaluate.metrics.mel import MelDistance
from xcodec2.evaluate.metrics.pesq import PESQ
from xcodec2.evaluate.metrics.stoi import STOI


def timed(
    calls: dict[str, Callable[[], Any]], repeat: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds of each call, by turns, and what it gave."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results = {name: call() for name, call in calls.items()}  # also the warm-up
    for _ in range(repeat):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}, results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--seconds", type=float, nargs="*", default=[])
    parser.add_argument("--files", type=Path, nargs="*", default=[])
    parser.add_argument("--dtype", choices=["bfloat16", "int8"], default="bfloat16")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--transformers", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models = {
        name: XCodec2Model.from_pretrained(args.model, dtype=dtype)
        for name, dtype in (("float32", torch.float32), ("low", getattr(torch, args.dtype)))
    }
    peer = Transformers(args.model) if args.transformers else None
    clips = {f"{seconds:g} s": speech(seconds) for seconds in args.seconds}
    for name, clip in clips.items():
        compare(name, models, clip, peer, args.repeat)
    spoken = {path: load_audio(path, target_rate=RATE).waveform.numpy() for path in args.files}
    files = [compare(path.name, models, clip, peer, 1) for path, clip in spoken.items()]
    if files:
        summarize(files, list(spoken.values()))


def summarize(files: list[dict[str, Any]], spoken: list[np.ndarray]) -> None:
    """The last lines: all files together, and against what was spoken in them."""
    distances = [file["distance"] for file in files]
    print(
        f"{len(files)} files: {statistics.median(distances):.1f} dB, least {min(distances):.1f} "
        "dB; "
        f"{100 * statistics.mean(file['equal'] for file in files):.2f} % of codes equal; "
        f"decoding {statistics.median(file['ratio'] for file in files):.2f}×"
    )
    judged = [
        [judge(clip, file["waves"][kind].numpy()) for kind in ("float32", "low")]
        for file, clip in zip(files, spoken, strict=True)
    ]
    judged = [pair for pair in judged if all(pair)]
    for column in ("estoi", "pesq_wb", "mel") if judged else ():
        exact, low = (
            statistics.mean(measures[column] for measures in kind)
            for kind in zip(*judged, strict=True)
        )
        print(f"{column} against what was spoken, {len(judged)} files: {exact:.4f} → {low:.4f}")


def compare(
    name: str,
    models: dict[str, XCodec2Model],
    clip: np.ndarray,
    peer: Transformers | None,
    repeat: int,
) -> dict[str, Any]:
    """Print one clip's line.

    ratio: of decoding times; distance: in dB; equal: share of codes; waves: by type.
    """
    encode, codes = timed(
        {kind: lambda m=m: m.encode(clip, RATE) for kind, m in models.items()}, repeat
    )
    given = codes["float32"]
    decoders: dict[str, Callable[[], Any]] = {
        kind: lambda m=m: m.decode(given) for kind, m in models.items()
    }
    if peer:
        decoders["transformers"] = lambda: peer.decode(given.codes.tolist())
    decode, waves = timed(decoders, repeat)
    same = float((given.codes == codes["low"].codes).float().mean())
    distance = snr(waves["low"], waves["float32"])
    line = f"{name}: encode {encode['float32']:.3f} → {encode['low']:.3f} s, "
    line += f"{100 * same:.2f} % of codes equal; "
    line += f"decode {decode['float32']:.3f} → {decode['low']:.3f} s, {distance:.1f} dB"
    if peer:
        theirs = decode["transformers"]
        line += f"; transformers {theirs:.3f} s: {theirs / decode['low']:.2f}×"
    print(line, flush=True)
    return {
        "ratio": decode["float32"] / decode["low"],
        "distance": distance,
        "equal": same,
        "waves": waves,
    }


def judge(spoken: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """The evaluation's metrics of one pair; none where speech is too short for them."""
    try:
        return {
            column: value
            for metric in (STOI(), PESQ(), MelDistance())
            for column, value in metric(Pair(spoken, heard)).items()
        }
    except XCodec2Error:
        return {}


if __name__ == "__main__":
    main()
