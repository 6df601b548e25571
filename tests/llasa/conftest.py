"""What the tests of LLaSA share."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from talkers import small_codec


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_codec().save_pretrained(folder)
    return folder
