"""HTTP to a completions server: bounded waits, and every failure as one LlasaError of one line.

Connecting is bounded by CONNECT_SECONDS, a whole answer by the timeout, though the server may drip
it byte by byte.
"""

from __future__ import annotations

import codecs
import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from xcodec2.errors import LlasaError

CONNECT_SECONDS = 5.0
MAX_SAID = 200  # characters of a server's own words in a message
MAX_SAID_BYTES = 1 << 16  # of an answer that are looked at for them
MAX_BODY = 1 << 22  # bytes of an answer that is no stream
LINE_END = re.compile(rb"\r\n|\n|\r")
BROKE_OFF = (
    "the answer broke off before its end: the server or something between has closed the "
    "connection; look into its log, or ask again"
)


class Connection:
    """Where a server is, and how it is asked.

    Args:
        url: With or without /v1.
        api_key: Sent as a bearer token; the variable OPENAI_API_KEY when None, nothing when empty.

    Raises:
        LlasaError: When the address or the key cannot be used.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            self.port = parts.port
        except ValueError as problem:
            raise LlasaError(f"{url}: not a usable address ({problem})") from problem
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LlasaError(f"{url}: a server's address looks like http://127.0.0.1:8000")
        if parts.username or parts.password:
            raise LlasaError("the address holds a user or a password: give a key as --api-key")
        self.name, self.host, self.secure = url, parts.hostname, parts.scheme == "https"
        self.path = parts.path.rstrip("/") or "/v1"
        self.headers = {"Content-Type": "application/json"}
        key = (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip()
        if key and not (key.isascii() and key.isprintable()):
            raise LlasaError("the API key holds characters that no key has; copy it anew")
        if key:
            self.headers["Authorization"] = f"Bearer {key}"

    @contextmanager
    def answer(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> Iterator[Response]:
        """The server's answer, all of it within `timeout` seconds.

        Raises:
            LlasaError: There is no server, it refuses, or it is too slow.
        """
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=min(CONNECT_SECONDS, timeout))
        deadline = time.monotonic() + timeout
        try:
            try:
                connection.connect()
            except OSError as problem:
                raise LlasaError(
                    f"{self.name}: no server answers there ({problem}); "
                    "start it, or check the address"
                ) from problem
            connection.sock.settimeout(timeout)
            content = None if body is None else json.dumps(body)
            connection.request(method, self.path + path, content, self.headers)
            response = connection.getresponse()
            answer = Response(response, connection.sock, deadline)
            if response.status != 200:
                raise LlasaError(f"{self.name}: the server refused ({refusal(response, answer)})")
            yield answer
        except TimeoutError as problem:
            raise LlasaError(
                f"{self.name}: no whole answer within {timeout:g} s; the server may be overloaded: "
                "wait longer (--timeout) or ask for less"
            ) from problem
        except (OSError, http.client.HTTPException) as problem:
            raise LlasaError(
                f"{self.name}: the connection broke "
                f"({said(str(problem).encode()) or type(problem).__name__})"
            ) from problem
        finally:
            connection.close()

    def events(self, path: str, body: dict[str, Any], timeout: float) -> Iterator[dict[str, Any]]:
        """The objects of a stream of server-sent events, the last one `{"done": True}`.

        Comments, which keep connections alive, and fields other than data are passed over. A server
        that answers with one JSON object instead of a stream has that taken for its only event.
        LlasaError for anything else, and for errors that the server sends as events.
        """
        with self.answer("POST", path, body, timeout) as response:
            other = b""  # lines that are no events
            some = False
            for block in event_blocks(response):
                data = b"\n".join(line[5:].strip() for line in block if line.startswith(b"data:"))
                failed = [line[6:] for line in block if line.startswith(b"error:")]  # llama.cpp
                if failed:
                    raise LlasaError(f"{self.name}: the server failed: {said(failed[0])}")
                if not data:
                    if len(other) < MAX_BODY:
                        other += b"".join(line + b"\n" for line in block if not is_field(line))
                    continue
                some = True
                if data == b"[DONE]":
                    yield {"done": True}
                    return
                yield self.event(data)
            if not some:
                yield self.event(other)
                yield {"done": True}

    def event(self, data: bytes) -> dict[str, Any]:
        """One JSON object; LlasaError, which says what it is instead, for anything else."""
        try:
            event = json.loads(data)
        except RecursionError:
            event = None
        except ValueError as problem:
            if data.lstrip().startswith(b"{"):
                raise LlasaError(f"{self.name}: {BROKE_OFF}") from problem
            event = None
        if not isinstance(event, dict):
            raise LlasaError(f"{self.name}: answers with {what_it_is(data)}, not with completions")
        if event.get("error"):
            raise LlasaError(f"{self.name}: the server failed: {said(data)}")
        return event


class Response:
    """An answer that is read under a deadline."""

    def __init__(
        self, response: http.client.HTTPResponse, sock: socket.socket | None, deadline: float
    ) -> None:
        self.response, self.sock, self.deadline = response, sock, deadline

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes."""
        parts = b""
        while len(parts) < limit and (part := self.some()):
            parts += part
        return parts[:limit]

    def __iter__(self) -> Iterator[bytes]:
        """Its lines, as the standard of server-sent events has them: CR, LF or both end one, and a
        byte order mark before the first does not count.
        """
        lines = self.raw_lines()
        if (first := next(lines, None)) is not None:
            yield first.removeprefix(codecs.BOM_UTF8)
            yield from lines

    def raw_lines(self) -> Iterator[bytes]:
        """Its lines, each as soon as its end has come."""
        rest, ended_by_cr = b"", False
        while part := self.some():
            if ended_by_cr and part.startswith(b"\n"):
                part = part[1:]
            ended_by_cr = part.endswith(b"\r")
            *lines, rest = LINE_END.split(rest + part)
            if len(rest) > MAX_BODY:
                raise http.client.HTTPException(f"a line of more than {MAX_BODY} bytes")
            yield from lines
        if rest:
            yield rest

    def some(self) -> bytes:
        """The next bytes, as soon as there are some; none at the end.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock is not None and self.sock.fileno() >= 0:
            self.sock.settimeout(left)
        return self.response.read1(1 << 16)


def event_blocks(lines: Response) -> Iterator[list[bytes]]:
    """Lines of one event each: a blank line ends it, and so does the next line of data where a
    server leaves the blank one out, as long as the data before is whole.
    """
    block: list[bytes] = []
    size = 0
    for line in lines:
        begins = line.startswith(b"data:") and is_whole(block)
        if block and (not line or begins or size > MAX_BODY):
            yield block
            block, size = [], 0
        if line:
            block.append(line)
            size += len(line)
    if block:
        yield block


def is_whole(block: list[bytes]) -> bool:
    """Whether the data of an event is JSON already."""
    data = b"\n".join(line[5:].strip() for line in block if line.startswith(b"data:"))
    try:
        return data == b"[DONE]" or json.loads(data) is not None
    except (ValueError, RecursionError):
        return False


def is_field(line: bytes) -> bool:
    """A comment, or a field of an event that is passed over."""
    return line.startswith((b":", b"event:", b"id:", b"retry:"))


def refusal(response: http.client.HTTPResponse, answer: Response) -> str:
    """An answer that is not 200, in one line, with what may help."""
    words = f"{response.status} {said(response.reason.encode())}: {said(answer.read(1 << 16))}"
    if 300 <= response.status < 400:
        target = response.getheader("Location", "elsewhere")
        words += f"; it points to {said(target.encode())}: give that address"
    if response.status in (401, 403):
        words += "; give a key with --api-key or OPENAI_API_KEY"
    return words


def said(content: bytes) -> str:
    """What a server says, cut: the message of a JSON error, or the beginning of the text."""
    if name := known_kind(content):
        return name
    text = content[:MAX_SAID_BYTES].decode(errors="replace")
    try:
        found: Any = json.loads(text)
        while isinstance(found, dict):
            found = next(found[key] for key in ("error", "message", "detail") if found.get(key))
        text = found if isinstance(found, str) else json.dumps(found)
    except (ValueError, StopIteration, RecursionError):
        pass
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]}…"


def known_kind(content: bytes) -> str | None:
    """What an answer is whose own words would help nobody."""
    start = content[:MAX_SAID_BYTES].lstrip()[:200].lower()
    if start.startswith((b"<!doctype", b"<!--", b"<html", b"<?xml", b"<head", b"<body")):
        return "a web page (HTML)"
    if content.startswith(b"\x1f\x8b"):  # which was not asked for
        return "compressed data (gzip)"
    return None


def what_it_is(content: bytes) -> str:
    """An answer that is no JSON object, named."""
    if not content.strip():
        return "nothing at all"
    return known_kind(content) or repr(said(content))
