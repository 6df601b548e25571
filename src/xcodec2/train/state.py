"""All that changes from step to step, and how an update changes it.

Codec and semantic teacher share it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from xcodec2.errors import TrainingError
from xcodec2.train.recipe import Optimizer

if TYPE_CHECKING:
    from accelerate import Accelerator

    from xcodec2.model import XCodec2Model

EMA_START = 10  # steps; the average's memory grows from nothing


class NonFiniteError(TrainingError):
    """A loss or gradient is NaN or infinite; nothing was updated."""


@dataclass
class State:
    """All that a step changes.

    `generator` is a module with the codec as `.codec`; it and `discriminators` may be wrapped by
    accelerate.
    """

    accelerator: Accelerator
    generator: nn.Module
    optimizer: torch.optim.Optimizer
    ema: dict[str, Tensor]  # exponential moving average of the codec's learning weights, by name
    discriminators: nn.Module | None = None
    discriminator_optimizer: torch.optim.Optimizer | None = None
    step: int = 0

    @property
    def bare(self) -> Any:
        """The generator without what accelerate wrapped around it."""
        return self.accelerator.unwrap_model(self.generator)

    def parts(self) -> dict[str, Any]:
        """What has a state of its own, by its name in a checkpoint."""
        parts = {"generator": self.bare, "optimizer": self.optimizer}
        if self.discriminators is not None:
            parts["discriminators"] = self.accelerator.unwrap_model(self.discriminators)
            parts["discriminator_optimizer"] = self.discriminator_optimizer
        if self.accelerator.scaler is not None:
            parts["scaler"] = self.accelerator.scaler
        return parts

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, for a checkpoint."""
        parts = {name: part.state_dict() for name, part in self.parts().items()}
        return {"step": self.step, "ema_weights": self.ema} | parts

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the state of a checkpoint."""
        self.step, device = state["step"], self.accelerator.device
        self.ema = {name: tensor.to(device) for name, tensor in state["ema_weights"].items()}
        for name, part in self.parts().items():
            part.load_state_dict(state[name])


def fresh_state(accelerator: Accelerator, generator: nn.Module, options: Optimizer) -> State:
    """The state before the first step; the same in every process if the weights are."""
    generator, optimizer = accelerator.prepare(generator, adamw(generator, options))
    learning = accelerator.unwrap_model(generator).codec.named_parameters()
    ema = {name: tensor.detach().clone() for name, tensor in learning if tensor.requires_grad}
    return State(accelerator, generator, optimizer, ema)


def learning_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Those that ask for gradients.

    Raises:
        TrainingError: There is none.
    """
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not learning:
        raise TrainingError("recipe.start.frozen: nothing is left to learn")
    return learning


def adamw(module: nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """AdamW over the parameters that learn; each step sets its learning rate."""
    return torch.optim.AdamW(
        learning_parameters(module),
        0.0,
        betas=options.betas,
        weight_decay=options.weight_decay,
        fused=options.fused or None,  # None, not False, which would rule out `foreach` on a GPU
    )


def seed_step(seed: int, state: State) -> random.Random:
    """Make a step's random numbers depend on its number and process alone: nothing of them has to
    be saved.
    """
    rng = random.Random(f"{seed} {state.step} {state.accelerator.process_index} step")
    torch.manual_seed(rng.getrandbits(63))  # dropout
    return rng


def weighted_sum(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """The loss; its names are the weights' names, so nothing is forgotten on either side."""
    assert set(terms) == set(weights), (
        f"losses {sorted(terms)} and weights {sorted(weights)} differ"
    )
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


def update(
    state: State,
    total: Tensor,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    options: Optimizer,
    terms: dict[str, Tensor],
    steps: int,
) -> None:
    """One step down the gradient of a loss.

    Args:
        state: Gives the number of the step.
        total: The loss.
        module: Whose gradient is clipped.
        optimizer: Of that module.
        options: The optimizer's, for its learning rate and clipping.
        terms: What the loss consists of; named when it is not finite.
        steps: Of the run.

    Raises:
        NonFiniteError: The loss or its gradient is not; nothing was updated.
    """
    accelerator = state.accelerator
    if accelerator.reduce(total.detach().isfinite().float(), "mean").item() < 1:  # of all processes
        listed = ", ".join(f"{name} {term.item():.4g}" for name, term in terms.items())
        raise NonFiniteError(f"step {state.step}: the loss is not finite ({listed})")
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(options, state.step, steps)
    optimizer.zero_grad()
    accelerator.backward(total)
    norm = accelerator.clip_grad_norm_(module.parameters(), options.clip)
    # a scaler skips such steps itself
    if accelerator.scaler is None and norm is not None and not norm.isfinite():
        raise NonFiniteError(f"step {state.step}: the gradient is not finite though the loss is")
    optimizer.step()


def learning_rate_at(options: Optimizer, step: float, steps: int) -> float:
    """The learning rate of that step of `steps`, by straight lines between the recipe's points."""
    points = options.learning_rate
    if options.relative_steps:
        points = tuple((x * steps, y) for x, y in points)
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if step < x1:
            return y0 + (y1 - y0) * max(0.0, (step - x0) / (x1 - x0))
    return points[-1][1]


def update_ema(state: State, max_decay: float) -> None:
    """Move the average: its memory grows with what there is to remember, up to `max_decay`."""
    decay = min(max_decay, (1 + state.step) / (EMA_START + state.step))
    current = dict(state.bare.codec.named_parameters())
    names = list(state.ema)
    torch._foreach_lerp_(
        [state.ema[n] for n in names], [current[n].detach() for n in names], 1 - decay
    )


@contextmanager
def ema_weights(state: State) -> Iterator[XCodec2Model]:
    """The codec with its averaged weights, ready to be used, for as long as the block lasts."""
    codec = state.bare.codec
    current = {
        name: tensor.clone() for name, tensor in codec.state_dict().items() if name in state.ema
    }
    codec.load_state_dict(codec.state_dict() | state.ema)
    codec.eval()
    try:
        yield codec
    finally:
        codec.load_state_dict(codec.state_dict() | current)
        state.bare.train()
