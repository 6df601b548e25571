"""Bodies that arrive while their results are already sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import numpy as np
from fastapi import Request
from torch import Tensor

from xcodec2.serve.engine import CHUNK_CODES, FedJob
from xcodec2.serve.exchange import hung_up
from xcodec2.serve.limits import Limits
from xcodec2.serve.patience import within
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
    """Give a job what a body brings, as it has room, and then listen for the client to hang up.

    Raises:
        ApiProblem: The body is none, or nothing comes for too long.
        ClientGone: The client has hung up; without one of these it never returns.
    """
    while True:
        try:
            message = await within(limits.idle_seconds, request.receive())
        except asyncio.TimeoutError as problem:
            raise ApiProblem(408, "nothing came for too long", code="idle") from problem
        if message["type"] != "http.request":
            raise ClientGone
        for chunk, weight in parser.take(message.get("body", b"")):
            await job.inlet.put(chunk, weight)
        if not message.get("more_body", False):
            break
    for chunk, weight in parser.finish():
        await job.inlet.put(chunk, weight)
    job.inlet.end()
    await hung_up(request)
    raise ClientGone


async def pump_codes(request: Request, job: FedJob, codes: Tensor) -> None:
    """Give a job codes (T,) that are all there, and then listen for the client to hang up.

    Raises:
        ClientGone: It has.
    """
    for part in codes.split(CHUNK_CODES):
        await job.inlet.put(part.numpy(), len(part))
    job.inlet.end()
    await hung_up(request)
    raise ClientGone


async def pumped(job: FedJob, feeding: asyncio.Future[None]) -> AsyncIterator[np.ndarray]:
    """The results of a job that is being fed; what goes wrong with the feeding is raised here."""
    while True:
        waiting = asyncio.ensure_future(job.outlet.next())
        try:
            both: set[asyncio.Future[Any]] = {waiting, feeding}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done():
                feeding.result()
            result = await waiting
        finally:
            waiting.cancel()
        if result is None:
            return
        yield result
