"""Encode and decode against transformers' Xcodec2Model and the original package: time, memory and
equal codes, interleaved in one run.

    python benchmarks/speed.py weights full  # random weights at full size, 2.5 GB
    # a virtual environment with the original, 1.3 GB
    python benchmarks/speed.py environment original
    python benchmarks/speed.py run full --seconds 1 3 10 --original original --plot speed.png
    # transformers needs 12 GB and minutes
    python benchmarks/speed.py run full --seconds 60 --repeat 1
    # 40 utterances of 1 to 5 s: one list, one by one
    python benchmarks/speed.py run full --seconds --mixed 40
    # beside another checkout
    python benchmarks/speed.py run full --seconds 3 10 --before ../before
    # whose codes are those of float64? 10 GB
    python benchmarks/speed.py exact full --seconds 10 60 --mixed 40
    python benchmarks/speed.py stages full --seconds 3  # semantic and acoustic encoder on their own
    python benchmarks/speed.py run nano --alone --threads 1  # a model that transformers cannot load

Each implementation runs in a process of its own, and only one works at a time. Times are medians;
memory is what the process grew by at its peak, over what it held before. On a machine that does
other work, wall time says little: `--clock cpu --threads 1` counts the seconds that the processor
worked for the process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from speed_worker import CLOCKS, Ours, Transformers, speech, utterances

WORKER = Path(__file__).with_name("speed_worker.py")
SOURCE = Path(__file__).resolve().parents[1] / "src"
ORIGINAL = (  # what the tests' goldens were made with; the package's own pins name torch 2.5
    ("torch==2.13.0", "transformers==4.48.3", "einops", "einx", "safetensors", "av", "soundfile"),
    ("--no-deps", "vector-quantize-pytorch==1.17.8", "torchtune==0.5.0", "xcodec2==0.1.5"),
)


# ---- the run -------------------------------------------------------------------------------------


class Worker:
    def __init__(
        self, python: list[str], name: str, model: str, threads: int, clock: str, source: Path
    ) -> None:
        command = [*python, str(WORKER), name, model, "--threads", str(threads), "--clock", clock]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(source.resolve())},
        )
        self.load_seconds = self.answer()["seconds"]

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.answer()


def compare(
    workers: dict[str, Worker], task: str, repeat: int, request: dict[str, Any]
) -> dict[str, Any]:
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
        row[name]["equal codes"] = agreement(answers["open-xcodec2"][0]["codes"], given[0]["codes"])
    return row


def agreement(ours: list[list[int]] | None, theirs: list[list[int]] | None) -> float | None:
    """Share of equal codes, ours and an implementation's; None where codes were what went in."""
    if not ours or not theirs:
        return None
    equal = [
        a == b
        for row, other in zip(ours, theirs, strict=True)
        for a, b in zip(row, other, strict=True)
    ]
    return sum(equal) / len(equal)


def show(row: dict[str, Any], names: list[str]) -> str:
    """A line of the table: ours, then each of the others with what ours gains and how many codes
    are equal.
    """
    ours = row[names[0]]
    cells = [row["task"], f"{ours['seconds']:.3f} s, {ours['bytes'] / 2**30:.2f} GiB"]
    for name in names[1:]:
        theirs = row[name]
        ratio = theirs["seconds"] / ours["seconds"]
        cell = f"{theirs['seconds']:.3f} s, {theirs['bytes'] / 2**30:.2f} GiB: {ratio:.2f}×"
        equal = theirs["equal codes"]
        cells.append(cell if equal is None else f"{cell}, {100 * equal:.2f} % equal")
    return "| " + " | ".join(cells) + " |"


def run(args: argparse.Namespace) -> None:
    pythons = {"open-xcodec2": [sys.executable]}
    if not args.alone:
        pythons["transformers"] = [sys.executable]
    if args.original:
        pythons["original"] = [
            str(args.original / "bin" / "python"),
            "-E",
        ]  # a PYTHONPATH may lead to ours
        write_original(Path(args.model))
    if args.before:
        pythons["before"] = [sys.executable]
    names = list(pythons)
    print(
        f"{processor()}, {args.threads} threads, {args.clock} time, {date.today()}; "
        f"model {Path(args.model).name}, float32"
    )
    workers = {
        name: Worker(
            python,
            names[0] if name == "before" else name,
            args.model,
            args.threads,
            args.clock,
            args.before / "src" if name == "before" else SOURCE,
        )
        for name, python in pythons.items()
    }
    print(
        "loaded in "
        + ", ".join(f"{worker.load_seconds:.1f} s ({name})" for name, worker in workers.items())
    )
    print("| | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|", flush=True)
    rows = []
    for worker in workers.values():
        worker.ask(speech=1)
    for seconds in args.seconds:
        codes = np.random.default_rng(0).integers(0, 65_536, int(seconds * 50)).tolist()
        for task, request in (
            ("encode", {"speech": seconds}),
            ("decode", {"speech": 0, "codes": codes}),
        ):
            rows.append(compare(workers, f"{task} {seconds:g} s", args.repeat, request))
            print(show(rows[-1], names), flush=True)
    if args.mixed:
        rows.append(
            compare(workers, f"encode {args.mixed} utterances", args.repeat, {"mixed": args.mixed})
        )
        print(show(rows[-1], names), flush=True)
    if args.plot:
        plot(rows, names[1:], args.plot)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(": ")[1] for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def plot(rows: list[dict[str, Any]], others: list[str], path: Path) -> None:
    """How many times as fast as the others, by length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, style in zip(others, ("-", "--"), strict=False):
        for task, color in (("encode", "tab:blue"), ("decode", "tab:orange")):
            timed = [
                row for row in rows if row["task"].startswith(task) and row["task"].endswith(" s")
            ]
            lengths = [row["task"].partition(" ")[2] for row in timed]
            ratios = [row[name]["seconds"] / row["open-xcodec2"]["seconds"] for row in timed]
            axes.plot(lengths, ratios, style, color=color, marker="o", label=f"{task}, over {name}")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="speech in one call", ylabel="times as fast", ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def stages(
    model: str, seconds: float, repeat: int, threads: int, clock: Callable[[], float]
) -> None:
    """The encoder's two halves, ours and theirs by turns in one process, least of `repeat`."""
    import torch

    torch.set_num_threads(threads)
    ours, theirs = Ours(model).model, Transformers(model).model
    waveform = ours.pad(torch.from_numpy(speech(seconds))[None])
    features, _ = ours.features(waveform)
    halves: dict[str, list[Callable[[], Any]]] = {
        "semantic": [
            lambda: ours.semantic_encoder(features),
            lambda: theirs.semantic_encoder(features),
        ],
        "acoustic": [
            lambda: ours.acoustic_encoder(waveform),
            lambda: theirs.acoustic_encoder(waveform[:, None]),
        ],
    }
    print("| | open-xcodec2 | transformers | ratio |\n|---|---|---|---|")
    for half, calls in halves.items():
        times = [float("inf")] * 2
        for _ in range(repeat):
            for which, call in enumerate(calls):
                start = clock()
                with torch.no_grad():
                    call()
                times[which] = min(times[which], clock() - start)
        print(
            f"| {half} | {times[0]:.2f} s | {times[1]:.2f} s | {times[1] / times[0]:.2f}× |",
            flush=True,
        )


def exact(model: str, clips: dict[str, list[np.ndarray]], threads: int) -> None:
    """How many codes differ from those that the same weights give in float64: ours, and
    transformers'.
    """
    import torch

    torch.set_num_threads(threads)
    ours, theirs = Ours(model), Transformers(model)
    double = Ours(model).model.double()
    print("| | codes | open-xcodec2 | transformers | between the two |\n|---|---|---|---|---|")
    for name, waves in clips.items():
        truth = []
        for wave in waves:
            with torch.inference_mode():
                padded = double.pad(torch.from_numpy(wave).double()[None])
                codes = double.quantize(double.encode_features(padded).latent).codes
            truth.append(codes[0].numpy())
        true, mine, other = (
            np.concatenate(codes) for codes in (truth, ours.encode(waves), theirs.encode(waves))
        )
        differing = [int((a != b).sum()) for a, b in ((mine, true), (other, true), (mine, other))]
        print(f"| {name} | {len(true)} | " + " | ".join(map(str, differing)) + " |", flush=True)


def write_weights(folder: str) -> None:
    """Random weights at the published size, of a scale that keeps the codes apart."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
    from tiny import random_model

    from xcodec2 import XCodec2Config

    random_model(XCodec2Config()).save_pretrained(folder)


def write_original(model: Path) -> None:
    """The same weights under the original's names, in the folder `original` there, unless they are
    there already.
    """
    from xcodec2.convert import convert

    if not (model / "original" / "model.safetensors").exists():
        convert(model, model / "original", to="original")


def make_environment(folder: str) -> None:
    """A virtual environment with the original package."""
    venv.create(folder, with_pip=True)
    for packages in ORIGINAL:
        subprocess.run(
            [Path(folder, "bin", "python"), "-m", "pip", "install", *packages], check=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("weights").add_argument("model")
    verbs.add_parser("environment").add_argument("folder")
    for verb in ("run", "exact", "stages"):
        command = verbs.add_parser(verb)
        command.add_argument("model")
        command.add_argument("--threads", type=int, default=2)
        command.add_argument("--seconds", type=float, nargs="*", default=[1, 3, 10])
        if verb != "exact":
            command.add_argument("--clock", choices=CLOCKS, default="wall")
            command.add_argument("--repeat", type=int, default=3)
        if verb != "stages":
            command.add_argument(
                "--mixed", type=int, default=0, metavar="COUNT", help="utterances of 1 to 5 s"
            )
        if verb == "run":
            command.add_argument("--alone", action="store_true", help="only ours")
            command.add_argument(
                "--original", type=Path, metavar="FOLDER", help="the original as well, from there"
            )
            command.add_argument("--before", type=Path, metavar="CHECKOUT", help="ours of another")
            command.add_argument("--plot", type=Path)
    args = parser.parse_args()
    if args.verb == "weights":
        write_weights(args.model)
    elif args.verb == "environment":
        make_environment(args.folder)
    elif args.verb == "exact":
        clips = {f"{seconds:g} s": [speech(seconds)] for seconds in args.seconds}
        if args.mixed:
            clips[f"{args.mixed} utterances"] = utterances(args.mixed)
        exact(args.model, clips, args.threads)
    elif args.verb == "stages":
        for seconds in args.seconds:
            stages(args.model, seconds, args.repeat, args.threads, CLOCKS[args.clock])
    else:
        run(args)


if __name__ == "__main__":
    main()
