"""What the tests of extraction share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from extraction import Inline, make_corpus

from xcodec2.extract import run


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 20, 0.2, 0.8)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Inline:
    threads = torch.get_num_threads()
    engine = Inline()
    monkeypatch.setattr(run, "start", engine.start)
    yield engine
    torch.set_num_threads(threads)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
