"""The training loop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xcodec2.errors import TrainingError
from xcodec2.extras import require
from xcodec2.processes import shutdown_process_group
from xcodec2.train import checkpoints
from xcodec2.train.data.crops import Batch
from xcodec2.train.engines import graphs
from xcodec2.train.monitor import Means, Monitor
from xcodec2.train.recipe import Recipe, changed, read_recipe
from xcodec2.train.resuming import resume_state
from xcodec2.train.run_folder import (
    MODEL_NAME,
    RECIPE_NAME,
    check_output,
    export,
    keep_batch,
    write_recipe,
)
from xcodec2.train.state import NonFiniteError, State
from xcodec2.train.task import Task, task_of

if TYPE_CHECKING:
    from accelerate import Accelerator

# What PyTorch says of every RMSNorm under autocast, where it rounds as it should.
MIXED_TYPES = "Mismatch dtype between input and weight"


def train(
    recipe: Recipe | str | Path, changes: Sequence[str] = (), *, resume: bool = False
) -> Path:
    """Run a recipe to its last step.

    Args:
        recipe: A recipe, the name of one in the package, or a TOML file.
        changes: `key.key=value` each, to the recipe's numbers. Values are TOML.
        resume: Continue from the newest checkpoint in the recipe's output folder.

    Returns:
        Folder of the trained model, for `from_pretrained`.

    Raises:
        RecipeError: The recipe is missing or wrong.
        MissingExtraError: A library that the run needs is not installed.
        TrainingError: The output folder already holds a run and `resume` is false, the recipe does
            not fit what is resumed, or a loss is not finite.
    """
    if isinstance(recipe, Recipe):
        if changes:
            recipe = changed(recipe, changes)
    else:
        recipe = read_recipe(recipe, changes)
    require_extras(recipe)
    warnings.filterwarnings("ignore", message=MIXED_TYPES)
    accelerator = make_accelerator(recipe)
    if recipe.run.engine == "graphs":
        out = graphs.run(recipe, accelerator, resume=resume)
    else:
        out = run_steps(recipe, accelerator, resume=resume)
    shutdown_process_group(accelerator)
    return out / MODEL_NAME


def run_steps(recipe: Recipe, accelerator: Accelerator, *, resume: bool) -> Path:
    """Step after step, each as PyTorch runs it; resumed bit for bit.

    Args:
        recipe: Of the run.
        accelerator: Of this process.
        resume: From the newest checkpoint.

    Returns:
        The run's folder.

    Raises:
        TrainingError: As `train` says.
    """
    out = check_output(recipe, resume)
    task = task_of(recipe)
    state = task.starting_state(recipe, accelerator)
    positions = None
    if resume:
        saved = checkpoints.load_newest(out / "checkpoints")
        positions = positions_of(saved, accelerator)
        resume_state(state, saved["state"], recipe, out / RECIPE_NAME)
    write_recipe(recipe, accelerator, out)
    rank, world = accelerator.process_index, accelerator.num_processes
    config = state.bare.codec.config
    batches = task.Batches(recipe, config, rank=rank, world=world, positions=positions)
    main = accelerator.is_main_process
    monitor = Monitor(out, recipe, state.step, task.validate) if main else None
    means = Means()
    for step in range(state.step, recipe.run.steps):
        batch = batches.batch(step).to(accelerator.device)
        means.add(guarded_step(task, state, batch, recipe))
        if monitor:
            monitor.count(batch.seconds * world)
        if state.step % recipe.run.log_every == 0:
            of_all = means.take()
            if monitor:
                monitor.log(state, of_all)
        last = state.step == recipe.run.steps
        if last or state.step % recipe.run.save_every == 0:
            save_checkpoint(out, state, batch, recipe)
            if main:
                export(state, out)
        if monitor and (last or state.step % recipe.run.validate_every == 0):
            monitor.validate(state)
        accelerator.wait_for_everyone()
    batches.close()
    if monitor:
        monitor.close()
    return out


def guarded_step(task: Task, state: State, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """One step's losses; a batch that gives what is not finite is kept in the run's folder.

    Raises:
        TrainingError: A loss or a gradient is not finite.
    """
    try:
        return task.train_step(state, batch, recipe)
    except NonFiniteError as problem:
        kept = keep_batch(Path(recipe.run.out), state.step, batch, state.accelerator)
        raise TrainingError(f"{problem}; the batch is in {kept}") from problem


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
    """The device, the precision and the processes of a run."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    precision = recipe.run.precision
    if AcceleratorState._shared_state.get("_mixed_precision", precision) != precision:
        # a run before this one, in the same process, had another: accelerate keeps it for good
        AcceleratorState._reset_state()
    # Without an accelerator it has to be told: else processes on CPUs do not find each other, and
    # each trains alone.
    cpu = recipe.run.device == "cpu" or not torch.accelerator.is_available()
    return Accelerator(mixed_precision=precision, cpu=cpu)


def positions_of(
    saved: dict[str, Any], accelerator: Accelerator
) -> dict[str, tuple[int, int, int]]:
    """Where each source of this process stands in a checkpoint.

    Raises:
        TrainingError: The run had another number of processes.
    """
    everyone = saved["positions"]
    if len(everyone) != accelerator.num_processes:
        raise TrainingError(
            f"the run had {len(everyone)} processes and now has {accelerator.num_processes}; "
            "an exact resume needs as many"
        )
    return {name: tuple(position) for name, position in everyone[accelerator.process_index].items()}


def save_checkpoint(out: Path, state: State, batch: Batch, recipe: Recipe) -> None:
    """Write a checkpoint; to be called in every process at once."""
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
    out = Path(recipe.run.out)
    saved = checkpoints.load_newest(out / "checkpoints")
    state = task_of(recipe).starting_state(recipe, make_accelerator(recipe))
    state.load_state_dict(saved["state"])
    export(state, out)
    return out / MODEL_NAME
