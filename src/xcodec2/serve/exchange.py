"""Requests and responses that may end at any moment."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from xcodec2.errors import XCodec2Error
from xcodec2.serve.guard import Body, Visit
from xcodec2.serve.patience import within
from xcodec2.serve.problems import LOG, ApiProblem, ClientGone, body_of

Result = TypeVar("Result")


def visit_of(request: Request) -> Visit:
    """What the log will say of a request."""
    visit: Visit = request.scope["visit"]
    return visit


def body_of_request(request: Request) -> Body:
    """The meter on its body."""
    body = visit_of(request).body
    assert body is not None
    return body


async def unless_gone(request: Request, work: Awaitable[Result]) -> Result:
    """The result of some work, given up when the client hangs up; its body must have been read.

    Raises:
        ClientGone: It has.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(hung_up(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        gone.cancel()
        task.cancel()


async def hung_up(request: Request) -> None:
    """Return when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Stream(StreamingResponse):
    """A response that tells its source when the client has left, however that comes about.

    Args:
        content: Pieces.
        leave: Is called once, behind the last piece or when there is nobody to send it to.
        idle_seconds: For which one piece may wait for its client.
        headers: Of the response.
        media_type: Of the content.
        listen: For the client to hang up; not while something else reads its body.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        leave: Callable[[], None],
        *,
        idle_seconds: float,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        listen: bool = True,
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self.leave, self.idle_seconds, self.listen = leave, idle_seconds, listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces; where they break off, the connection does too."""

        async def patient(message: Message) -> None:
            await within(self.idle_seconds, send(message))

        try:
            if self.listen:
                await super().__call__(scope, receive, patient)
            else:
                await self.stream_response(patient)
        except (ClientGone, asyncio.TimeoutError):
            pass
        except (XCodec2Error, HTTPException) as problem:
            LOG.warning("id=%s broken off: %s", scope["visit"].id, problem)
        finally:
            self.leave()


def event(facts: Mapping[str, object]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(facts)}\n\n".encode()


async def sound_events(
    pieces: AsyncIterator[bytes], used: Callable[[], tuple[int, int]]
) -> AsyncIterator[bytes]:
    """Bytes of sound as server-sent events, with an end that says what it took.

    Args:
        pieces: The sound.
        used: Gives, behind the last piece, the tokens that were read and those that were made.
    """
    try:
        async for piece in pieces:
            audio = base64.b64encode(piece).decode()
            yield event({"type": "speech.audio.delta", "audio": audio})
    except ClientGone:
        raise
    except Exception as problem:
        yield event({"type": "speech.audio.error", **body_of(problem)})
        return
    given, made = used()
    usage = {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}
    yield event({"type": "speech.audio.done", "usage": usage})


async def chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A piece that was waited for, and those behind it."""
    yield first
    async for piece in rest:
        yield piece


def media_type_of(request: Request) -> str:
    """The type that a body says it has, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def uploaded(request: Request) -> tuple[bytes, dict[str, str]]:
    """The file of a form with its other fields, or a body that is the file itself.

    Raises:
        ApiProblem: The form has no file.
    """
    if media_type_of(request) != "multipart/form-data":
        return await request.body(), {}
    async with request.form(max_files=4, max_fields=64) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        if (part := form.get("file")) is not None:
            content = part.encode() if isinstance(part, str) else await part.read()
            return content, fields
    raise ApiProblem(400, "the form has no file", param="file", code="missing_file")
