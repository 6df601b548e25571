"""What several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from paths import GOLDENS
from safetensors.torch import load_file
from tiny import random_model
from torch import Tensor


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that loads in a moment; its codes are real, its speech is noise."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model's folder: it has learned five utterances of talkers.py by heart."""
    from talkers import teach

    return teach(tmp_path_factory.mktemp("taught"))


@pytest.fixture(scope="session")
def published() -> dict[str, Tensor]:
    """A small checkpoint exactly as the original package publishes its own."""
    tensors = load_file(GOLDENS / "original_xcodec2.safetensors")
    return {
        k.removeprefix("weights/"): t.float()
        for k, t in tensors.items()
        if k.startswith("weights/")
    }
