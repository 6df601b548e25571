"""What the loop asks of a task: of the codec's training, and of the distillation of a semantic
encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from xcodec2.codec.config import XCodec2Config
from xcodec2.train.data.crops import Batch, Position
from xcodec2.train.recipe import Recipe
from xcodec2.train.state import State

if TYPE_CHECKING:
    from accelerate import Accelerator


class BatchStream(Protocol):
    """The batches of one process, one after another."""

    def batch(self, step: int) -> Batch:
        """The batch of that step; steps must be asked for one after another."""

    def close(self) -> None:
        """End the threads that read."""


class MakeBatches(Protocol):
    """Makes the batches of process `rank` of `world`, from the positions of a checkpoint on."""

    def __call__(
        self,
        recipe: Recipe,
        config: XCodec2Config,
        *,
        rank: int = 0,
        world: int = 1,
        positions: dict[str, Position] | None = None,
    ) -> BatchStream:
        """The batches of a recipe, for a codec of that configuration."""


class Task(Protocol):
    """A module of `xcodec2.train.tasks`."""

    @property
    def Batches(self) -> MakeBatches:  # noqa: N802 - a class
        """Makes the batches of one process."""

    def starting_state(self, recipe: Recipe, accelerator: Accelerator) -> State:
        """Models, optimizers and average before the first step, the same in every process."""

    def train_step(self, state: State, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
        """One update; every loss by name, before weighting, and their weighted sum as `loss`."""

    def validate(self, state: State, recipe: Recipe, folder: Path) -> dict[str, float]:
        """Figures with the averaged weights; what can be heard and seen of them is left in
        `folder`.
        """


def task_of(recipe: Recipe) -> Task:
    """Distillation if the recipe has a teacher, otherwise the codec's training."""
    from xcodec2.train.tasks import codec, distillation

    return distillation if recipe.teacher else codec
