"""What programs of others send, as the guide tells it."""

from __future__ import annotations

from importlib.util import find_spec

import openai
import pytest
from serving import clip

OPEN_WEBUI = {"model": "tts-1", "input": "red car.", "voice": "alloy"}
OPENAI_TTS = OPEN_WEBUI | {"response_format": "mp3", "speed": 1.0}


@pytest.mark.parametrize("body", [OPEN_WEBUI, OPEN_WEBUI | {"seed": 7}, OPENAI_TTS])
def test_speech_for_open_webui_and_home_assistant(client, body):
    headers = {"Authorization": "Bearer any", "X-OpenWebUI-User-Name": "Anna"}
    answer = client.post("/v1/audio/speech", json=body, headers=headers)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert len(answer.content) > 1000


def test_lists_for_open_webui(client):
    assert client.get("/v1/audio/models").json()["models"][0]["id"]
    voices = client.get("/v1/audio/voices").json()["voices"]
    assert {voice["id"]: voice["name"] for voice in voices}["default"]


@pytest.mark.parametrize("form", ["pcm", "mp3", "wav"])
def test_speech_for_livekit_and_wyoming_openai(url, form):
    ai = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    with ai.audio.speech.with_streaming_response.create(
        input="red car.",
        model="gpt-4o-mini-tts",
        voice="ash",
        response_format=form,
        speed=1.0,
        instructions="None",
    ) as answer:
        assert answer.request_id  # which LiveKit keeps
        assert len(b"".join(answer.iter_bytes(2048))) > 1000


def test_fields_that_clients_leave_to_the_server_as_null(client):
    nothing = ("voice", "response_format", "speed", "stream_format", "instructions", "seed")
    answer = client.post("/v1/audio/speech", json={"input": "red car."} | dict.fromkeys(nothing))
    assert answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.skipif(
    not find_spec("openai.resources.audio.voices"), reason="this openai's client has no voices"
)
def test_a_voice_by_openais_own_client(url, client):
    ai = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    form = {"name": "Berta", "audio_sample": ("berta.wav", clip()), "consent": "It is me."}
    with pytest.raises(openai.BadRequestError) as refused:
        ai.audio.voices.create(**form)
    assert refused.value.param == "ref_text"
    voice = ai.audio.voices.create(**form, extra_body={"ref_text": "red car"})
    assert (voice.id, voice.name, voice.object) == ("berta", "Berta", "audio.voice")
    speech = ai.audio.speech.create(model="tts-1", voice={"id": "berta"}, input="red car.")
    assert speech.response.headers["x-voice"] == "berta"
    assert client.delete("/v1/audio/voices/berta").json()["deleted"]
