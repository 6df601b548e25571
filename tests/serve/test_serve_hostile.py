"""What strangers send: nothing of it is a 500, and nothing of it stays."""

from __future__ import annotations

import gc
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import psutil
import pytest
from serving import LONG, clip, metric, running, streaming_codec, wait_until

from xcodec2.serve import Limits, create_app, uploads

SOUNDS = [("WAV", 16_000), ("FLAC", 16_000), ("OGG", 16_000), ("MP3", 16_000), ("CAF", 8_000)]


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Cut, with bytes changed, doubled or lost."""
    data = bytearray(content)
    for _ in range(draw.choice([1, 3, 30])):
        place = draw.randrange(len(data))
        kind = draw.randrange(4)
        if kind == 0:
            data[place] = draw.randrange(256)
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(64)))
        else:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.slow
def test_a_thousand_damaged_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    app = create_app(None, streaming_codec(), limits=Limits(readers=1), warm=False)
    with running(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        send_damaged(client)
        assert not list(tmp_path.iterdir())


def send_damaged(client: httpx.Client) -> None:
    draw = random.Random(0)
    files = [clip(0.5, rate, form) for form, rate in SOUNDS]
    process, largest = psutil.Process(), 0
    for number in range(1000):
        if number == 200:  # by now each route has loaded what it needs
            gc.collect()
            largest = process.memory_info().rss
        content = damaged(draw.choice(files), draw)
        path = ("codes", "decode", "transcriptions")[number % 7 % 3]
        sent = {"files": {"file": ("a.wav", content)}} if number % 2 else {"content": content}
        answer = client.post(f"/v1/audio/{path}", **sent)
        assert answer.status_code < 500, answer.text
        if answer.status_code != 200:
            assert answer.json()["error"]["message"]
    gc.collect()
    assert process.memory_info().rss < largest + (64 << 20)


def test_a_file_that_kills_its_reader_is_one_refusal():
    """The next upload gets a new process."""
    app = create_app(None, streaming_codec(), limits=Limits(readers=1), warm=False)
    with running(app) as url:

        def send() -> int:
            return httpx.post(f"{url}/v1/audio/codes", content=clip(), timeout=60).status_code

        assert send() == 200
        readers = app.state.service.readers
        process = readers.children[0].process
        process.send_signal(signal.SIGSTOP)  # as an upload that keeps it busy
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(send)
            wait_until(readers.idle.empty)
            process.kill()
            assert answer.result() == 415
        assert metric(url, "xcodec2_upload_reader_deaths_total") == 1
        assert send() == 200


def test_a_file_that_takes_too_long_is_refused(monkeypatch):
    app = create_app(None, streaming_codec(), limits=Limits(readers=1), warm=False)
    with running(app) as url:
        send = partial(httpx.post, f"{url}/v1/audio/codes", content=clip(), timeout=60)
        assert send().status_code == 200
        monkeypatch.setattr(uploads, "TIME_LIMIT", 0.1)
        app.state.service.readers.children[0].process.send_signal(signal.SIGSTOP)
        answer = send()
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "file")
        assert metric(url, "xcodec2_upload_reader_deaths_total") == 1


def test_a_reader_starts_without_pytorch():
    """A crash costs as long as the next one takes to start."""
    code = "import sys, xcodec2.serve.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_hang_ups_at_random_moments_leave_nothing(url):
    draw = random.Random(1)

    def leave(wait: float, form: str) -> None:
        body = LONG | {"response_format": form}
        try:
            with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=wait) as answer:
                for _ in answer.iter_raw():
                    pass
        except httpx.HTTPError:
            pass

    threads = [
        threading.Thread(
            target=leave, args=(draw.uniform(0.01, 1.0), draw.choice(["pcm", "mp3", "opus"]))
        )
        for _ in range(40)
    ]
    for thread in threads:
        thread.start()
        time.sleep(draw.uniform(0, 0.1))
    for thread in threads:
        thread.join()
    wait_until(lambda: metric(url, "xcodec2_speech_streams") == 0, 30)
    assert metric(url, "xcodec2_generations") == 0
    made = metric(url, "xcodec2_generated_tokens_total")
    time.sleep(0.5)
    assert metric(url, "xcodec2_generated_tokens_total") == made


@pytest.mark.slow
def test_schemathesis_finds_no_500(url):
    import schemathesis
    from hypothesis import HealthCheck, given, settings

    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        def no_500(case) -> None:
            answer = case.call(base_url=url, timeout=60)
            if answer.status_code >= 500:
                found.append(f"{case.method} {case.path}: {answer.text[:200]}")

        no_500()
    assert not found


@pytest.mark.slow
def test_memory_does_not_grow_with_requests(url):
    """2,000 requests of all kinds, some of them left: within 5 % of what 200 took."""
    process = psutil.Process()
    sizes = {}
    with httpx.Client(base_url=url, timeout=60) as client:
        content, body = clip(), {"input": "red car.", "voice": "default"}
        codes = client.post("/v1/audio/codes", content=content).json()
        for number in range(2000):
            kind = number % 10
            if kind < 5:
                answer = client.post("/v1/audio/codes", content=content)
            elif kind < 7:
                answer = client.post("/v1/audio/decode?response_format=opus", json=codes)
            elif kind < 9:
                form = ("mp3", "flac", "pcm")[number % 3]
                answer = client.post(
                    "/v1/audio/speech", json=body | {"response_format": form, "seed": number}
                )
            else:
                with client.stream("POST", "/v1/audio/speech", json=LONG) as answer:
                    next(answer.iter_raw(64))
            assert answer.status_code == 200
            if number + 1 in (200, 2000):
                gc.collect()
                sizes[number + 1] = process.memory_info().rss
    assert sizes[2000] < 1.05 * sizes[200], sizes
