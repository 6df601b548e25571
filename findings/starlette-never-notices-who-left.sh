#!/usr/bin/env bash
# A Starlette response whose `send` has a time limit by asyncio.wait_for may never notice that its
# client has left.
#
# starlette 1.10.0, anyio 4.16.0, on Python 3.10 or 3.11 (this one asks for the latter).
#
# `StreamingResponse` listens for the client and, when it leaves, cancels the task that sends; anyio
# repeats that in every turn of the event loop. But `asyncio.wait_for` of these Pythons, cancelled
# when its work is done and its own wakening is still due, returns the result: the cancellation is
# lost. A `send` to a client that has left returns at once, so each of anyio's cancellations arrives
# in that moment, and the response goes on to the last of its pieces as long as the next one is always
# there. A plain `await send(...)` ends at once, and so does `asyncio.wait({task}, timeout=...)`.
# Python 3.12's wait_for keeps the cancellation.
#
# Output seen (pieces sent of 10000, the client leaving behind the fifth):
#     plain        5
#     wait_for 10002
#     wait         5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install -q starlette==1.10.0 anyio==4.16.0
cat > leave.py <<'PYTHON'
import asyncio

from starlette.responses import StreamingResponse

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


async def pieces():
    for _ in range(10_000):
        yield b"x"


async def waited(work):
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=60)


LIMITS = {
    "plain": lambda work: work,
    "wait_for": lambda work: asyncio.wait_for(work, 60),
    "wait": waited,
}


async def sent_by(limit):
    sent = 0

    async def send(message):
        nonlocal sent
        sent += 1
        if limit is LIMITS["plain"]:
            await asyncio.sleep(0)  # else nothing else would ever run

    async def receive():
        while sent < 5:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    await StreamingResponse(pieces())(SCOPE, receive, lambda message: limit(send(message)))
    return sent


found = {name: asyncio.run(sent_by(limit)) for name, limit in LIMITS.items()}
for name, sent in found.items():
    print(f"{name:8} {sent:5}")
assert found["wait_for"] > 10_000
assert found["plain"] < 20 and found["wait"] < 20
PYTHON
venv/bin/python leave.py
