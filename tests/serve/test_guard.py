"""Who may come in, and what is said of them in the log."""

from __future__ import annotations

import contextlib
import logging
import socket
import time

import httpx
import numpy as np
import pytest
from serving import metric, running, streaming_codec, talker, wait_until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from xcodec2.serve import Limits, create_app

KEY, OTHER = "a-key-of-ours", "another-key"


@pytest.fixture(scope="module")
def locked():
    app = create_app(
        None, streaming_codec(), keys=[KEY, OTHER], cors=["https://page.example"], warm=False
    )
    with running(app) as url:
        yield url


@pytest.fixture(scope="module")
def named():
    with running(create_app(None, streaming_codec(), hosts=["127.0.0.1"], warm=False)) as url:
        yield url


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER}], ids=["bearer", "header"]
)
def test_a_key_opens(locked, headers):
    assert httpx.get(f"{locked}/v1/models", headers=headers).status_code == 200
    assert httpx.get(f"{locked}/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer a-key"}, {"Authorization": KEY}, {"X-API-Key": "ü"}],
    ids=["none", "part", "no scheme", "odd"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/metrics"])
def test_without_it_nothing_opens(locked, headers, path):
    headers = {name: value.encode() for name, value in headers.items()}
    answer = httpx.get(f"{locked}{path}", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_page_and_health_need_none(locked):
    assert httpx.get(locked).headers["content-type"].startswith("text/html")
    assert httpx.get(f"{locked}/health").json()["status"] == "ok"
    assert httpx.get(f"{locked}/openapi.json").json()["paths"]["/v1/audio/codes"]


def test_a_websocket_needs_a_key_too(locked):
    address = f"{locked.replace('http', 'ws', 1)}/v1/realtime/codec"
    with pytest.raises(InvalidStatus) as refused:
        connect(address)
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as refused:
        connect(address.replace("codec", "nothing"), additional_headers={"X-API-Key": KEY})
    assert refused.value.response.status_code == 403
    with connect(address, subprotocols=["codec", f"openai-insecure-api-key.{KEY}"]) as socket:
        assert socket.subprotocol == "codec"


def test_pages_of_elsewhere_may_not_call(locked):
    headers = {"X-API-Key": KEY}
    for origin, status in {
        "https://evil.example": 403,
        "null": 403,
        "https://page.example": 200,
        locked: 200,
    }.items():
        answer = httpx.get(f"{locked}/v1/models", headers=headers | {"Origin": origin})
        assert answer.status_code == status, origin
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{locked}/v1/audio/speech", headers=asked)
    assert preflight.headers["access-control-allow-origin"] == "https://page.example"


@pytest.mark.parametrize("host", ["evil.example", "[", "[::1", "127.0.0.1.evil.example", ""])
def test_a_name_that_is_not_ours_is_refused(named, host):
    """A page can let its own name point at loopback."""
    answer = httpx.get(f"{named}/v1/models", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "", "null"])
def test_an_origin_that_is_none_is_refused(named, origin):
    answer = httpx.get(f"{named}/v1/models", headers={"Origin": origin})
    assert answer.status_code == 403


def test_one_line_a_request_without_its_text(caplog):
    caplog.set_level(logging.INFO, "xcodec2.serve")
    with running(create_app(talker(), warm=False)) as url:
        answer = httpx.post(
            f"{url}/v1/audio/speech", json={"input": "blue cup.", "seed": 7}, timeout=60
        )
        httpx.get(f"{url}/v1/audio/voices/secret-name")
    told = caplog.messages[caplog.messages.index("ready") :]  # another server may be ending
    lines = [line for line in told if "id=" in line and "/health" not in line]
    assert len(lines) == 2
    assert f"id={answer.headers['x-request-id']}" in lines[0]
    for part in ("POST /v1/audio/speech", "status=200", "first_sound=", "audio=", "tokens="):
        assert part in lines[0]
    assert "status=404" in lines[1]
    assert "cup" not in caplog.text
    assert "secret-name" not in caplog.text


def test_streams_of_clients_are_counted(url, caplog):
    """Codes that come and codes that go, in the log and in the counters."""
    caplog.set_level(logging.INFO, "xcodec2.serve")
    counter = 'xcodec2_audio_seconds_total{direction="%scoded"}'
    before = [metric(url, counter % way) for way in ("en", "de")]
    headers = {"Content-Type": "application/x-ndjson"}
    httpx.post(f"{url}/v1/audio/decode", content="[1, 2]\n3", headers=headers, timeout=60)
    with connect(f"{url.replace('http', 'ws', 1)}/v1/realtime/codec") as socket:
        socket.send(bytes(32_000))
        socket.send('{"codes": [1, 2, 3, 4, 5]}')
        socket.send('{"type": "finish"}')
        with contextlib.suppress(ConnectionClosed):
            while True:
                socket.recv(timeout=60)
    wait_until(lambda: "realtime" in caplog.text)
    lines = [line for line in caplog.messages if "decode" in line or "realtime" in line]
    assert [line.partition("audio=")[2][:15] for line in lines] == [
        "0.06s tokens=3 ",
        "1.12s tokens=56",
    ]
    after = [metric(url, counter % way) for way in ("en", "de")]
    assert np.subtract(after, before) == pytest.approx([1.02, 0.16])


def test_unknown_routes_and_methods_have_the_one_shape(locked):
    headers = {"X-API-Key": KEY}
    for method, path, status in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/audio/speech", 405),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/app.py", 404),
        ("GET", "/%00", 404),
        ("DELETE", "/v1/models", 405),
    ]:
        answer = httpx.request(method, f"{locked}{path}", headers=headers)
        assert answer.status_code == status, path
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["speech", "codes", "decode", "voices", "transcriptions"])
@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_a_client_that_leaves_while_it_sends_is_one_line(named, path, kind, caplog):
    """And no error of the server."""
    caplog.set_level(logging.INFO)
    host, port = named.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        head = f"POST /v1/audio/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {kind}\r\n"
        raw.sendall(f"{head}Content-Length: 999\r\n\r\n--b\r\n".encode())
        time.sleep(0.05)  # until it is being read
    wait_until(
        lambda: any("status=499" in line or "status=400" in line for line in caplog.messages)
    )
    assert not any(record.exc_info for record in caplog.records)


def test_a_body_that_does_not_come_is_not_waited_for():
    app = create_app(None, streaming_codec(), limits=Limits(idle_seconds=0.2), warm=False)
    with running(app) as url:
        host, port = url.removeprefix("http://").split(":")
        lines = "Content-Type: application/x-ndjson\r\n"
        for path, more in (
            ("speech", ""),
            ("codes", ""),
            ("decode", ""),
            ("codes?stream=1", ""),
            ("decode", lines),
        ):
            with socket.create_connection((host, int(port)), timeout=30) as raw:
                head = f"POST /v1/audio/{path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                raw.sendall(f"{head}{more}Content-Length: 99\r\n\r\nabc".encode())
                assert b" 408 " in raw.recv(4096).split(b"\r\n")[0]


def test_a_server_that_is_about_to_end_takes_no_more():
    app = create_app(None, streaming_codec(), warm=False)
    with running(app) as url:
        app.state.service.closing = True
        answer = httpx.get(f"{url}/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert httpx.get(f"{url}/health").status_code == 503
