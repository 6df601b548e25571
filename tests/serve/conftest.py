"""One server that most tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from serving import running, talker

from xcodec2 import evaluators
from xcodec2.errors import EvaluatorError
from xcodec2.llasa import Speaker
from xcodec2.serve import Limits, create_app

RECOGNIZER = "no-such/recognizer"


@pytest.fixture(scope="session")
def speaker() -> Speaker:
    return talker()


@pytest.fixture(scope="session")
def url(speaker: Speaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("voices")

    installed = evaluators.asr

    def asr(name: str) -> Any:
        if name == RECOGNIZER:
            raise EvaluatorError("not installed")
        return installed(name)

    limits = Limits(readers=1)
    app = create_app(speaker, voices_folder=folder, recognizer=RECOGNIZER, limits=limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluators, "asr", asr)
        with running(app) as address:
            yield address


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as found:
        yield found
