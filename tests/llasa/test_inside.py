"""The LLaSA inside, as the command uses it by default: it begins to sound early, its streams are
what it speaks, and the CTC model inside reads that.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xcodec2 import XCodec2Model
from xcodec2.evaluators.text import character_errors
from xcodec2.llasa import Search
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_lm
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import CtcVerifier
from xcodec2.llasa.voices import preset_store, voice_of
from xcodec2.transcribe import Transcriber


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


def test_the_ctc_model_inside_reads_what_is_said_and_chooses_in_searches(speaker):
    text, other = "The children built a tent out of old blankets.", "Nobody told us that before."
    spoken = speaker.speak(text, search=Search("best-of", 3), seed=5)
    candidates, verifier = spoken.searches[0].candidates, CtcVerifier()
    assert len({tuple(item.codes) for item in candidates}) == 3  # though one draw is the likeliest
    scores = [verifier.score_codes(text, item.codes) for item in candidates]
    assert [item.score for item in candidates] == scores == sorted(scores, reverse=True)
    assert scores[0] > verifier.score_codes(other, candidates[0].codes) + 1
    errors = character_errors(text, Transcriber.load().transcribe(spoken.codes).text)
    assert errors.wrong < 0.35 * errors.total


def pitch(samples: np.ndarray, rate: int) -> float:
    """The median of what repeats most strongly in 40 ms, of 70 to 400 Hz, in Hz."""
    width, (longest, shortest) = int(0.04 * rate), (rate // 70, rate // 400)
    found = []
    for frame in samples[: len(samples) // width * width].reshape(-1, width):
        if np.abs(frame).max() < 0.1 * np.abs(samples).max():
            continue
        products = np.correlate(frame, frame, "full")[width - 1 :]
        products = products / np.arange(width, 0, -1)  # of so many samples
        lag = shortest + int(products[shortest:longest].argmax())
        if products[lag] > 0.4 * products[0]:
            found.append(rate / lag)
    return float(np.median(found))


def test_the_presets_are_voices_of_their_own(speaker):
    text = "The weather will be fine in the morning, and it may rain later on in the evening."
    presets = preset_store(None)
    assert presets.ids() == ["bright", "deep", "low"]
    found = {}
    for name in (None, *presets.ids()):
        voice = voice_of(presets.load(name), speaker) if name else None
        spoken = speaker.speak(text, voice=voice, sampling=Sampling(temperature=0))
        assert all(candidate.finished for _, candidate in spoken.pieces)
        found[name] = pitch(spoken.samples, speaker.codec.sample_rate)
    # as the corpus bends them: by 0.55, 0.7 and 1.25
    assert 0.47 < found["deep"] / found[None] < 0.63
    assert 0.63 < found["low"] / found[None] < 0.8
    assert 1.12 < found["bright"] / found[None] < 1.4
