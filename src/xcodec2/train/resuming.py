"""Whether a recipe goes on from a checkpoint, and what is not as it was."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xcodec2.errors import RecipeError, TrainingError
from xcodec2.train.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from xcodec2.train.state import State

#: What says how long, where and how visibly a run goes, and changes none of its steps.
RUN = ("out", "steps", "device", "threads", "log_every", "save_every", "keep", "validate_every")
FREE = {f"run.{name}" for name in RUN} | {"data.valid", "data.valid_clips", "data.workers"}


def resume_state(state: State, saved: Mapping[str, Any], recipe: Recipe, previous: Path) -> None:
    """Load a checkpoint's state into that of the recipe; a warning names what differs.

    Args:
        state: As `starting_state` makes it.
        saved: The state's part of a checkpoint.
        recipe: Of now.
        previous: The resolved recipe of before, a file.

    Raises:
        TrainingError: The checkpoint holds other weights than the recipe trains.
    """
    changed = differences(previous, recipe)
    if reason := misfit(state, saved):
        because = f" ({'; '.join(changed)})" if changed else ""
        raise TrainingError(
            f"{previous.parent}: {reason}{because}: set that back, or choose another run.out"
        )
    state.load_state_dict(dict(saved))
    if changed and state.accelerator.is_main_process:
        warnings.warn(
            f"{previous.parent}: resumed with another recipe, so that the result is not that of "
            f"an uninterrupted run: {'; '.join(changed)}",
            stacklevel=2,
        )


def differences(previous: Path, recipe: Recipe) -> list[str]:
    """What of a run's steps was otherwise: "run.batch was 8 and is 4"."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no one can change that file now
            was = read_recipe(previous)
        before, now = (dict(_leaves(dataclasses.asdict(r), "")) for r in (was, recipe))
    except RecipeError as problem:
        return [f"the recipe of before cannot be compared: {problem}"]
    names = [name for name in before | now if name not in FREE]
    return [
        f"{name} was {_shown(before, name)} and is {_shown(now, name)}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def misfit(state: State, saved: Mapping[str, Any]) -> str | None:
    """Why the checkpoint's weights are not those that this state trains; None if they are."""
    mine, theirs = set(state.ema), set(saved["ema_weights"])
    if mine != theirs:
        more = _parts(mine - theirs)
        fewer = _parts(theirs - mine)
        said = [f"{more} did not learn before" if more else "", f"{fewer} learned" if fewer else ""]
        return (
            f"the checkpoint is of another set of trained weights: {', '.join(filter(None, said))}"
        )
    if (state.discriminators is not None) != ("discriminators" in saved):
        was, now = ("with", "without") if "discriminators" in saved else ("without", "with")
        return f"the checkpoint was trained {was} discriminators, the recipe is {now} them"
    current = state.state_dict()
    for kind in ("generator", "discriminators"):
        here, there = (_shapes(found.get(kind, {})) for found in (current, saved))
        if here != there:
            return f"weights of the {kind} differ: {_parts(dict(here.items() ^ there.items()))}"
    return None


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def _parts(names: Iterable[str]) -> str:
    """The parts of a model that parameters belong to, the wrapper's `codec.` left out."""
    return ", ".join(sorted({name.removeprefix("codec.").partition(".")[0] for name in names}))


def _leaves(values: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _shown(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return "not set" if value is None else repr(list(value) if isinstance(value, tuple) else value)
