"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import random_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that loads in a moment; its codes are real, its speech is noise."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model().save_pretrained(folder)
    return folder
