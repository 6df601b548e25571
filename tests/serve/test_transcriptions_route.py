"""Transcriptions: by the codes where a model reads them, else by a recognizer."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
import torch
from serving import LONG, clip, metric, running, streaming_codec, talker, wait_until

from xcodec2 import XCodec2Model, evaluators
from xcodec2.errors import EvaluatorError
from xcodec2.serve import create_app, searching
from xcodec2.serve.problems import ApiProblem
from xcodec2.transcribe import CtcConfig, CtcNetwork, Transcriber
from xcodec2.transcribe.formats import format_transcript

CODEC = streaming_codec()


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> tuple[str, Transcriber]:
    torch.manual_seed(1)
    config = CtcConfig(codebook_size=64, phones="ab", characters=" ab", width=16, blocks=1)
    transcriber = Transcriber(CtcNetwork(config).eval(), CODEC.identity)
    path = tmp_path_factory.mktemp("ctc") / "ctc.safetensors"
    transcriber.save(path)
    return str(path), transcriber


@pytest.fixture(scope="module")
def reading(reader):
    with running(create_app(None, CODEC, ctc=reader[0], warm=False)) as url:
        yield url


def ask(url: str, **fields):
    return httpx.post(
        f"{url}/v1/audio/transcriptions",
        data={"model": "whisper-1"} | fields,
        files={"file": ("a.wav", clip(1.5))},
        timeout=60,
    )


def test_all_forms_by_the_codes(reading, reader):
    expected = reader[1].transcribe(CODEC.encode(clip(1.5)))
    assert expected.words
    assert ask(reading).json() == {"text": expected.text, "model": "ctc-over-codes"}
    assert ask(reading, response_format="text").text == f"{expected.text}\n"
    for form in ("srt", "vtt"):
        assert ask(reading, response_format=form).text == format_transcript(expected, form)
    verbose = ask(
        reading, response_format="verbose_json", **{"timestamp_granularities[]": "word"}
    ).json()
    assert verbose["text"] == expected.text
    assert verbose["duration"] == 1.5
    assert verbose["model"] == "ctc-over-codes"
    assert [word["word"] for word in verbose["words"]] == [word.text for word in expected.words]


def test_a_stream_of_events(reading, reader):
    lines = ask(reading, stream="true").text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line]
    text = "".join(event["delta"] for event in events[:-1])
    assert events[-1]["type"] == "transcript.text.done"
    assert events[-1]["text"] == text


class Recognizer:
    name, implementation, languages = "Test", "1", frozenset({"en"})

    def transcribe(self, waveform) -> str:
        return f"{len(waveform)} samples"


def test_by_a_recognizer(monkeypatch):
    monkeypatch.setattr(evaluators, "asr", lambda name: Recognizer())
    with running(create_app(None, CODEC, warm=False)) as url:
        assert ask(url).json() == {"text": "24000 samples", "model": "moonshine"}
        verbose = ask(url, response_format="verbose_json").json()
        assert verbose["segments"][0]["end"] == 1.5
        assert verbose["language"] == "en"
        for fields, param in [
            ({"response_format": "srt"}, "response_format"),
            ({"language": "de"}, "language"),
            ({"response_format": "xml"}, "response_format"),
            ({"model": "gpt-5"}, "model"),
            ({"stream": "maybe"}, "stream"),
        ]:
            answer = ask(url, **fields)
            assert answer.status_code in (400, 404)
            assert answer.json()["error"]["param"] == param


def test_a_search_is_sent_as_events_too(reader):
    """The candidates are chosen by the model that reads codes."""
    body = {"input": "ab ba", "search": "best-of-2", "response_format": "pcm", "seed": 3}
    with running(create_app(talker(), ctc=reader[0], warm=False)) as url:
        whole = httpx.post(f"{url}/v1/audio/speech", json=body, timeout=60)
        assert whole.status_code == 200, whole.text
        answer = httpx.post(
            f"{url}/v1/audio/speech", json=body | {"stream_format": "sse"}, timeout=60
        )
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == whole.content
    assert done["usage"]["output_tokens"] > 0


def test_searches_among_codes_of_nano_are_judged_by_the_packages_own_model():
    def no_recognizer():
        raise EvaluatorError("none here")

    def service(codec):
        return SimpleNamespace(models=SimpleNamespace(ctc=None, codec=codec), asr=no_recognizer)

    assert searching.judge_of(service(XCodec2Model.from_pretrained("nano-24k"))).transcriber
    with pytest.raises(ApiProblem, match="nothing here can choose"):
        searching.judge_of(service(streaming_codec()))


def test_a_search_keeps_nobody_waiting(monkeypatch):
    """Neither texts of many pieces nor clips, though it takes minutes."""
    asked, chosen = threading.Event(), threading.Event()

    def choose(text, waveform, reference) -> float:
        asked.set()
        assert chosen.wait(60)
        return 0.0

    monkeypatch.setattr(searching, "judge_of", lambda service: choose)
    body = {"input": "ab ba", "search": "best-of-2", "response_format": "pcm"}
    with running(create_app(talker(), warm=False)) as url, ThreadPoolExecutor() as pool:
        search = pool.submit(httpx.post, f"{url}/v1/audio/speech", json=body, timeout=60)
        try:
            assert asked.wait(60)
            text = " ".join(["Old hat, new day, blue cup."] * 8)
            spoken = httpx.post(f"{url}/v1/audio/speech", json={"input": text}, timeout=20)
            codes = httpx.post(f"{url}/v1/audio/codes", content=clip(), timeout=20)
        finally:
            chosen.set()
        assert (spoken.status_code, codes.status_code) == (200, 200)
        assert search.result().status_code == 200


def test_a_search_ends_when_nobody_waits_for_it(reader):
    body = json.dumps(LONG | {"search": "best-of-4"}).encode()
    with running(create_app(talker(), ctc=reader[0], warm=False)) as url:

        def made() -> float:
            return metric(url, "xcodec2_generated_tokens_total")

        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as raw:
            head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: {host}:{port}\r\n"
            raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: made() > 0, 60)
        last = -1.0
        while made() != last:  # no longer than the step that is under way
            last = made()
            time.sleep(0.3)
        assert last < 4 * 1024  # one piece of the text has as many, and there are dozens
