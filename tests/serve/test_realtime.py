"""The WebSocket: sound to codes, codes to sound, both at once."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import torch
from serving import metric, samples_of, streaming_codec, wait_until
from tiny import speech
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

MODEL = streaming_codec()
PCM = (speech().numpy()[:24_000] * 32767).astype("<i2")


def socket_at(url: str, query: str = ""):
    return connect(f"{url.replace('http', 'ws', 1)}/v1/realtime/codec{query}", max_size=1 << 24)


def rest_of(socket) -> list:
    messages = []
    while True:
        message = socket.recv(timeout=30)
        messages.append(message if isinstance(message, bytes) else json.loads(message))
        if isinstance(messages[-1], dict) and messages[-1].get("type") in ("done", "error"):
            return messages


def test_both_ways_at_once(url):
    codes = MODEL.encode(PCM, 16_000).codes.tolist()
    with socket_at(url) as socket:
        content = PCM.tobytes()
        for start in range(0, len(content), 6_401):
            socket.send(content[start : start + 6_401])
            place = start // 6_401 * 10
            socket.send(json.dumps({"codes": codes[place : place + 10]}))
        socket.send(json.dumps({"type": "finish"}))
        messages = rest_of(socket)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
    heard = [code for m in messages if isinstance(m, dict) for code in m["codes"]]
    sound = samples_of(b"".join(m for m in messages if isinstance(m, bytes)))
    sent = codes[: 10 * -(-len(content) // 6_401)]
    assert heard == codes
    expected = MODEL.decode(torch.tensor(sent)).clamp(-1, 1).numpy()
    np.testing.assert_allclose(sound, expected, atol=1e-4)


def test_codes_come_while_sound_is_still_sent(url):
    with socket_at(url, "?sample_rate=8000") as socket:
        socket.send(np.zeros(8_000, "<i2").tobytes())
        first = json.loads(socket.recv(timeout=30))
        assert first["codes"]
        assert metric(url, "xcodec2_codec_streams") == 1
    wait_until(lambda: metric(url, "xcodec2_codec_streams") == 0)  # closing frees it


@pytest.mark.parametrize("message", ["x", '{"codes": [64]}', '{"codes": ["1"]}', "[[1]]"])
def test_messages_that_are_refused(url, message):
    with socket_at(url) as socket:
        socket.send(message)
        error = rest_of(socket)[-1]
        assert error["type"] == "error"
        assert error["error"]["message"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=30)
    assert closed.value.rcvd.code == 1008


def test_a_rate_that_is_none_is_refused(url):
    with socket_at(url, "?sample_rate=1") as socket:
        socket.send(b"abab")
        assert "Hz" in rest_of(socket)[-1]["error"]["message"]


@pytest.mark.parametrize("rate", ["0", "-5", "fast", "", "9999999"])
def test_a_rate_that_is_none_is_told(url, rate):
    with socket_at(url, f"?sample_rate={rate}") as socket:
        with contextlib.suppress(ConnectionClosed):  # it may have said so already
            socket.send(bytes(3200))
        (answer,) = rest_of(socket)
        assert answer["error"]["param"] == "sample_rate"


def test_messages_that_say_something_else(url):
    for message in ('{"type": "session.update"}', "{}"):
        with socket_at(url) as socket:
            socket.send(message)
            (answer,) = rest_of(socket)
            assert "finish" in answer["error"]["message"]
    with socket_at(url) as socket:
        socket.send('{"type": "finish", "id": 7}')
        assert rest_of(socket) == [{"type": "done", "codes": []}]
