"""A finished run that many tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from training import toy_recipe

from xcodec2.train.loop import train


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of recipe.toml, speech/ and run/, which is done: checkpoints of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("finished")
    train(toy_recipe(folder))
    return folder
