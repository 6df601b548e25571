"""What takes seconds to make and is only read: made by the first test process that needs it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def once(name: str, make: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make` returned when it was called, in one of the processes, with a new folder.

    Args:
        name: Of the folder.
        make: Writes into it and returns a path.
        tmp_path_factory: pytest's.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each process has a folder of its own in the one of the run
    made = base / f"{name}.path"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            folder = base / name
            folder.mkdir()
            made.write_text(str(make(folder)))
    return Path(made.read_text())
