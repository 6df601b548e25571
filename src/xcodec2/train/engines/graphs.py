"""Whole steps as CUDA graphs, all speech in the card's memory: for a codec so small that a GPU
waits for Python.

The plan goes by time: reconstruction losses first, then the discriminators learn, and a little
later the codec is trained against them. Without a GPU the same steps run one operation at a time.
The run leaves what every run leaves, but for checkpoints: its moments and its data's position live
in the card, so it is not resumed. `unsupported` says what else this engine does not do; and a step
whose gradient is not finite is skipped where the other engine stops, because asking would make the
GPU wait. B crops of N samples.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xcodec2.errors import TrainingError
from xcodec2.train import losses
from xcodec2.train.data.tape import Tape
from xcodec2.train.discriminators import BothDiscriminators, load_discriminators
from xcodec2.train.generator import Generator, starting_codec
from xcodec2.train.monitor import Monitor
from xcodec2.train.recipe import Augment, Discriminators, Graphs, Optimizer, Recipe
from xcodec2.train.recognizer import hearing_losses
from xcodec2.train.run_folder import check_output, export, write_recipe
from xcodec2.train.state import State, learning_parameters, learning_rate_at, weighted_sum
from xcodec2.train.tasks.codec import (
    adversarial_losses,
    excerpt,
    reconstruction_losses,
    validate,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

VARIANTS = 7  # of a step: the random choices of windows and excerpts, which a graph cannot make
SYNCHRONIZE_EVERY = 16  # steps; the clock decides, so the queue must not run ahead
RECONSTRUCT, ALONE, TOGETHER = "reconstruct", "discriminators alone", "together"
AUGMENTATION = {"gain", "gain_db", "speed", "speed_range"}


def run(recipe: Recipe, accelerator: Accelerator, *, resume: bool = False) -> Path:
    """Train until the time or the steps of the recipe are over.

    Args:
        recipe: With a `[graphs]` table.
        accelerator: Of one process.
        resume: Is refused.

    Returns:
        The run's folder.

    Raises:
        TrainingError: The recipe asks for what this engine does not do, the output folder holds a
            run, or not one step between two log lines had a finite gradient.
    """
    for problem in unsupported(recipe, accelerator, resume):
        raise TrainingError(f'run.engine = "graphs": {problem}')
    assert recipe.graphs
    out = check_output(recipe, resume=False)
    trainer = GraphTrainer(recipe, accelerator)
    write_recipe(recipe, accelerator, out)
    steps = {phase: trainer.steps(phase) for phase in trainer.phases()}
    trainer.take_means()  # of what was run to make the graphs
    state, monitor = trainer.state, Monitor(out, recipe, 0, validate)
    began = time.monotonic()
    while (share := share_done(recipe, state.step, time.monotonic() - began)) < 1:
        trainer.set_learning_rates(share)
        steps[phase_at(share, recipe)][state.step % VARIANTS]()
        state.step += 1
        monitor.count(recipe.run.batch * recipe.run.crop_seconds)
        if trainer.device.type == "cuda" and state.step % SYNCHRONIZE_EVERY == 0:
            torch.cuda.synchronize()
        if state.step % recipe.run.log_every == 0:
            monitor.log(state, trainer.take_means() | {"share": share})
        saving, validating = (
            state.step % every == 0 for every in (recipe.run.save_every, recipe.run.validate_every)
        )
        if saving or validating:
            paused = time.monotonic()
            if saving:
                export(state, out)
            if validating:
                monitor.validate(state)
            began += time.monotonic() - paused
    if rest := trainer.take_means():
        monitor.log(state, rest | {"share": 1.0})
    export(state, out)
    monitor.validate(state)
    monitor.close()
    return out


def unsupported(recipe: Recipe, accelerator: Accelerator, resume: bool) -> Iterator[str]:
    """What the recipe asks for and this engine does not do; nothing of it is left out silently."""
    if resume:
        yield (
            "a run is not resumed; begin another one from its weights, with "
            "start.checkpoint=OUT/model start.discriminators=OUT/discriminators.safetensors"
        )
    if accelerator.num_processes > 1:
        yield f"runs in one process, not in {accelerator.num_processes}"
    if recipe.teacher:
        yield "trains codecs; a [teacher] needs the engine `steps`"
    if recipe.run.precision == "fp16":
        yield "run.precision must be no or bf16: nothing scales the loss here"
    plain = Augment()
    others = [
        field.name
        for field in dataclasses.fields(Augment)
        if field.name not in AUGMENTATION
        and getattr(recipe.data.augment, field.name) != getattr(plain, field.name)
    ]
    if others:
        yield f"data.augment has gain and speed only; leave out {', '.join(others)}"
    for name in ("optimizer", "discriminator_optimizer"):
        options: Optimizer | None = getattr(recipe, name)
        if options and not options.relative_steps:
            yield f"{name}.relative_steps must be true: the plan goes by time"
    sizes = recipe.discriminators or Discriminators()
    if sizes.first_step or sizes.alone_steps:
        yield (
            "discriminators.first_step and alone_steps must be 0; graphs.discriminators_from and "
            "adversarial_from say when, in shares of the run"
        )


def share_done(recipe: Recipe, step: int, seconds: float) -> float:
    """How much of the run is over, 0…1: of its time or of its steps, whichever is more."""
    assert recipe.graphs
    return max(seconds / recipe.graphs.seconds, step / recipe.run.steps)


def phase_at(share: float, recipe: Recipe) -> str:
    """Who learns when that share of the run is over."""
    plan: Graphs | None = recipe.graphs
    assert plan
    if not recipe.discriminators or share < plan.discriminators_from:
        return RECONSTRUCT
    return ALONE if share < plan.adversarial_from else TOGETHER


class Learner:
    """Parameters, AdamW, and one update that skips what is not finite, without asking the GPU.

    Args:
        module: Its parameters that ask for gradients learn.
        options: Of AdamW, which is always fused here.
        device: Where the parameters are.

    Raises:
        TrainingError: No parameter learns.
    """

    def __init__(self, module: nn.Module, options: Optimizer, device: torch.device) -> None:
        self.options = options
        self.parameters = learning_parameters(module)
        # a tensor, so that graphs see its changes
        self.learning_rate = torch.zeros((), device=device, dtype=torch.float32)
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            self.learning_rate,
            betas=options.betas,
            weight_decay=options.weight_decay,
            fused=True,
            capturable=device.type == "cuda",
        )
        # 1 where the last update was left out
        self.skipped = torch.zeros((), device=device, dtype=torch.float32)
        self.optimizer.found_inf = self.skipped  # type: ignore[attr-defined]

    def update(self, loss: Tensor) -> None:
        """One step down the gradient of a loss, if that is finite."""
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.options.clip)
        self.skipped.copy_(1 - norm.isfinite().float())
        self.optimizer.step()

    def forget_gradients(self) -> None:
        """Gradients are made anew by the next backward pass, in a graph's own memory."""
        self.optimizer.zero_grad(set_to_none=True)


class GraphTrainer:
    """Models, their learners, the speech, and the steps over them.

    Args:
        recipe: With a `[graphs]` table.
        accelerator: Names the device.

    Raises:
        TrainingError: The weights or the speech that the recipe names do not fit.
    """

    def __init__(self, recipe: Recipe, accelerator: Accelerator) -> None:
        torch.manual_seed(recipe.run.seed)
        self.recipe, self.device = recipe, accelerator.device
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        codec = starting_codec(recipe)
        config = codec.config
        if config.sample_rate != config.input_rate:
            raise TrainingError(
                'run.engine = "graphs": trains codecs whose input and output have one sample rate, '
                f"not {config.input_rate} and {config.sample_rate} Hz"
            )
        self.length = max(1, round(recipe.run.crop_seconds * config.frame_rate)) * config.output_hop
        self.generator = Generator(codec, recipe).to(self.device).train()
        self.codec_learner = Learner(self.generator, recipe.optimizer, self.device)
        self.learning = {
            name: parameter
            for name, parameter in self.generator.codec.named_parameters()
            if parameter.requires_grad
        }
        ema = {name: parameter.detach().clone() for name, parameter in self.learning.items()}
        self.state = State(accelerator, self.generator, self.codec_learner.optimizer, ema)
        self.discriminators: BothDiscriminators | None = None
        self.discriminator_learner: Learner | None = None
        if recipe.discriminators and recipe.discriminator_optimizer:
            self.add_discriminators(recipe.discriminators, recipe.discriminator_optimizer)
        self.tape = Tape(recipe.data.sources, config.sample_rate, self.device)
        self.tape.require_length(self.length, recipe.data.augment)
        self.sums: dict[str, Tensor] = {}  # (2,) of each scalar: its sum, and of how many steps

    def add_discriminators(self, sizes: Discriminators, options: Optimizer) -> None:
        """Random ones, or those that the recipe starts from."""
        self.discriminators = BothDiscriminators(sizes)
        if self.recipe.start.discriminators:
            load_discriminators(self.discriminators, self.recipe.start.discriminators)
        self.discriminators.to(self.device)
        self.discriminator_learner = Learner(self.discriminators, options, self.device)
        self.state.discriminators = self.discriminators
        self.state.discriminator_optimizer = self.discriminator_learner.optimizer

    @property
    def learners(self) -> list[Learner]:
        """The codec's and, if there is one, the discriminators'."""
        return [one for one in (self.codec_learner, self.discriminator_learner) if one]

    def phases(self) -> list[str]:
        """Those that the run can come to, in their order."""
        return [RECONSTRUCT, ALONE, TOGETHER] if self.discriminators else [RECONSTRUCT]

    def set_learning_rates(self, share: float) -> None:
        """Those of the recipe when that share of the run, 0…1, is over."""
        steps = self.recipe.run.steps
        for learner in self.learners:
            learner.learning_rate.fill_(learning_rate_at(learner.options, share * steps, steps))

    def step(self, phase: str, variant: int) -> None:
        """One update of everything that learns in that phase."""
        recipe, config = self.recipe, self.generator.codec.config
        rng = random.Random(f"{phase} {variant}")
        target = self.tape.crops(recipe.run.batch, self.length, recipe.data.augment)
        with self.autocast():
            output = self.generator(target[:, :-1], self.length)
        terms = reconstruction_losses(output, target, recipe, config, rng)
        with self.autocast():
            terms |= hearing_losses(output, target, config.sample_rate, recipe, rng)
        weights = recipe.losses.used()
        if phase != RECONSTRUCT:
            pair = torch.stack([target, output.waveform])
            pair = excerpt(pair, recipe, config.sample_rate, rng)
            self.train_discriminators(*pair.detach())
        if phase == TOGETHER:
            assert self.discriminators
            of_discriminators = adversarial_losses(pair, self.discriminators)
            terms |= {name: term for name, term in of_discriminators.items() if name in weights}
        total = weighted_sum(terms, {name: w for name, w in weights.items() if name in terms})
        self.codec_learner.update(total)
        torch._foreach_lerp_(
            list(self.state.ema.values()),
            [parameter.detach() for parameter in self.learning.values()],
            1 - recipe.ema,
        )
        self.note(terms | {"loss": total, "skipped": self.codec_learner.skipped})

    def train_discriminators(self, real: Tensor, made: Tensor) -> None:
        """One update of the discriminators on real and decoded excerpts (B, N)."""
        assert self.discriminators
        assert self.discriminator_learner
        found, fooled = losses.discriminator_loss(
            self.discriminators(real), self.discriminators(made)
        )
        self.discriminator_learner.update(found + fooled)
        self.note({"real": found, "fake": fooled})

    def autocast(self) -> torch.autocast:
        """bfloat16 if the recipe says so; a graph must not keep what was cast for it."""
        used = self.recipe.run.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=used, cache_enabled=False)

    def note(self, terms: dict[str, Tensor]) -> None:
        """Add scalars to the sums, where they are: a graph cannot hand them out."""
        for name, term in terms.items():
            total = self.sums.setdefault(
                name, torch.zeros(2, device=self.device, dtype=torch.float32)
            )
            total[0].add_(term.detach())
            total[1].add_(1)

    def take_means(self) -> dict[str, float]:
        """Each scalar's mean over the steps since the last time that had it.

        Raises:
            TrainingError: Every one of those steps was skipped.
        """
        sums = {name: total.tolist() for name, total in self.sums.items()}
        for total in self.sums.values():
            total.zero_()
        means = {name: value / count for name, (value, count) in sums.items() if count}
        if means.get("skipped") == 1:
            raise TrainingError(
                f"step {self.state.step}: no gradient since the last log line was finite; the "
                "weights are still those of before"
            )
        return means

    def steps(self, phase: str) -> list[Callable[[], object]]:
        """The variants of a step, as graphs where there is a GPU.

        Making them changes no weights: the learning rates are 0.
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
        """One step, one operation at a time."""
        self.forget_gradients()
        self.step(phase, variant)

    def forget_gradients(self) -> None:
        """Of all that learns."""
        for learner in self.learners:
            learner.forget_gradients()
