"""Encode and decode on a GPU: time by stage, type and batch, the share of the chip's peak, and
equal codes.

    python benchmarks/gpu.py  # about two minutes; needs PyTorch for CUDA
    python benchmarks/gpu.py --batches 32 --types bfloat16 --profile

Random weights at full size. Times are medians of CUDA events around calls on tensors that are on
the GPU already, but for the last table, which is of `model.encode` and `model.decode` on lists in
the computer's memory.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
from tiny import random_model, speech

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.inference.passes import inference

RATE = 16_000
SIDE = 8192  # of the matrices that measure the peak


def milliseconds(call: Callable[[], object], repeat: int = 5) -> float:
    """Median over `repeat` calls, after two to warm up."""
    for _ in range(2):
        call()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(repeat + 1)]
    marks[0].record()
    for mark in marks[1:]:
        call()
        mark.record()
    torch.cuda.synchronize()
    return statistics.median(a.elapsed_time(b) for a, b in itertools.pairwise(marks))


def peak(dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product."""
    a, b = torch.randn(2, SIDE, SIDE, device="cuda", dtype=dtype)
    return 2 * SIDE**3 / milliseconds(lambda: a @ b) * 1e3


def operations(call: Callable[[], object]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def waveforms(model: XCodec2Model, batch: int, seconds: float) -> Tensor:
    """(B, P) padded, different pieces of the clip inside the package."""
    clip, size = speech(), int(seconds * RATE) - 1
    rows = [clip.roll(-1000 * i).repeat(1 + size // len(clip))[:size] for i in range(batch)]
    return model.pad(torch.stack(rows)).cuda()


def stages(model: XCodec2Model, x: Tensor) -> dict[str, Callable[[], Any]]:
    features, _ = model.features(x)
    codes = model.quantize(model.encode_features(x).latent).codes
    return {
        "features": lambda: model.features(x),
        "semantic": lambda: model.semantic_adapter(model.semantic_encoder(features)),
        "acoustic": lambda: model.acoustic_encoder(x.to(model.dtype)),
        "encode": lambda: model.quantize(model.encode_features(x).latent),
        "decode": lambda: model.decode_vectors(model.quantizer.vectors(codes)),
    }


def by_batch(model: XCodec2Model, batches: list[int], seconds: float, ceiling: float) -> None:
    names = ["features", "semantic", "acoustic", "encode", "decode"]
    print(
        f"\n{model.dtype}, {seconds:g} s an item; a product of {SIDE} × {SIDE} matrices: "
        f"{ceiling / 1e12:.0f} TFLOP/s"
    )
    print(
        "| batch | "
        + " | ".join(f"{name}, ms" for name in names)
        + " | encode | decode | memory, GiB |"
    )
    print("|---" * (len(names) + 4) + "|")
    for batch in batches:
        with inference(model):
            calls = stages(model, waveforms(model, batch, seconds))
            torch.cuda.reset_peak_memory_stats()
            times = {name: milliseconds(calls[name]) for name in names}
            rates = []
            for name in ("encode", "decode"):
                share = operations(calls[name]) / times[name] * 1e3 / ceiling
                rates.append(
                    f"{batch * seconds * 1e3 / times[name]:.0f}×, {100 * share:.0f} % of the peak"
                )
        cells = [f"{times[name]:.1f}" for name in names]
        memory = torch.cuda.max_memory_allocated() / 2**30
        print("| " + " | ".join([str(batch), *cells, *rates, f"{memory:.1f}"]) + " |", flush=True)


def short_calls(model: XCodec2Model, lengths: list[float]) -> None:
    """One item, an operation at a time against the same as one CUDA graph."""
    print(f"\n{model.dtype}, one item: ms, one operation after another and as one CUDA graph")
    for seconds in lengths:
        with inference(model):
            calls = stages(model, waveforms(model, 1, seconds))
            for name in ("encode", "decode"):
                calls[name]()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    calls[name]()
                times = milliseconds(calls[name], 10), milliseconds(graph.replay, 10)
                print(f"{name} {seconds:g} s: {times[0]:.2f}, {times[1]:.2f}", flush=True)


def lists(model: XCodec2Model, count: int) -> None:
    """The way users call it: lists of utterances of 1 to 10 s, copies to and from the GPU
    included.
    """
    clip = speech().repeat(3)
    items = [clip[: int(RATE * (1 + 9 * i / count))] for i in range(count)]
    seconds = sum(len(item) for item in items) / RATE
    encoded = model.encode(items, RATE)
    for name, call in (
        ("encode", lambda: model.encode(items, RATE)),
        ("decode", lambda: model.decode(encoded)),
    ):
        began = time.perf_counter()
        call()
        print(
            f"{model.dtype}, {name}, a list of {count}: "
            f"{seconds / (time.perf_counter() - began):.0f}× real time"
        )


def equal(a: list[Any], b: list[Any]) -> str:
    same = [
        x == y
        for one, other in zip(a, b, strict=True)
        for x, y in zip(one.codes, other.codes, strict=True)
    ]
    return f"{100 * sum(map(bool, same)) / len(same):.2f} % of {len(same)}"


def profile(call: Callable[[], object], rows: int = 14) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    with record(activities=[ProfilerActivity.CUDA]) as recorded:
        call()
        torch.cuda.synchronize()
    for event in sorted(recorded.key_averages(), key=lambda event: -event.self_device_time_total)[
        :rows
    ]:
        print(f"{event.self_device_time_total / 1e3:9.2f} ms {event.count:5d} × {event.key[:100]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 32], help="items (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="of one item (%(default)s)")
    parser.add_argument("--types", nargs="+", default=["float32", "bfloat16"], help="(%(default)s)")
    parser.add_argument(
        "--profile", action="store_true", help="also the kernels that take the most time"
    )
    args = parser.parse_args()
    print(
        f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {date.today()}; random "
        "weights at full size"
    )
    model = random_model(XCodec2Config())
    clips = [speech(), speech()[:40_000], speech()[30_000:]]
    right = model.encode(clips, RATE)  # on the CPU, in float32
    model.cuda()
    for name in args.types:
        model.to(getattr(torch, name))
        print(
            "\ncodes of three clips as on the CPU in float32: "
            f"{equal(model.encode(clips, RATE), right)}"
        )
        by_batch(model, args.batches, args.seconds, peak(model.dtype))
        lists(model, 200)
        short_calls(model, [1, 3])
        if args.profile:
            with inference(model):
                calls = stages(model, waveforms(model, max(args.batches), args.seconds))
                for stage in ("semantic", "acoustic", "decode"):
                    print(f"\n{stage}, {name}, batch of {max(args.batches)}")
                    profile(calls[stage])


if __name__ == "__main__":
    main()
