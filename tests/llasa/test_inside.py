"""The LLaSA inside, as the command uses it by default: it begins to sound early, and its streams
are what it speaks.
"""

from __future__ import annotations

import pytest
import torch

from xcodec2 import XCodec2Model
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_lm
from xcodec2.llasa.speaker import Speaker

STATED = 8.7  # dB of streamed to offline decoding, docs/guides/llasa.md


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(InProcess(load_lm(None)), XCodec2Model.from_pretrained("nano"))


@pytest.mark.parametrize(
    "text", ["They have been carried away by monkeys", "Your passwords have been changed."]
)
def test_a_stream_begins_before_15_percent_and_sounds_like_the_whole(speaker, text, monkeypatch):
    codes, chunks, first = [], [], 0
    inner = speaker.backend.stream

    def counted(*args):
        for code in inner(*args):
            codes.append(code)
            yield code
        return True

    monkeypatch.setattr(speaker.backend, "stream", counted)
    for chunk in speaker.stream(text, sampling=Sampling(temperature=0)):
        first = first or len(codes)
        chunks.append(chunk)
    assert 0 < first < 0.15 * len(codes)
    streamed, whole = torch.cat(chunks), speaker.codec.decode(torch.tensor(codes))
    assert streamed.shape == whole.shape
    error = (streamed - whole).square().sum()
    assert 10 * torch.log10(whole.square().sum() / error) > STATED
