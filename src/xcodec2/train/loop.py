"""The training loop."""

from __future__ import annotations

import copy
import json
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save as serialised

from xcodec2.errors import TrainingError
from xcodec2.extras import require
from xcodec2.files import replacing
from xcodec2.processes import leave
from xcodec2.train import checkpoints, codec, distil
from xcodec2.train.data import Batch
from xcodec2.train.monitor import Means, Monitor
from xcodec2.train.recipe import Recipe, to_toml
from xcodec2.train.resuming import resume_state
from xcodec2.train.state import NonFiniteError, State, averaged

if TYPE_CHECKING:
    from accelerate import Accelerator

RECIPE_NAME = "recipe.toml"
DISCRIMINATORS_NAME = "discriminators.safetensors"
# What PyTorch says of every RMSNorm under autocast, where it rounds as it should.
MIXED_TYPES = "Mismatch dtype between input and weight"


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Run a recipe to its last step.

    Args:
        recipe: See `read_recipe`.
        resume: Continue from the newest checkpoint in the recipe's output folder.

    Returns:
        Folder of the trained model, for `from_pretrained`.

    Raises:
        TrainingError: The output folder already holds a run and `resume` is false, the recipe does
            not fit what is resumed, or a loss is not finite.
    """
    require_extras(recipe)
    warnings.filterwarnings("ignore", message=MIXED_TYPES)
    accelerator = make_accelerator(recipe)
    out = check_output(recipe, resume)
    task: Any = distil if recipe.teacher else codec
    state = task.starting_state(recipe, accelerator)
    positions = None
    if resume:
        saved = checkpoints.load_newest(out / "checkpoints")
        positions = positions_of(saved, accelerator)
        resume_state(state, saved["state"], recipe, out / RECIPE_NAME)
    write_recipe(recipe, accelerator, out)
    batches = task.Batches(
        recipe,
        state.bare.codec.config,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        positions=positions,
    )
    monitor = (
        Monitor(out, recipe, state.step, task.validate) if accelerator.is_main_process else None
    )
    means = Means()
    for step in range(state.step, recipe.run.steps):
        batch = batches.batch(step).to(accelerator.device)
        try:
            scalars = task.train_step(state, batch, recipe)
        except NonFiniteError as problem:
            raise TrainingError(
                f"{problem}; the batch is in {keep_batch(out, step, batch, accelerator)}"
            ) from problem
        means.add(scalars)
        if monitor:
            monitor.count(batch.seconds * accelerator.num_processes)
        if state.step % recipe.run.log_every == 0:
            of_all = means.take()
            if monitor:
                monitor.log(state, of_all)
        last = state.step == recipe.run.steps
        if last or state.step % recipe.run.save_every == 0:
            save(out, state, batch, recipe)
            if accelerator.is_main_process:
                export(state, out)
        if monitor and (last or state.step % recipe.run.validate_every == 0):
            monitor.validate(state)
        accelerator.wait_for_everyone()
    batches.close()
    if monitor:
        monitor.close()
    leave(accelerator)
    return out / "model"


def require_extras(recipe: Recipe) -> None:
    """Ask for every library that the run will need, before anything is computed or written.

    Raises:
        MissingExtraError: One of them is not there.
    """
    modules = ["accelerate", "tensorboardX"]
    if recipe.data.valid and not recipe.teacher:
        modules += ["pystoi", "matplotlib.figure"]
    if recipe.data.augment.tempo or recipe.data.augment.pitch:
        modules += ["python_stretch"]
    require(*modules, extra="train", purpose="training")
    sources = [recipe.data.valid, *(source.path for source in recipe.data.sources)]
    if any(source.endswith(".parquet") for source in sources):
        require("pyarrow.parquet", extra="extract", purpose="a Parquet source")


def make_accelerator(recipe: Recipe) -> Accelerator:
    from accelerate import Accelerator

    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    # Without an accelerator it has to be told: else processes on CPUs do not find each other, and
    # each trains alone.
    cpu = recipe.run.device == "cpu" or not torch.accelerator.is_available()
    return Accelerator(mixed_precision=recipe.run.precision, cpu=cpu)


def check_output(recipe: Recipe, resume: bool) -> Path:
    """The run's folder; a run that is there already is continued or left alone."""
    out = Path(recipe.run.out)
    begun = checkpoints.checkpoints(
        out / "checkpoints"
    )  # what ended before its first one starts anew
    if resume and not begun:
        raise TrainingError(f"{out}: holds no run to resume; start without --resume")
    if not resume and begun:
        raise TrainingError(
            f"{out}: holds a run already; go on with --resume or choose another run.out"
        )
    return out


def write_recipe(recipe: Recipe, accelerator: Accelerator, out: Path) -> None:
    """Leave the resolved recipe in the run's folder, which is made; in the main process."""
    accelerator.wait_for_everyone()  # all have looked whether there is a run, and at its recipe
    if accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        with replacing(out / RECIPE_NAME, TrainingError) as file:
            file.write(to_toml(recipe).encode())


def positions_of(
    saved: dict[str, Any], accelerator: Accelerator
) -> dict[str, tuple[int, int, int]]:
    everyone = saved["positions"]
    if len(everyone) != accelerator.num_processes:
        raise TrainingError(
            f"the run had {len(everyone)} processes and now has {accelerator.num_processes}; "
            "an exact resume needs as many"
        )
    return {name: tuple(position) for name, position in everyone[accelerator.process_index].items()}


def save(out: Path, state: State, batch: Batch, recipe: Recipe) -> None:
    from accelerate.utils import gather_object

    positions = gather_object(
        [{name: list(position) for name, position in batch.positions.items()}]
    )
    if state.accelerator.is_main_process:
        content = {"state": state.state_dict(), "positions": positions}
        checkpoints.save(out / "checkpoints", state.step, content, recipe.run.keep)


def export_newest(recipe: Recipe) -> Path:
    """Write the model of the newest checkpoint, without training.

    Args:
        recipe: Names the output folder.

    Returns:
        Folder of the model, for `from_pretrained`.

    Raises:
        TrainingError: There is no checkpoint.
    """
    accelerator = make_accelerator(recipe)
    out = Path(recipe.run.out)
    task: Any = distil if recipe.teacher else codec
    state = task.starting_state(recipe, accelerator)
    state.load_state_dict(checkpoints.load_newest(out / "checkpoints")["state"])
    export(state, out)
    return out / "model"


def export(state: State, out: Path) -> None:
    """The averaged codec as a folder `model` that `from_pretrained` loads, and beside it the
    discriminators, with which a fine-tune can begin."""
    with averaged(state) as codec, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is in our own form
        copy.deepcopy(codec).half().save_pretrained(out / "model")
    if state.discriminators is not None:
        judges = state.accelerator.unwrap_model(state.discriminators).state_dict()
        with replacing(out / DISCRIMINATORS_NAME, TrainingError) as file:
            file.write(
                serialised({name: tensor.cpu().contiguous() for name, tensor in judges.items()})
            )


def keep_batch(out: Path, step: int, batch: Batch, accelerator: Accelerator) -> Path:
    """What led to a loss that is not finite, to look at."""
    from safetensors.torch import save_file

    path = out / f"not-finite-step-{step}-process-{accelerator.process_index}.safetensors"
    tensors = {name: tensor.cpu().contiguous() for name, tensor in batch.tensors.items()}
    save_file(
        tensors, path, metadata={"positions": json.dumps(batch.positions), "time": time.ctime()}
    )
    return path
