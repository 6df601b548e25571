"""What a run must not lose: everything that the next step depends on, in one file, written whole or
not at all.

Random numbers are not part of it: every step seeds them from its own number.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import torch

from xcodec2.errors import TrainingError
from xcodec2.files import replacing

# Parts of a checkpoint's state by their names of before; runs that have begun then are resumed.
RENAMED_PARTS = {
    "optimiser": "optimizer",
    "discriminator_optimiser": "discriminator_optimizer",
    "average": "ema_weights",
}
NAME = re.compile(r"step-(\d{8})\.pt")


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write a checkpoint, then delete all but the newest ones.

    Args:
        folder: Of the run's checkpoints; it is made.
        step: Number of steps that are done.
        state: Tensors, numbers and texts in dicts and lists.
        keep: How many checkpoints stay.

    Returns:
        The checkpoint's file.

    Raises:
        TrainingError: The disk is full; earlier checkpoints are left as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    try:
        with replacing(path, TrainingError) as file:
            torch.save(state, file)
    except RuntimeError as problem:  # what torch makes of a failed write
        free = shutil.disk_usage(folder).free
        raise TrainingError(
            f"{path}: cannot be written, {free / 1e6:.0f} MB are free; earlier checkpoints are "
            "kept: make room and go on with --resume"
        ) from problem
    for old in checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Files of the whole checkpoints in a folder, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name))


def load_newest(folder: Path) -> dict[str, Any]:
    """The content of the newest checkpoint, with its parts as they are called now.

    Args:
        folder: Of the run's checkpoints.

    Raises:
        TrainingError: There is none, or it is damaged.
    """
    found = checkpoints(folder)
    if not found:
        raise TrainingError(f"{folder}: holds no checkpoint to resume from")
    try:
        content: dict[str, Any] = torch.load(found[-1], map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged file raises whatever its bytes happen to say
        raise TrainingError(
            f"{found[-1]}: is damaged; delete it to go on from the checkpoint before it"
        ) from problem
    if isinstance(content.get("state"), dict):
        content["state"] = {
            RENAMED_PARTS.get(name, name): part for name, part in content["state"].items()
        }
    return content
