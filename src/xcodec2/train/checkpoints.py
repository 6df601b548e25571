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

NAME = re.compile(r"step-(\d{8})\.pt")


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint behind `step` steps, then delete all but the newest `keep`.

    A full disk raises TrainingError and leaves the earlier checkpoints as they are.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    try:
        with replacing(path, TrainingError) as file:
            torch.save(state, file)
    except RuntimeError as problem:  # what torch makes of a failed write
        free = shutil.disk_usage(folder).free
        raise TrainingError(
            f"{path}: cannot be written, {free / 1e6:.0f} MB are free; earlier checkpoints are kept: "
            "make room and go on with --resume"
        ) from problem
    for old in checkpoints(folder)[:-keep]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Whole ones, oldest first."""
    return sorted(path for path in folder.glob("step-*.pt") if NAME.fullmatch(path.name))


def load_newest(folder: Path) -> dict[str, Any]:
    found = checkpoints(folder)
    if not found:
        raise TrainingError(f"{folder}: holds no checkpoint to resume from")
    try:
        return torch.load(found[-1], map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged file raises whatever its bytes happen to say
        raise TrainingError(
            f"{found[-1]}: is damaged; delete it to go on from the checkpoint before it"
        ) from problem
