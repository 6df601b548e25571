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


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    return Speaker(InProcess(load_lm(None)), XCodec2Model.from_pretrained("nano"))


@pytest.mark.parametrize(
    "text", ["The train to the coast leaves at nine.", "Dr. Smith paid $12.50 for two loaves."]
)
def test_a_stream_begins_before_20_percent_and_is_the_whole(speaker, text, monkeypatch):
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
    assert 0 < first < 0.2 * len(codes)
    streamed, whole = torch.cat(chunks), speaker.codec.decode(torch.tensor(codes))
    assert streamed.shape == whole.shape
    assert (streamed - whole).abs().max() < 1e-5 * whole.abs().max()
