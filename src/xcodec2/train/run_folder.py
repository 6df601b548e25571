"""The folder of a run: its recipe, its model, and what is left of a step that failed."""

from __future__ import annotations

import copy
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save as serialized

from xcodec2.errors import TrainingError
from xcodec2.files import replacing
from xcodec2.train import checkpoints
from xcodec2.train.data.crops import Batch
from xcodec2.train.recipe import Recipe, to_toml
from xcodec2.train.state import State, ema_weights

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE_NAME = "recipe.toml"
MODEL_NAME = "model"
DISCRIMINATORS_NAME = "discriminators.safetensors"


def check_output(recipe: Recipe, resume: bool) -> Path:
    """The run's folder; a run that is there already is continued or left alone.

    Args:
        recipe: Names it.
        resume: Whether a run is to be continued.

    Raises:
        TrainingError: There is a run and `resume` is false, or none and it is true.
    """
    out = Path(recipe.run.out)
    # what ended before its first checkpoint starts anew
    begun = checkpoints.checkpoints(out / "checkpoints")
    if resume and not begun:
        raise TrainingError(f"{out}: holds no run to resume; start without --resume")
    if not resume and (begun or (out / MODEL_NAME).exists()):
        how = "continue it with --resume or choose" if begun else "choose"
        raise TrainingError(f"{out}: holds a run already; {how} another run.out")
    return out


def write_recipe(recipe: Recipe, accelerator: Accelerator, out: Path) -> None:
    """Leave the resolved recipe in the run's folder, which is made; in the main process."""
    accelerator.wait_for_everyone()  # all have looked whether there is a run, and at its recipe
    if accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / RECIPE_NAME, TrainingError) as file:
            file.write(to_toml(recipe).encode())


def export(state: State, out: Path) -> None:
    """Write the averaged codec to `out`/model, which `from_pretrained` loads, and beside it the
    discriminators, with which a fine-tune can begin.
    """
    with ema_weights(state) as codec, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is in our own form
        copy.deepcopy(codec).half().save_pretrained(out / MODEL_NAME)
    if state.discriminators is not None:
        discriminators = state.accelerator.unwrap_model(state.discriminators).state_dict()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in discriminators.items()}
        with replacing(out / DISCRIMINATORS_NAME, TrainingError) as file:
            file.write(serialized(tensors))


def keep_batch(out: Path, step: int, batch: Batch, accelerator: Accelerator) -> Path:
    """Keep what led to a loss that is not finite, to look at.

    Returns:
        The file.
    """
    from safetensors.torch import save_file

    path = out / f"not-finite-step-{step}-process-{accelerator.process_index}.safetensors"
    tensors = {name: tensor.cpu().contiguous() for name, tensor in batch.tensors.items()}
    save_file(
        tensors, path, metadata={"positions": json.dumps(batch.positions), "time": time.ctime()}
    )
    return path
