"""Bodies that arrive while their results are already sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np
from fastapi import Request

from xcodec2.serve.engine import FedJob
from xcodec2.serve.limits import Limits
from xcodec2.serve.problems import ApiProblem, ClientGone


class Parser(Protocol):
    """Bytes, cut anywhere → chunks for a session, with their weights."""

    def take(self, content: bytes) -> list[tuple[np.ndarray, float]]:
        """What is whole."""
        ...

    def finish(self) -> list[tuple[np.ndarray, float]]:
        """The rest."""
        ...


async def pump(request: Request, job: FedJob, parser: Parser, limits: Limits) -> None:
    """Give a job what a body brings, as it has room, until the body's end.

    Raises:
        ApiProblem: The body is none, or nothing comes for too long.
        ClientGone: The client has hung up before its end.
    """
    while True:
        try:
            message = await asyncio.wait_for(request.receive(), limits.idle_seconds)
        except asyncio.TimeoutError as problem:
            raise ApiProblem(400, "nothing came for too long", code="idle") from problem
        if message["type"] != "http.request":
            raise ClientGone
        for chunk, weight in parser.take(message.get("body", b"")):
            await job.inlet.put(chunk, weight)
        if not message.get("more_body", False):
            break
    for chunk, weight in parser.finish():
        await job.inlet.put(chunk, weight)
    job.inlet.end()


async def pumped(job: FedJob, feeding: asyncio.Future[None]) -> AsyncIterator[np.ndarray]:
    """The results of a job that is being fed; what goes wrong with the feeding is raised here."""
    while True:
        waiting = asyncio.ensure_future(job.outlet.next())
        try:
            if not feeding.done():
                await asyncio.wait({waiting, feeding}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not feeding.cancelled():
                feeding.result()
            result = await waiting
        finally:
            waiting.cancel()
        if result is None:
            return
        yield result
