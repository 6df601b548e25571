"""What stands before every request: keys, origins and sizes of bodies; behind it, a line of log."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import time
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xcodec2.printable import printable
from xcodec2.serve.limits import BODIES, Limits
from xcodec2.serve.metrics import Metrics
from xcodec2.serve.patience import within
from xcodec2.serve.problems import ApiProblem, answer, queue_full

LOG = logging.getLogger("xcodec2.serve")
KEY_PROTOCOL = "openai-insecure-api-key."  # browsers cannot send headers with a WebSocket
DRAIN_SECONDS = 5.0  # a client that is still sending a body too large is listened to so long


class Visit:
    """One request, as its line in the log tells it; `scope["visit"]`."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(6)
        self.started = time.perf_counter()
        self.first: float | None = None  # seconds until the first byte of audio
        self.audio = 0.0  # seconds
        self.tokens = 0
        self.text: str | None = None
        self.status = 0
        self.body: Body | None = None

    def sound(self) -> None:
        """Audio has begun."""
        if self.first is None:
            self.first = time.perf_counter() - self.started


class Logged:
    """One line a request: id, route, status, first sound, audio, tokens; text only if asked for.

    Args:
        app: What is within.
        metrics: Counts requests.
        text: Write texts, too.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, text: bool = False) -> None:
        self.app, self.metrics, self.text = app, metrics, text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, and write the line."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        visit = scope["visit"] = Visit()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", visit.id.encode()),
                ]
            elif message["type"] == "websocket.accept":
                visit.status = 101
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:
            visit.status = visit.status or 500
            raise
        finally:
            self.write(scope, visit)

    def write(self, scope: Scope, visit: Visit) -> None:
        """The line, and what is counted."""
        seconds = time.perf_counter() - visit.started
        route = scope.get("route")
        path = getattr(route, "path", None) or "(none)"
        if path in ("/health", "/metrics") and visit.status in (200, 503):  # asked all the time
            return
        status = str(visit.status or 499)
        self.metrics.requests.labels(path, status).inc()
        self.metrics.request_seconds.labels(path).observe(seconds)
        facts = [f"id={visit.id}", f"{scope.get('method', 'WS')} {path}", f"status={status}"]
        if visit.first is not None:
            facts.append(f"first_sound={1000 * visit.first:.0f}ms")
        facts += [f"audio={visit.audio:.2f}s", f"tokens={visit.tokens}", f"took={seconds:.3f}s"]
        if self.text and visit.text is not None:
            facts.append(f"text={printable(visit.text)!r}")
        LOG.info(" ".join(facts))


class Body:
    """A request's body as it is read, which may not be longer than it may be."""

    def __init__(self, receive: Receive, length: int | None, desk: Guard) -> None:
        self.receive, self.length, self.desk = receive, length, desk
        self.held = 0
        self.limited = True
        self.over = False  # all of it has come

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            ApiProblem: There is too much of it, alone or with that of others, or it does not come.
        """
        if self.limited and self.length is not None and self.length > self.desk.limits.max_upload:
            raise self.too_large()
        if self.limited and not self.over:
            try:
                message = await within(self.desk.limits.idle_seconds, self.receive())
            except asyncio.TimeoutError as problem:
                raise ApiProblem(408, "nothing came for too long", code="idle") from problem
        else:
            message = await self.receive()
        if message["type"] == "http.request":
            self.over = not message.get("more_body", False)
            if self.limited:
                self.hold(len(message.get("body", b"")))
        return message

    def hold(self, count: int) -> None:
        """So many more bytes are in memory."""
        self.held += count
        self.desk.held += count
        if self.held > self.desk.limits.max_upload:
            raise self.too_large()
        if self.desk.held > BODIES * self.desk.limits.max_upload:
            raise queue_full("the upload of files")

    def unlimited(self) -> None:
        """It is a stream, of which nothing is kept."""
        self.limited = False

    def release(self) -> None:
        """It is not needed any more."""
        self.desk.held -= self.held
        self.held = 0

    def too_large(self) -> ApiProblem:
        """The error for more than may be."""
        largest = self.desk.limits.max_upload
        return ApiProblem(413, f"the body is larger than {largest / 1e6:g} MB")

    async def drain(self) -> None:
        """Let a client that is still sending come to its end, so that it reads the answer."""
        seen = 0
        while not self.over and seen < 4 * self.desk.limits.max_upload:
            message = await self.receive()
            if message["type"] != "http.request":
                return
            seen += len(message.get("body", b""))
            self.over = not message.get("more_body", False)


class Guard:
    """Keys, origins and bodies.

    Args:
        app: What is within.
        limits: Of bodies.
        keys: One of which a request to /v1 or /metrics has to bring; none are needed without.
        origins: Of pages elsewhere that may call, besides the server's own.
        hosts: Names by which the server may be called; any when empty.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        keys: Sequence[str] = (),
        origins: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> None:
        self.app, self.limits = app, limits
        self.keys = [key.encode() for key in keys]
        self.origins, self.hosts = set(origins), set(hosts)
        self.held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self.misplaced(headers) or self.locked(scope, headers)
        if scope["type"] == "websocket":
            if problem is None:
                await self.app(scope, receive, send)
            else:
                await answer(problem)(scope, receive, send)
            return
        length = headers.get("content-length", "")
        sane = length.isdecimal() and len(length) < 20
        body = Body(receive, int(length) if sane else None, self)
        scope["visit"].body = body
        try:
            if problem is not None:
                await answer(problem)(scope, receive, send)
            else:
                await self.app(scope, body, self.patient(body, send))
        finally:
            body.release()

    def patient(self, body: Body, send: Send) -> Send:
        """A `send` that lets a refused client finish what it says first."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 413:
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(DRAIN_SECONDS, body.drain())
            await send(message)

        return sending

    def misplaced(self, headers: Headers) -> ApiProblem | None:
        """Why a page of elsewhere may not call: any page in a browser reaches loopback."""
        host = headers.get("host", "")
        if self.hosts and address_of(f"//{host}").hostname not in self.hosts:
            return ApiProblem(403, "this server is not known by that name (Host)")
        origin = headers.get("origin")
        if origin is None or "*" in self.origins or origin in self.origins:
            return None
        if host and address_of(origin).netloc == host:
            return None
        return ApiProblem(403, "pages of that origin may not call here: see --cors")

    def locked(self, scope: Scope, headers: Headers) -> ApiProblem | None:
        """Why a request without the right key gets nothing."""
        path = scope["path"]
        if not self.keys or not path.startswith(("/v1/", "/metrics")):
            return None
        if scope.get("method") == "OPTIONS":
            return None
        given = [headers.get("x-api-key", "")]
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given.append(token.strip())
        for protocol in headers.get("sec-websocket-protocol", "").split(","):
            if protocol.strip().startswith(KEY_PROTOCOL):
                given.append(protocol.strip().removeprefix(KEY_PROTOCOL))
        matches = [hmac.compare_digest(a.encode(), key) for a in given if a for key in self.keys]
        if any(matches):
            return None
        what = "that API key is not known here" if any(given) else "an API key is needed"
        return ApiProblem(
            401,
            f"{what}: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
            headers={"WWW-Authenticate": "Bearer"},
        )


def address_of(text: str) -> SplitResult:
    """The parts of an address that a client gives; of one that is none, nothing."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")
