"""What streams give and cost beside the whole, in one run on one core.

    python scripts/prepare_nano_data.py
    python benchmarks/streams.py                      # nano: windows
    python benchmarks/streams.py --model FOLDER       # a finite receptive field: steps
    python benchmarks/streams.py --model FOLDER --onnx ONNX_FOLDER
    PYTHONPATH=../before/src python benchmarks/streams.py --steps 1 --clips 0  # another checkout's

The tables of docs/guides/streaming.md. Costs are processor time, the median of alternating runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from xcodec2 import XCodec2Model
from xcodec2.onnx import OnnxCodec
from xcodec2.streaming import push_all

DEMO = Path(__file__).parents[1] / "src" / "xcodec2" / "assets" / "demo.flac"
STEPS = (1, 4, 5, 10, 25, 50)  # frames of 20 ms
SESSIONS = 16
CHUNK = 777  # samples: cuts that fall anywhere


def clips(folder: Path, count: int) -> list[np.ndarray]:
    """The demo clip and some of the test set, from all of its sources."""
    paths = sorted(folder.rglob("*.flac"))
    chosen = [DEMO, *paths[:: max(1, len(paths) // max(count - 1, 1))]][:count]
    return [soundfile.read(path, dtype="float32")[0] for path in chosen]


def joined(pieces: Iterable[Any]) -> np.ndarray:
    """Tensors or arrays in a row."""
    return np.concatenate([np.asarray(piece) for piece in pieces])


def agreement(codec: Any, waves: list[np.ndarray]) -> None:
    """Codes and samples of streams against those of the whole."""
    differing = frames = 0
    worst, noise, power = 0.0, 0.0, 0.0
    for wave in waves:
        whole = codes_of(codec.encode(wave, 16_000))
        cuts = range(CHUNK, len(wave), CHUNK)
        found = joined(codec.stream_encode(np.split(wave, cuts), 16_000))
        assert len(found) == len(whole)
        differing, frames = differing + int((found != whole).sum()), frames + len(whole)
        sound = np.asarray(codec.decode(whole))
        streamed = joined(codec.stream_decode([whole[i : i + 3] for i in range(0, len(whole), 3)]))
        worst = max(worst, float(np.abs(sound - streamed).max() / np.abs(sound).max()))
        noise += float(np.square(sound - streamed).sum())
        power += float(np.square(sound).sum())
    snr = 10 * np.log10(power / max(noise, 1e-30))
    print(f"{len(waves)} clips: {differing} of {frames} codes differ; samples differ by up to")
    print(f"{worst:.1e} of the peak, {snr:.1f} dB")


def codes_of(codes: Any) -> np.ndarray:
    """(T,) of either runtime."""
    return np.asarray(getattr(codes, "codes", codes)).astype(np.int64)


def seconds(run: Callable[[], object]) -> float:
    """Processor time."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def costs(codec: Any, wave: np.ndarray, steps: Sequence[int], rounds: int) -> None:
    """Streams against the whole, alternating."""
    codes = codes_of(codec.encode(wave, 16_000))
    length = len(wave) / 16_000
    print("\n| step, frames | encode, ms/s | × whole | decode, ms/s | × whole |")
    print("|---|---|---|---|---|")
    for step in steps:
        size = 320 * step
        pieces = [wave[i : i + size] for i in range(0, len(wave), size)]
        chunks = [codes[i : i + step] for i in range(0, len(codes), step)]
        runs: list[Callable[[], object]] = [
            lambda: codec.encode(wave, 16_000),
            lambda p=pieces, s=step: list(codec.stream_encode(p, 16_000, step=s)),
            lambda: codec.decode(codes),
            lambda c=chunks, s=step: list(codec.stream_decode(c, step=s)),
        ]
        taken = [[seconds(run) / length * 1e3 for run in runs] for _ in range(rounds)]
        whole, stream, back, sound = map(statistics.median, zip(*taken, strict=True))
        print(
            f"| {step} | {stream:.1f} | {stream / whole:.2f} | {sound:.1f} | {sound / back:.2f} |"
        )


def batch_costs(model: XCodec2Model, wave: np.ndarray, rounds: int) -> None:
    """Many sessions, of other ages each, against the whole of one; per second of one's audio."""
    codes, length = codes_of(model.encode(wave, 16_000)), len(wave) / 16_000
    pieces = [wave[i : i + 1_280] for i in range(0, len(wave), 1_280)]
    chunks = [codes[i : i + 4] for i in range(0, len(codes), 4)]
    found = []
    for _ in range(rounds):
        encoders = [model.encoder_stream(16_000) for _ in range(SESSIONS)]
        decoders = [model.decoder_stream() for _ in range(SESSIONS)]
        for age in range(SESSIONS):  # one frame apart
            push_all(encoders[:age], [wave[:320]] * age)
            push_all(decoders[:age], [codes[:1]] * age)
        whole = seconds(lambda: model.encode(wave, 16_000))
        back = seconds(lambda: model.decode(codes))
        streams = seconds(partial(push_through, encoders, pieces)) / SESSIONS
        sounds = seconds(partial(push_through, decoders, chunks)) / SESSIONS
        found.append([time / length * 1e3 for time in (whole, streams, back, sounds)])
    whole, streams, back, sounds = map(statistics.median, zip(*found, strict=True))
    print(f"\n{SESSIONS} sessions as a batch, steps of 4 frames: encode {streams:.1f} ms/s each,")
    print(f"{streams / whole:.2f} × the whole; decode {sounds:.1f} ms/s, {sounds / back:.2f} ×")


def push_through(sessions: Sequence[Any], pieces: list[np.ndarray]) -> None:
    """The same pieces into every session."""
    for piece in pieces:
        push_all(sessions, [piece] * len(sessions))


def first_sound(codec: Any, codes: np.ndarray, rounds: int) -> None:
    """Time from the last code that the first samples need to these samples."""
    taken = []
    for _ in range(rounds):
        stream = codec.decoder_stream()
        for index in range(len(codes)):
            begin = time.process_time()
            if len(stream.push(codes[index : index + 1])):
                taken.append((time.process_time() - begin) * 1e3)
                break
    print(f"\nfirst sound: {statistics.median(taken):.1f} ms of computing, after {index + 1} codes")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--onnx", help="folder of the exported model, to run instead")
    parser.add_argument("--data", type=Path, default=Path("data/nano/test"))
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="frames of 20 ms")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = XCodec2Model.from_pretrained(options.model).eval()
    codec = OnnxCodec(options.onnx, threads=1) if options.onnx else model
    print(f"{options.model}: {model.receptive_field or 'no limit: windows'}")
    if options.clips:
        agreement(codec, clips(options.data, options.clips))
    wave = np.tile(soundfile.read(DEMO, dtype="float32")[0], 3)[:160_000]
    costs(codec, wave, options.steps, options.rounds)
    if codec is model and model.receptive_field and 4 in options.steps:
        batch_costs(model, wave, options.rounds)
    first_sound(codec, codes_of(codec.encode(wave, 16_000)), 3 * options.rounds)


if __name__ == "__main__":
    main()
