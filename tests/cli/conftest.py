"""What the tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """0.7 s at 22.05 kHz in stereo: rate and channels must be converted."""
    rng = np.random.default_rng(0)
    path = tmp_path / "speech.wav"
    soundfile.write(path, 0.1 * rng.standard_normal((15435, 2)), 22050)
    return path
