"""Clients that leave while there is more to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from xcodec2.serve.exchange import Stream
from xcodec2.serve.patience import within

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


def test_a_client_that_leaves_is_noticed_though_the_next_piece_is_always_there():
    """Nothing waits but the sending: before Python 3.12 `asyncio.wait_for` would lose each
    cancellation that came in there.
    """
    sent, left = 0, []

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2_000):
            yield b"x"

    async def send(message) -> None:
        nonlocal sent
        sent += 1

    async def receive():
        while sent < 5:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    stream = Stream(pieces(), lambda: left.append(sent), idle_seconds=60)
    asyncio.run(stream(SCOPE, receive, send))
    assert left == [sent]
    assert sent < 20


def test_waiting_ends_in_time_and_when_it_is_told_to():
    async def ended() -> list[str]:
        said = []
        with pytest.raises(asyncio.TimeoutError):
            await within(0.01, asyncio.sleep(60))
        for ticks in range(1, 8):  # whenever it is cancelled, before and behind the end of the work
            waiting = asyncio.ensure_future(within(60, asyncio.sleep(0)))
            for _ in range(ticks):
                await asyncio.sleep(0)
            was_done = waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            said.append("done" if was_done else "cancelled" if waiting.cancelled() else "lost")
        return said

    found = asyncio.run(ended())
    assert "lost" not in found
    assert {found[0], found[-1]} == {"cancelled", "done"}
