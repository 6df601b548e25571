"""The real client of OpenAI, against the routes that it knows."""

from __future__ import annotations

import io

import openai
import pytest
import soundfile
from serving import LONG, clip, metric, wait_until


@pytest.fixture
def ai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)


SPEAK = {"model": "tts-1", "voice": "alloy", "input": "red car.", "extra_body": {"seed": 7}}


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech_in_six_formats(ai, form):
    content = ai.audio.speech.create(**SPEAK, response_format=form).content
    assert len(content) > 1000
    if form in ("mp3", "opus"):
        assert soundfile.read(io.BytesIO(content))[0].size > 1000


def test_streamed_bytes_and_one_that_leaves(ai, url):
    with ai.audio.speech.with_streaming_response.create(**SPEAK, response_format="wav") as answer:
        pieces = list(answer.iter_bytes(1024))
    assert len(pieces) > 3
    long = SPEAK | {"input": LONG["input"], "extra_body": {"temperature": 0}}
    with ai.audio.speech.with_streaming_response.create(**long, response_format="pcm") as answer:
        next(answer.iter_bytes(512))
    wait_until(lambda: metric(url, "xcodec2_speech_streams") == 0)


def test_events(ai):
    with ai.audio.speech.with_streaming_response.create(**SPEAK, stream_format="sse") as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert "speech.audio.delta" in lines[0]
    assert "speech.audio.done" in lines[-1]


def test_models(ai):
    names = [model.id for model in ai.models.list()]
    assert names[0] == "babble"
    assert ai.models.retrieve("tts-1").owned_by == "open-xcodec2"
    with pytest.raises(openai.NotFoundError) as refused:
        ai.models.retrieve("gpt-5")
    assert refused.value.code == "model_not_found"


def test_errors_are_its_own(ai):
    with pytest.raises(openai.BadRequestError) as refused:
        ai.audio.speech.create(**(SPEAK | {"input": ""}))
    assert refused.value.param == "input"
    assert refused.value.code == "bad_request"
    assert "at least 1 character" in refused.value.message
    with pytest.raises(openai.NotFoundError):
        ai.audio.speech.create(**(SPEAK | {"model": "gpt-5"}))
    with pytest.raises(openai.BadRequestError) as refused:
        ai.audio.transcriptions.create(model="whisper-1", file=("a.wav", clip()))
    assert refused.value.code == "no_recognizer"


def test_a_wrong_key_and_a_full_queue_are_its_own_errors():
    from serving import running, streaming_codec

    from xcodec2.serve import create_app

    with running(create_app(None, streaming_codec(), keys=["the-key"], warm=False)) as url:
        wrong = openai.OpenAI(base_url=f"{url}/v1", api_key="other", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            wrong.models.list()
        right = openai.OpenAI(base_url=f"{url}/v1", api_key="the-key", max_retries=0)
        assert right.models.list().data
