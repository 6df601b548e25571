"""Speech over HTTP: true streams, the same speech as in Python, and nothing left behind."""

from __future__ import annotations

import base64
import io
import itertools
import json
import socket
import threading
import time
from dataclasses import replace

import av
import httpx
import numpy as np
import pytest
import torch
from serving import (
    GREEDY,
    LONG,
    clip,
    metric,
    running,
    samples_of,
    streaming_codec,
    talker,
    wait_until,
)
from tiny import SPECTROGRAM, random_model

from xcodec2.errors import LlasaError
from xcodec2.llasa import Sampling, Speaker
from xcodec2.serve import Limits, create_app, engine
from xcodec2.streaming import push_all

SHORT = {"input": "red car.", "seed": 7}
PCM = {"response_format": "pcm", "sample_rate": 16_000}


def spoken(speaker, **options) -> np.ndarray:
    return speaker.speak("red car.", **options).waveform.clamp(-1, 1).numpy()


def test_what_is_sent_is_what_python_says(client, speaker):
    answer = client.post("/v1/audio/speech", json=SHORT | PCM)
    assert answer.headers["x-sample-rate"] == "16000"
    assert answer.headers["content-type"] == "audio/pcm"
    np.testing.assert_allclose(samples_of(answer.content), spoken(speaker, seed=7), atol=1e-4)


def test_a_text_of_many_pieces_is_spoken_in_one_voice(client, speaker):
    text = " ".join(["Old hat, new day, blue cup."] * 8)
    answer = client.post("/v1/audio/speech", json={"input": text, "seed": 3, "top_k": 9} | PCM)
    whole = speaker.speak(text, seed=3, sampling=Sampling(top_k=9))
    assert len(whole.pieces) > 1
    # as it comes, so neither silence nor loudness of a piece is known before it is sent
    expected = speaker.decode(whole.codes, None).clip(-1, 1)
    np.testing.assert_allclose(samples_of(answer.content), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("form", "kind", "container"),
    [
        ("mp3", "audio/mpeg", "mp3"),
        ("opus", "audio/ogg", "ogg"),
        ("aac", "audio/aac", "aac"),
        ("flac", "audio/flac", "flac"),
        ("wav", "audio/wav", "wav"),
    ],
)
def test_every_format_is_whole(client, speaker, form, kind, container):
    answer = client.post("/v1/audio/speech", json=SHORT | {"response_format": form})
    assert answer.headers["content-type"] == kind
    with av.open(io.BytesIO(answer.content)) as file:
        assert file.format.name == container
        frames = list(file.decode(audio=0))
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert seconds == pytest.approx(len(spoken(speaker, seed=7)) / 16_000, abs=0.15)


def test_pcm_is_at_24_khz_and_speed_changes_its_length(client, speaker):
    usual = client.post("/v1/audio/speech", json=SHORT | {"response_format": "pcm"})
    assert usual.headers["x-sample-rate"] == "24000"
    seconds = len(spoken(speaker, seed=7)) / 16_000
    assert len(usual.content) / 48_000 == pytest.approx(seconds, abs=0.01)
    for speed in (0.25, 2.0):
        other = client.post(
            "/v1/audio/speech", json=SHORT | {"response_format": "pcm", "speed": speed}
        )
        assert len(other.content) / 48_000 == pytest.approx(seconds / speed, abs=0.02)


def test_events_hold_the_same_sound_and_what_it_took(client, speaker):
    answer = client.post("/v1/audio/speech", json=SHORT | PCM | {"stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    *deltas, done = events
    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    codes = speaker.speak("red car.", seed=7).codes
    assert done["type"] == "speech.audio.done"
    usage = done["usage"]
    assert usage["output_tokens"] == len(codes)
    assert usage["total_tokens"] == usage["input_tokens"] + len(codes)
    np.testing.assert_allclose(samples_of(sound), spoken(speaker, seed=7), atol=1e-4)


def test_the_first_sound_comes_long_before_the_last_code(url):
    before = metric(url, "xcodec2_generated_tokens_total")
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=LONG | PCM) as answer:
        pieces = answer.iter_raw(1024)  # the connection ends with it
        next(pieces)
        made = metric(url, "xcodec2_generated_tokens_total") - before
    assert 0 < made < 5_000  # of 30,000


def test_a_client_that_leaves_ends_its_generation(url):
    for form in ("pcm", "mp3"):
        body = LONG | {"response_format": form}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body) as answer:
            next(answer.iter_raw(64))
        wait_until(lambda: metric(url, "xcodec2_generations") == 0)
        made = metric(url, "xcodec2_generated_tokens_total")
        time.sleep(0.2)
        assert metric(url, "xcodec2_generated_tokens_total") == made
    assert metric(url, "xcodec2_speech_streams") == 0
    assert metric(url, "xcodec2_cancelled_total") >= 2


def test_a_client_that_leaves_before_the_first_sound_ends_it_too(url):
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps(LONG).encode()
    with socket.create_connection((host, int(port))) as raw:
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {host}:{port}\r\n"
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    wait_until(lambda: metric(url, "xcodec2_speech_streams") == 0)
    assert metric(url, "xcodec2_generations") == 0


def test_many_at_once_get_what_each_gets_alone(url, speaker):
    got: dict[int, np.ndarray] = {}

    def ask(seed: int) -> None:
        body = {"input": "red car.", "seed": seed} | PCM
        got[seed] = samples_of(httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60).content)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(6):
        np.testing.assert_allclose(got[seed], spoken(speaker, seed=seed), atol=1e-4)


def test_a_slow_reader_holds_nobody_up(url):
    """Its place at the language model is free when all is generated, not when all is read."""
    with httpx.stream("POST", f"{url}/v1/audio/speech", json=GREEDY | PCM, timeout=60) as slow:
        pieces = slow.iter_raw(64)  # the connection ends with it
        next(pieces)
        other = httpx.post(f"{url}/v1/audio/speech", json=SHORT | PCM, timeout=60)
        assert other.status_code == 200
        wait_until(lambda: metric(url, "xcodec2_generations") == 0, 60)


def test_a_full_queue_says_when_to_come_back():
    limits = Limits(max_queue=0, max_streams=1)
    with running(create_app(talker(), limits=limits, warm=False)) as url:
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=LONG | PCM) as first:
            pieces = first.iter_raw(64)  # the connection ends with it
            next(pieces)
            second = httpx.post(f"{url}/v1/audio/speech", json=SHORT)
            assert second.status_code == 429
            assert int(second.headers["retry-after"]) > 0
            assert second.json()["error"]["code"] == "queue_full"
        wait_until(lambda: metric(url, "xcodec2_speech_streams") == 0)
        assert httpx.post(f"{url}/v1/audio/speech", json=SHORT, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": "?!"}, 400, "input"),
        ({"input": "x" * 4097}, 400, "input"),
        ({"input": "red <|s_1|>"}, 400, "input"),
        ({"input": "red", "speed": 5}, 400, "speed"),
        ({"input": "red", "response_format": "au"}, 400, "response_format"),
        ({"input": "red", "stream_format": "x"}, 400, "stream_format"),
        ({"input": "red", "sample_rate": 7}, 400, "sample_rate"),
        ({"input": "red", "temperature": -1}, 400, "temperature"),
        ({"input": "red", "seed": 1 << 63}, 400, "seed"),
        ({"input": "red", "model": "gpt-5"}, 404, "model"),
        ({"input": "red", "voice": "nobody"}, 400, "voice"),
        ({"input": "red", "voice": {"id": "../etc"}}, 400, "voice"),
        ({"input": "red", "search": "best"}, 400, "search"),
        ({"input": "red", "search": "best-of-2"}, 400, "search"),
        ({"input": "red", "ref_audio": "data:,"}, 400, "ref_text"),
        ({"input": "red", "ref_audio": "data:;base64,!", "ref_text": "Hi."}, 400, "ref_audio"),
    ],
)
def test_requests_that_are_refused(client, body, status, param):
    answer = client.post("/v1/audio/speech", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_what_is_known_elsewhere_is_accepted(client):
    body = SHORT | {"model": "tts-1", "voice": "alloy", "instructions": "sing", "unknown": 1} | PCM
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200
    assert answer.headers["x-ignored"] == "instructions"
    assert "own voice" in answer.headers["x-voice-note"]


def test_a_clip_inside_the_request_is_the_voice(client, speaker):
    content = clip(1.5)
    url = f"data:audio/wav;base64,{base64.b64encode(content).decode()}"
    body = SHORT | PCM | {"ref_audio": url, "ref_text": "old hat"}
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    voice = speaker.voice(io.BytesIO(content), "old hat")
    expected = spoken(speaker, seed=7, voice=voice)
    np.testing.assert_allclose(samples_of(answer.content), expected, atol=1e-4)


def test_a_model_of_one_voice_says_so():
    with running(create_app(talker(one_voice=True), warm=False)) as url:
        answer = httpx.post(f"{url}/v1/audio/speech", json=SHORT | {"voice": "anybody"}, timeout=60)
    assert answer.status_code == 200
    assert "one voice" in answer.headers["x-voice-note"]


def test_a_model_elsewhere_is_not_listened_to_any_longer():
    class Endless:
        """A back end as of a server: one code after the other, until it is closed."""

        def __init__(self, inner):
            self.name, self.prompts, self.metadata = "endless", inner.prompts, inner.metadata
            self.context, self.closed = inner.context, threading.Event()

        def stream(self, prompt, seed, sampling):
            try:
                while True:
                    time.sleep(0.001)
                    yield 1
            finally:
                self.closed.set()

    backend = Endless(talker().backend)
    app = create_app(Speaker(backend, streaming_codec()), warm=False)
    with running(app) as url:
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=SHORT | PCM) as answer:
            pieces = answer.iter_raw(64)  # the connection ends with it
            next(pieces)
            assert not backend.closed.is_set()
        assert backend.closed.wait(10)
        assert metric(url, "xcodec2_generations") == 0


def test_a_text_of_many_pieces_is_spoken_by_a_model_elsewhere():
    """Whose server says that a piece has ended a while behind its last code."""

    class Hesitant:
        """Three codes a piece, and then nothing for a while."""

        def __init__(self, inner):
            self.name, self.prompts, self.metadata = "hesitant", inner.prompts, inner.metadata
            self.context, self.pieces = inner.context, 0

        def stream(self, prompt, seed, sampling):
            self.pieces += 1
            yield from range(3)
            time.sleep(0.1)
            return True

    backend = Hesitant(talker().backend)
    with running(create_app(Speaker(backend, streaming_codec()), warm=False)) as url:
        text = " ".join(["Old hat, new day, blue cup."] * 8)
        answer = httpx.post(f"{url}/v1/audio/speech", json={"input": text} | PCM, timeout=20)
    assert backend.pieces > 1
    assert len(answer.content) == 2 * 320 * 3 * backend.pieces


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (LlasaError("the server ended the answer early"), "ended the answer early"),
        (RuntimeError("/secret/path"), "the language model failed"),
    ],
)
def test_a_model_that_fails_midway_is_told_and_frees_its_place(fault, said):
    class Broken:
        """Gives some codes, then nothing but an error."""

        def __init__(self, inner):
            self.name, self.prompts, self.metadata = "broken", inner.prompts, inner.metadata
            self.context = inner.context

        def stream(self, prompt, seed, sampling):
            yield from range(40)
            raise fault

    broken = Speaker(Broken(talker().backend), streaming_codec())
    with running(create_app(broken, warm=False)) as url:
        sse = httpx.post(f"{url}/v1/audio/speech", json=SHORT | PCM | {"stream_format": "sse"})
        last = json.loads(sse.text.splitlines()[-2][6:])
        assert last["type"] == "speech.audio.error"
        assert said in last["error"]["message"]
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(f"{url}/v1/audio/speech", json=SHORT | PCM)
        assert metric(url, "xcodec2_speech_streams") == 0


@pytest.mark.parametrize("finite", [True, False])
def test_codecs_that_see_far_and_codecs_that_do_not(finite):
    """One computes each frame once, the other overlapping windows; both as Python streams."""
    codec = streaming_codec() if finite else random_model(replace(SPECTROGRAM, levels=(4, 4, 4)))
    assert (codec.receptive_field is not None) == finite
    speaker = talker(codec)
    expected = torch.cat(list(speaker.stream("red car.", seed=7))).clamp(-1, 1).numpy()
    with running(create_app(speaker, warm=False)) as url:
        body = SHORT | PCM | {"sample_rate": codec.sample_rate}
        spoken = httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60)
        codes = httpx.post(f"{url}/v1/audio/codes", content=clip(), timeout=60).json()
        assert codes["codes"] == codec.encode(clip()).codes.tolist()
        sound = httpx.post(f"{url}/v1/audio/decode", json=codes, timeout=60)
        assert len(sound.content) == 44 + 2 * 24_000
    np.testing.assert_allclose(samples_of(spoken.content), expected, atol=1e-4)


def test_a_fault_of_the_codec_midway_is_told_as_an_event(monkeypatch):
    """And says nothing of this machine."""
    turns = itertools.count()

    def push(sessions, chunks):
        if next(turns) > 40:
            raise RuntimeError("/secret/path")
        return push_all(sessions, chunks)

    monkeypatch.setattr(engine, "push_all", push)
    with running(create_app(talker(), warm=False)) as url:
        body = LONG | PCM | {"stream_format": "sse"}
        answer = httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60)
        assert answer.status_code == 200
        *_, last = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
        assert last["type"] == "speech.audio.error"
        assert last["error"]["message"] == "internal error"
        assert "secret" not in answer.text
