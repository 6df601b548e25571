"""What the tests of corpora share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from manifests import SOUND, wav


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wavs").mkdir()
    (tmp_path / "a.wav").write_bytes(wav(SOUND))
    (tmp_path / "two.wav").write_bytes(wav(np.stack([SOUND, -SOUND], 1)))
    for n in (1, 2):
        (tmp_path / "wavs" / f"LJ001-000{n}.wav").write_bytes(wav(SOUND[: 1_000 * n]))
    return tmp_path
