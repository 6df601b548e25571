"""What several test files share.

Imports of PyTorch are inside of the fixtures: the process that hands out the tests to others reads
this file too, and starts them afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from once import once
from paths import GOLDENS

if TYPE_CHECKING:
    from torch import Tensor


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that loads in a moment; its codes are real, its speech is noise."""
    from tiny import random_model

    folder = tmp_path_factory.mktemp("models") / "tiny"
    random_model().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model's folder: it has learned five utterances of talkers.py by heart."""
    from talkers import teach

    return once("taught", teach, tmp_path_factory)


@pytest.fixture(scope="session")
def published() -> dict[str, Tensor]:
    """A small checkpoint exactly as the original package publishes its own."""
    from safetensors.torch import load_file

    tensors = load_file(GOLDENS / "original_xcodec2.safetensors")
    return {
        k.removeprefix("weights/"): t.float()
        for k, t in tensors.items()
        if k.startswith("weights/")
    }


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations write an empty report: of a small one, its drawings take most of the time."""
    from xcodec2.evaluate import evaluation

    monkeypatch.setattr(evaluation, "page", lambda *args, **options: "")
