"""Trains nano on one GPU in minutes: all speech in the card's memory, whole steps as CUDA graphs.

    python scripts/prepare_nano_data.py
    python scripts/train_nano_gpu.py --seconds 400 --out runs/nano-gpu

nano is so small that a GPU waits for Python: `xcodec2 train nano` takes 75 ms a step there whatever
the batch. Losses, sizes and discriminators are the recipe nano-gan's. The plan goes by time:
reconstruction losses at a constant rate for half of it, then with discriminators while the rate
descends. Without a GPU it runs the same steps one operation at a time. Goes on from other weights
with `--start FOLDER`, and with a finite field, a recogniser's loss and the like by changes to the
recipe: `model.attention_window=[63,0] losses.recogniser=0.5`. Of augmentation it knows gain and
speed.
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from xcodec2.corpus import Recording, read_corpus
from xcodec2.train import losses
from xcodec2.train.augment import LOUDEST
from xcodec2.train.codec import adversarial_losses, excerpt, reconstruction_losses
from xcodec2.train.discriminators import BothDiscriminators
from xcodec2.train.generator import Generator, starting_codec
from xcodec2.train.recipe import Augment, Recipe, Source, read_recipe
from xcodec2.train.recogniser import hearing_losses
from xcodec2.train.state import weighted_sum

HALF_WIDTH = 16  # zero crossings of the resampling filter on each side
VARIANTS = 7  # of a step: the random choices of windows and excerpts, which a graph cannot make
WARM_UP, DESCENT = 0.02, 0.5  # parts of the time: the rate rises up to here, falls from here on
ALONE, TOGETHER = (
    0.50,
    0.52,
)  # the discriminators learn from here on, the codec hears them from here on
PEAK, LAST, JUDGES = 1.5e-3, 2e-5, 2e-4  # learning rates
SAY_EVERY = 10.0  # seconds


class Tape:
    """Every source's recordings in one long row of 16-bit samples, from which crops are cut at
    random places.
    """

    def __init__(self, sources: Iterable[Source], rate: int, device: torch.device) -> None:
        def samples(recording: Recording) -> np.ndarray:
            return (recording.load(rate).waveform.numpy() * 32_767).astype(np.int16)

        rows, weights = [], []
        with ThreadPoolExecutor() as pool:
            for source in sources:
                rows.append(np.concatenate(list(pool.map(samples, read_corpus(source.path)))))
                weights.append(source.weight)
        self.samples = torch.from_numpy(np.concatenate(rows)).to(device)
        sizes = torch.tensor([len(row) for row in rows], device=device)
        self.first, self.sizes = sizes.cumsum(0) - sizes, sizes
        self.chances = (torch.tensor(weights, device=device) / sum(weights)).cumsum(0)
        self.seconds = len(self.samples) / rate

    def crops(self, count: int, length: int, options: Augment) -> Tensor:
        """(count, length) float32, of changed speed and loudness."""
        device = self.samples.device
        source = torch.searchsorted(self.chances, torch.rand(count, device=device)).clamp(
            max=len(self.sizes) - 1
        )
        speed = self.drawn(count, options.speed, options.speed_range, 1.0)
        room = self.sizes[source] - int(length * options.speed_range[1]) - 2 * HALF_WIDTH - 2
        start = (
            self.first[source]
            + HALF_WIDTH
            + (room * torch.rand(count, device=device, dtype=torch.float64)).long()
        )
        crops = self.resampled(start, speed, length)
        gain = 10 ** (self.drawn(count, options.gain, options.gain_db, 0.0) / 20)
        loudest = crops.abs().amax(1).clamp(min=1e-3)
        return crops * torch.minimum(gain, LOUDEST / loudest)[:, None]

    def drawn(
        self, count: int, chance: float, within: tuple[float, float], otherwise: float
    ) -> Tensor:
        low, high = within
        changed, value = torch.rand(2, count, device=self.samples.device)
        return torch.where(changed < chance, low + (high - low) * value, otherwise)

    def resampled(self, start: Tensor, speed: Tensor, length: int) -> Tensor:
        """One sample of `length` for every `speed` of the tape, by a windowed sinc."""
        position = torch.arange(length, device=start.device) * speed.double()[:, None]
        whole = position.long()
        fraction = (position - whole).float()
        cutoff = 1 / speed.clamp(min=1)[:, None]
        out = torch.zeros_like(fraction)
        for tap in range(1 - HALF_WIDTH, HALF_WIDTH + 1):
            distance = tap - fraction
            weight = (
                cutoff
                * torch.sinc(cutoff * distance)
                * (torch.pi / 2 / HALF_WIDTH * distance).cos().square()
            )
            out += weight * self.samples[start[:, None] + whole + tap]
        return out / 32_767


class Learner:
    """Parameters, AdamW, and one update that skips what is not finite, without asking the GPU."""

    def __init__(
        self, module: nn.Module, betas: tuple[float, float], decay: float, device: torch.device
    ) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.rate = torch.zeros((), device=device)  # a tensor, so that graphs see its changes
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            self.rate,
            betas=betas,
            weight_decay=decay,
            fused=True,
            capturable=device.type == "cuda",
        )
        self.optimiser.found_inf = torch.zeros((), device=device)

    def update(self, loss: Tensor, clip: float) -> None:
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, clip)
        self.optimiser.found_inf.copy_(1 - norm.isfinite().float())
        self.optimiser.step()

    def forget_gradients(self) -> None:
        self.optimiser.zero_grad(set_to_none=True)


class Trainer:
    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, device
        codec = starting_codec(recipe)
        self.rate = codec.config.sample_rate
        self.length = (
            round(recipe.run.crop_seconds * codec.config.frame_rate) * codec.config.output_hop
        )
        self.generator = Generator(codec, recipe).to(device).train()
        assert recipe.discriminators
        self.judges = BothDiscriminators(recipe.discriminators).to(device)
        decay = recipe.optimiser.weight_decay
        self.codec_learner = Learner(self.generator, (0.9, 0.98), decay, device)
        self.judge_learner = Learner(self.judges, (0.8, 0.9), decay, device)
        self.learnt = list(codec.parameters())
        self.average = [parameter.detach().clone() for parameter in self.learnt]
        self.tape = Tape(recipe.data.sources, self.rate, device)
        self.sums: dict[str, Tensor] = {}

    def step(self, phase: str, variant: int) -> None:
        """`phase`: reconstruct; alone, the discriminators learn too; together, the codec hears
        them.
        """
        rng = random.Random(f"{phase} {variant}")
        target = self.tape.crops(self.recipe.run.batch, self.length, self.recipe.data.augment)
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            output = self.generator(target[:, :-1], self.length)
            heard = hearing_losses(output, target, self.recipe, rng)
        terms = (
            reconstruction_losses(output, target, self.recipe, self.generator.codec.config, rng)
            | heard
        )
        if phase != "reconstruct":
            pair = excerpt(torch.stack([target, output.waveform]), self.recipe, self.rate, rng)
            self.judge(*pair.detach())
        if phase == "together":
            terms |= adversarial_losses(pair, self.judges)
        weights = {
            name: weight for name, weight in self.recipe.losses.used().items() if name in terms
        }
        self.codec_learner.update(weighted_sum(terms, weights), self.recipe.optimiser.clip)
        torch._foreach_lerp_(
            self.average, [parameter.detach() for parameter in self.learnt], 1 - self.recipe.ema
        )
        self.note(terms)

    def judge(self, real: Tensor, made: Tensor) -> None:
        found, fooled = losses.tells_apart(self.judges(real), self.judges(made))
        self.judge_learner.update(found + fooled, self.recipe.optimiser.clip)
        self.note({"real": found, "fake": fooled})

    def note(self, terms: dict[str, Tensor]) -> None:
        for name, term in terms.items():
            self.sums.setdefault(name, torch.zeros((), device=self.device)).add_(term.detach())

    def steps(self, phase: str) -> list[Callable[[], object]]:
        """The variants of a step, as graphs where there is a GPU.

        Making them changes no weights: the rates are 0.
        """
        if self.device.type != "cuda":
            return [partial(self.eager, phase, variant) for variant in range(VARIANTS)]
        graphs = []
        for variant in range(VARIANTS):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                self.eager(phase, variant)
                self.forget_gradients()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self.step(phase, variant)
            self.forget_gradients()
            graphs.append(graph)
        return [graph.replay for graph in graphs]

    def eager(self, phase: str, variant: int) -> None:
        self.forget_gradients()
        self.step(phase, variant)

    def forget_gradients(self) -> None:
        self.codec_learner.forget_gradients()
        self.judge_learner.forget_gradients()

    def run(self, seconds: float, out: Path) -> None:
        phases = {phase: self.steps(phase) for phase in ("reconstruct", "alone", "together")}
        saved = 0
        began = said = time.monotonic()
        step = step_said = 0
        while (elapsed := time.monotonic() - began) < seconds:
            part = elapsed / seconds
            self.codec_learner.rate.fill_(rate_at(part))
            self.judge_learner.rate.fill_(JUDGES)
            phase = "reconstruct" if part < ALONE else "alone" if part < TOGETHER else "together"
            phases[phase][step % VARIANTS]()
            step += 1
            if self.device.type == "cuda" and step % 16 == 0:
                torch.cuda.synchronize()  # the clock decides, so the queue must not run ahead
            if time.monotonic() - said > SAY_EVERY:
                means = {
                    name: round(float(value) / (step - step_said), 4)
                    for name, value in self.sums.items()
                }
                torch._foreach_zero_(list(self.sums.values()))
                print(
                    f"{elapsed:.0f} s, step {step}, rate {rate_at(part):.1e}, {phase}: {means}",
                    flush=True,
                )
                said, step_said = time.monotonic(), step
                if part > (saved + 1) / 4:
                    saved += 1
                    self.export(out / f"part-{saved}")
        heard = step * self.recipe.run.batch * self.recipe.run.crop_seconds / 3600
        print(f"{step} steps, {heard:.1f} h heard of {self.tape.seconds / 3600:.1f} h", flush=True)
        self.export(out / "model")

    def export(self, folder: Path) -> None:
        """The averaged codec in half precision, as nano is kept."""
        current = [parameter.detach().clone() for parameter in self.learnt]
        with torch.no_grad():
            torch._foreach_copy_(self.learnt, self.average)
            half = starting_codec(self.recipe)
            half.load_state_dict(self.generator.codec.state_dict())
            with warnings.catch_warnings(action="ignore"):  # that it is in our own form
                half.half().save_pretrained(folder)
            torch._foreach_copy_(self.learnt, current)


def rate_at(part: float) -> float:
    """The codec's learning rate when that part of the time is over."""
    if part < DESCENT:
        return PEAK * min(1.0, part / WARM_UP)
    return PEAK + (LAST - PEAK) * (part - DESCENT) / (1 - DESCENT)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=400, help="time to train in (%(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="crops in a step (%(default)s)")
    parser.add_argument("--start", default="nano", help="weights to start from (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/nano-gpu"), help="output folder (%(default)s)"
    )
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="to the recipe: losses.recogniser=0.5"
    )
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    changes = [f"run.batch={args.batch}", f'start.checkpoint="{args.start}"', *args.changes]
    recipe = read_recipe("nano-gan", changes)
    Trainer(recipe, device).run(args.seconds, args.out)


if __name__ == "__main__":
    main()
