"""A finished run that many tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from once import once


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of recipe.toml, speech/ and run/, which is done: checkpoints of steps 4 and 6."""

    def make(folder: Path) -> Path:
        from training import toy_recipe

        from xcodec2.train.loop import train

        train(toy_recipe(folder))
        return folder

    return once("finished", make, tmp_path_factory)
