"""Encode and decode against transformers' Xcodec2Model: time, memory and equal codes, interleaved in one run.

    python benchmarks/speed.py weights full                      # random weights at full size, 2.5 GB
    python benchmarks/speed.py run full --seconds 1 3 10 30 --plot speed.png
    python benchmarks/speed.py run full --seconds 60 --repeat 1  # transformers needs 12 GB and minutes
    python benchmarks/speed.py run full --seconds --mixed 40     # 40 utterances of 1 to 5 s: one list, one by one
    python benchmarks/speed.py stages full --seconds 3           # semantic and acoustic encoder on their own
    python benchmarks/speed.py run nano --alone --threads 1      # a model that transformers cannot load

Each implementation runs in a process of its own, and only one works at a time. Times are medians; memory is what
the process grew by at its peak, over what it held before. On a machine that does other work, wall time says little:
`--clock cpu --threads 1` counts the seconds that the processor worked for the process.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
CLIP = Path(__file__).parent.parent / "src" / "xcodec2" / "assets" / "demo.flac"
NAMES = ("open-xcodec2", "transformers")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def speech(seconds: float) -> np.ndarray:
    """(N,) float32: the clip inside the package, again and again."""
    clip, _ = soundfile.read(CLIP, dtype="float32")
    return np.resize(clip, int(seconds * RATE))


def utterances(count: int) -> list[np.ndarray]:
    """`count` excerpts of 1 to 5 seconds, always the same."""
    generator = np.random.default_rng(0)
    clip = speech(60)
    sizes = (generator.uniform(1, 5, count) * RATE).astype(int)
    return [
        clip[start : start + size] for size, start in zip(sizes, generator.integers(0, 50 * RATE, count), strict=True)
    ]


# ---- one process of one implementation ---------------------------------------------------------------------------


class Ours:
    def __init__(self, model: str) -> None:
        from xcodec2 import XCodec2Model

        self.model = XCodec2Model.from_pretrained(model)

    def encode(self, waves: list[np.ndarray]) -> list[list[int]]:
        return [codes.codes.tolist() for codes in self.model.encode(waves, RATE)]

    def decode(self, codes: list[int]) -> None:
        self.model.decode(codes)


class Transformers:
    def __init__(self, model: str) -> None:
        import transformers

        self.model = transformers.Xcodec2Model.from_pretrained(model).eval()
        self.extractor = transformers.SeamlessM4TFeatureExtractor()

    def encode(self, waves: list[np.ndarray]) -> list[list[int]]:
        """One by one: a padded batch gives other codes there."""
        return [self.encode_one(wave) for wave in waves]

    def encode_one(self, wave: np.ndarray) -> list[int]:
        import torch

        padded = np.pad(wave, (0, 320 - len(wave) % 320))
        features = self.extractor(np.pad(padded, 160), sampling_rate=RATE, return_tensors="pt")["input_features"]
        with torch.inference_mode():
            return self.model.encode(torch.from_numpy(padded)[None, None], features).audio_codes[0, 0].tolist()

    def decode(self, codes: list[int]) -> None:
        import torch

        with torch.inference_mode():
            self.model.decode(torch.tensor(codes)[None, None])


def work(name: str, model: str, threads: int, clock: Callable[[], float]) -> None:
    """Answer requests on standard input, one JSON object a line."""
    import torch

    torch.set_num_threads(threads)
    start = clock()
    implementation = {"open-xcodec2": Ours, "transformers": Transformers}[name](model)
    print(json.dumps({"seconds": clock() - start}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        waves = utterances(request["mixed"]) if "mixed" in request else [speech(request["speech"])]
        codes = request.get("codes")
        before = memory("VmRSS", reset_peak=True)
        start = clock()
        result = implementation.decode(codes) if codes else implementation.encode(waves)
        taken = clock() - start
        print(json.dumps({"seconds": taken, "bytes": memory("VmHWM") - before, "codes": result}), flush=True)


def memory(field: str, *, reset_peak: bool = False) -> int:
    """Bytes, as Linux counts them."""
    if reset_peak:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


# ---- the run -----------------------------------------------------------------------------------------------------


class Worker:
    def __init__(self, name: str, model: str, threads: int, clock: str) -> None:
        command = [sys.executable, __file__, "work", name, model, "--threads", str(threads), "--clock", clock]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_seconds = self.answer()["seconds"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.answer()


def compare(workers: dict[str, Worker], task: str, repeat: int, request: dict[str, Any]) -> dict[str, Any]:
    """One row: every implementation in turn, `repeat` times over, after a short warm-up."""
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in workers}
    for _ in range(repeat):
        for name, worker in workers.items():
            answers[name].append(worker.ask(**request))
    row: dict[str, Any] = {"task": task}
    for name, given in answers.items():
        row[name] = {
            "seconds": statistics.median(answer["seconds"] for answer in given),
            "bytes": max(answer["bytes"] for answer in given),
        }
    pairs = [(answers[name][0]["codes"] or []) for name in workers]
    if len(pairs) == 2 and pairs[0]:
        equal = [a == b for ours, theirs in zip(*pairs, strict=True) for a, b in zip(ours, theirs, strict=True)]
        row["equal codes"] = sum(equal) / len(equal)
    return row


def show(row: dict[str, Any], names: list[str]) -> str:
    cells = [row["task"], *(f"{row[name]['seconds']:.2f} s, {row[name]['bytes'] / 2**30:.2f} GiB" for name in names)]
    if len(names) == 2:
        ours, theirs = (row[name]["seconds"] for name in names)
        cells.append(f"{theirs / ours:.2f}×")
        cells.append(f"{100 * row['equal codes']:.2f} %" if "equal codes" in row else "")
    return "| " + " | ".join(cells) + " |"


def run(args: argparse.Namespace) -> None:
    names = list(NAMES[: 1 if args.alone else 2])
    print(
        f"{processor()}, {args.threads} threads, {args.clock} time, {date.today()}; "
        f"model {Path(args.model).name}, float32"
    )
    workers = {name: Worker(name, args.model, args.threads, args.clock) for name in names}
    print("loaded in " + ", ".join(f"{worker.load_seconds:.1f} s ({name})" for name, worker in workers.items()))
    print("| " + " | ".join(["", *names, *(["ratio", "equal codes"] if len(names) == 2 else [])]) + " |")
    print("|---" * (len(names) * 2 if len(names) == 2 else 2) + "|" + ("---|" if len(names) == 2 else ""), flush=True)
    rows = []
    for worker in workers.values():
        worker.ask(speech=1)
    for seconds in args.seconds:
        codes = np.random.default_rng(0).integers(0, 65_536, int(seconds * 50)).tolist()
        for task, request in (("encode", {"speech": seconds}), ("decode", {"speech": 0, "codes": codes})):
            rows.append(compare(workers, f"{task} {seconds:g} s", args.repeat, request))
            print(show(rows[-1], names), flush=True)
    if args.mixed:
        rows.append(compare(workers, f"encode {args.mixed} utterances", 1, {"mixed": args.mixed}))
        print(show(rows[-1], names), flush=True)
    if args.plot and len(names) == 2:
        plot(rows, args.plot)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.processor())


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """How many times as fast as transformers, by length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for task in ("encode", "decode"):
        lengths, ratios = [], []
        for row in rows:
            kind, _, length = row["task"].partition(" ")
            if kind == task and length.endswith(" s"):
                lengths.append(length)
                ratios.append(row[NAMES[1]]["seconds"] / row[NAMES[0]]["seconds"])
        axes.plot(lengths, ratios, marker="o", label=task)
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="speech in one call", ylabel="speed over transformers", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def stages(model: str, seconds: float, repeat: int, threads: int, clock: Callable[[], float]) -> None:
    """The encoder's two halves, ours and theirs by turns in one process, least of `repeat`."""
    import torch

    torch.set_num_threads(threads)
    ours, theirs = Ours(model).model, Transformers(model).model
    waveform = ours.pad(torch.from_numpy(speech(seconds))[None])
    features, _ = ours.features(waveform, None, None)
    halves: dict[str, list[Callable[[], Any]]] = {
        "semantic": [lambda: ours.semantic_encoder(features), lambda: theirs.semantic_encoder(features)],
        "acoustic": [lambda: ours.acoustic_encoder(waveform), lambda: theirs.acoustic_encoder(waveform[:, None])],
    }
    print("| | " + " | ".join(NAMES) + " | ratio |\n|---|---|---|---|")
    for half, calls in halves.items():
        times = [float("inf")] * 2
        for _ in range(repeat):
            for which, call in enumerate(calls):
                start = clock()
                with torch.no_grad():
                    call()
                times[which] = min(times[which], clock() - start)
        print(f"| {half} | {times[0]:.2f} s | {times[1]:.2f} s | {times[1] / times[0]:.2f}× |", flush=True)


def write_weights(folder: str) -> None:
    """Random weights at the published size, of a scale that keeps the codes apart."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from tiny import random_model

    from xcodec2 import XCodec2Config

    random_model(XCodec2Config()).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("weights").add_argument("model")
    for verb in ("run", "stages", "work"):
        command = verbs.add_parser(verb)
        if verb == "work":
            command.add_argument("name")
        command.add_argument("model")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--clock", choices=CLOCKS, default="wall")
        if verb == "work":
            continue
        command.add_argument("--repeat", type=int, default=3)
        command.add_argument("--seconds", type=float, nargs="*", default=[1, 3, 10])
        if verb == "run":
            command.add_argument("--mixed", type=int, default=0, metavar="COUNT")
            command.add_argument("--alone", action="store_true", help="only ours")
            command.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.verb == "weights":
        write_weights(args.model)
    elif args.verb == "work":
        work(args.name, args.model, args.threads, CLOCKS[args.clock])
    elif args.verb == "stages":
        for seconds in args.seconds:
            stages(args.model, seconds, args.repeat, args.threads, CLOCKS[args.clock])
    else:
        run(args)


if __name__ == "__main__":
    main()
