"""What is seen of a run: progress bar, log lines, TensorBoard, and now and then reconstructions
with their quality.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xcodec2.audio.io import load_audio
from xcodec2.train.recipe import Recipe

if TYPE_CHECKING:
    from xcodec2.train.state import State

Measure = Callable[["State", Recipe, Path], dict[str, float]]


class Means:
    """Each loss' mean over the steps that had it, of all processes."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Tensor]] = {}

    def add(self, scalars: dict[str, Tensor]) -> None:
        """Count a step's losses, each of shape ()."""
        for name, value in scalars.items():
            self.seen.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The means since the last time. To be called in every process at once."""
        from accelerate.utils import gather_object

        mine = {
            name: (float(torch.stack(values).sum()), len(values))
            for name, values in self.seen.items()
        }
        self.seen = {}
        everyone = gather_object([mine])
        means = {}
        for name in dict.fromkeys(name for one in everyone for name in one):
            sums, counts = zip(*[one[name] for one in everyone if name in one], strict=True)
            means[name] = sum(sums) / sum(counts)
        return means


class Monitor:
    """Shows and keeps how a run goes; in the main process.

    Args:
        out: The run's folder.
        recipe: Of the run.
        first: Steps that are done already; what was logged behind them is dropped.
        measure: Figures of a state; leaves sounds and pictures in the folder that it is given.
    """

    def __init__(self, out: Path, recipe: Recipe, first: int, measure: Measure) -> None:
        from tensorboardX import SummaryWriter
        from tqdm import tqdm

        self.out, self.recipe, self.measure = out, recipe, measure
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=first)
        # a run by time has no steps to count up to
        self.total = None if recipe.graphs else recipe.run.steps
        self.bar = tqdm(
            total=self.total, initial=first, unit="step", dynamic_ncols=True, disable=None
        )
        self.seconds, self.began = 0.0, time.monotonic()
        forget_lines(out / "log.jsonl", first)

    def count(self, seconds: float) -> None:
        """One more step, of that much audio in all processes together."""
        self.bar.update()
        self.seconds += seconds

    def log(self, state: State, means: dict[str, float]) -> None:
        """Write the losses' means since the last time, and the pace."""
        pace = self.seconds / (time.monotonic() - self.began)
        learning_rate = float(state.optimizer.param_groups[0]["lr"])
        self.write(
            state.step, means | {"learning_rate": learning_rate}, audio_per_second=round(pace, 1)
        )
        self.bar.set_postfix_str(f"loss {means['loss']:.3f}, {pace:.0f} s of audio a second")
        self.say(
            state.step,
            {name: means[name] for name in sorted(means)},
            f"{pace:.0f} s of audio a second",
        )
        self.seconds, self.began = 0.0, time.monotonic()

    def validate(self, state: State) -> None:
        """Figures with the averaged weights, and what can be heard and seen of them."""
        if not self.recipe.data.valid:
            return
        folder = self.out / "samples" / f"step-{state.step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        figures = self.measure(state, self.recipe, folder)
        self.write(state.step, {f"valid/{name}": value for name, value in figures.items()})
        self.say(state.step, figures, "validation")
        for path in sorted(folder.iterdir()):
            if path.suffix == ".flac":
                rate = state.bare.codec.sample_rate
                audio = load_audio(path, target_rate=rate).waveform.numpy()[:, None]
                self.board.add_audio(path.stem, audio, state.step, sample_rate=rate)
            elif path.suffix == ".png":
                self.board.add_image(path.stem, read_picture(path), state.step, dataformats="HWC")
        self.began = time.monotonic()

    def say(self, step: int, values: dict[str, float], what: str) -> None:
        """One line where no bar can be seen: in a file or a job's log."""
        if self.bar.disable:
            listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            of_all = f" of {self.total}" if self.total else ""
            print(f"step {step}{of_all}: {listed}; {what}", flush=True)

    def write(self, step: int, values: dict[str, float], **more: Any) -> None:
        """Scalars to TensorBoard and, with `more`, to the log."""
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": step} | rounded | more) + "\n")

    def close(self) -> None:
        """End the bar and the TensorBoard file."""
        self.bar.close()
        self.board.close()


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    from matplotlib.image import imread

    return (imread(path)[..., :3] * 255).astype(np.uint8)


def forget_lines(path: Path, step: int) -> None:
    """Drop what an interrupted run logged behind the checkpoint from which it goes on."""
    if path.exists():
        lines = path.read_text().splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept))
