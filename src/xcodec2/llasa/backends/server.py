"""Codes from an LM behind an OpenAI-compatible completions server: vLLM, SGLang, llama.cpp.

The prompt goes as token ids, so the server's tokenizer cannot differ; the answer comes as text,
`<|s_17|>` by `<|s_17|>`. A server does not mask its logits for us: an answer with anything else in
it is an error. Every wait is bounded: connecting by CONNECT_SECONDS, a whole answer by the timeout.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from xcodec2.llasa.backends.local import Generated, Sampling
from xcodec2.llasa.lm import About
from xcodec2.llasa.prompts import Prompts, shorten
from xcodec2.llasa.training.rows import LENGTH
from xcodec2.llasa.vocabulary import SPEECH_END, LlasaError

CONNECT_SECONDS = 5.0
PARALLEL = 8  # requests under way at once
TOKEN = re.compile(r"\s*<\|s_(\d+)\|>")


class Server:
    """A back end over HTTP.

    url: where the server is, with or without /v1. prompts, about: of the LM that it serves; its
    tokenizer is needed here. model: its name there, the first that the server lists without.
    timeout: seconds for one whole answer.
    """

    def __init__(
        self,
        url: str,
        prompts: Prompts,
        about: About,
        *,
        model: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LlasaError(f"{url}: a server's address looks like http://127.0.0.1:8000")
        self.name, self.prompts, self.about, self.timeout = url, prompts, about, timeout
        self.secure, self.host, self.port = parts.scheme == "https", parts.hostname, parts.port
        self.path = parts.path.rstrip("/") or "/v1"
        listed = self.models()
        self.model = model or str(listed[0].get("id", "default"))
        facts = next((item for item in listed if item.get("id") == self.model), listed[0])
        self.context = int(
            facts.get("max_model_len") or (facts.get("meta") or {}).get("n_ctx") or LENGTH
        )

    def models(self) -> list[dict[str, Any]]:
        """What the server says it serves."""
        with self.answer("GET", "/models", None, CONNECT_SECONDS) as response:
            try:
                listed = json.loads(response.read(1 << 20))["data"]
            except (ValueError, KeyError, TypeError) as problem:
                raise LlasaError(
                    f"{self.name}: no OpenAI-compatible server answers there"
                ) from problem
        if not listed:
            raise LlasaError(f"{self.name}: the server has no model loaded")
        return listed

    def generate(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> list[Generated]:
        """One continuation for each prompt (L,), several requests at a time."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            return list(
                pool.map(lambda prompt, seed: self.one(prompt, seed, sampling), prompts, seeds)
            )

    def one(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> Generated:
        stream, codes = self.stream(prompt, seed, sampling), []
        while True:
            try:
                codes.append(next(stream))
            except StopIteration as stop:
                return Generated(np.array(codes, np.int64), stop.value)

    def stream(
        self, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> Generator[int, None, bool]:
        text, finish, count = "", None, 0
        for choice in self.events(self.request(prompt, seed, sampling)):
            text += choice.get("text") or ""
            finish = choice.get("finish_reason") or finish
            while match := TOKEN.match(text):
                text = text[match.end() :]
                code = int(match[1])
                if code >= self.prompts.vocabulary.codebook_size:
                    raise LlasaError(
                        f"{self.name}: gave code {code}, beyond the codebook: is it another model?"
                    )
                count += 1
                yield code
            if text.startswith(SPEECH_END):
                return True
            if text.strip() and not could_begin(text.strip()):
                raise LlasaError(
                    f"{self.name}: gave {shorten(text)!r} where speech was due: is it another model?"
                )
        if text.strip():
            raise LlasaError(
                f"{self.name}: gave {shorten(text)!r} where speech was due: is it another model?"
            )
        if not count:
            raise LlasaError(
                f"{self.name}: gave no speech at all; try another seed or a higher temperature"
            )
        return finish == "stop"

    def request(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> dict[str, Any]:
        """The body for /completions. Servers pass over the names that only others know."""
        vocabulary = self.prompts.vocabulary
        return {
            "model": self.model,
            "prompt": prompt.tolist(),
            "max_tokens": sampling.budget(self.context, len(prompt)),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,  # llama.cpp's default is not 0
            "repetition_penalty": sampling.repetition_penalty,  # vLLM, SGLang
            "repeat_penalty": sampling.repetition_penalty,  # llama.cpp
            "repeat_last_n": self.context,
            "seed": seed,
            "stream": True,
            "stop": [SPEECH_END],
            "stop_token_ids": [vocabulary.speech_end],
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
        }

    def events(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The first choice of each server-sent event."""
        with self.answer("POST", "/completions", body, self.timeout) as response:
            for line in response:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                try:
                    event = json.loads(data)
                    yield event["choices"][0]
                except (ValueError, KeyError, IndexError, TypeError) as problem:
                    raise LlasaError(
                        f"{self.name}: {shorten(data.decode(errors='replace'), 200)}"
                    ) from problem

    @contextmanager
    def answer(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> Iterator[Response]:
        """The server's answer, all of it within `timeout` seconds; whatever goes wrong is one
        LlasaError.
        """
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=min(CONNECT_SECONDS, timeout))
        deadline = time.monotonic() + timeout
        try:
            try:
                connection.connect()
            except OSError as problem:
                raise LlasaError(
                    f"{self.name}: no server answers there ({problem}); start it, or check the address"
                ) from problem
            connection.sock.settimeout(timeout)
            content = None if body is None else json.dumps(body)
            connection.request(
                method, self.path + path, content, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            if response.status != 200:
                said = response.read(500).decode(errors="replace")
                raise LlasaError(
                    f"{self.name}: the server refused ({response.status} {response.reason}: {said})"
                )
            yield Response(response, connection.sock, deadline)
        except TimeoutError as problem:
            raise LlasaError(
                f"{self.name}: no whole answer within {timeout:g} s; the server may be overloaded: wait longer "
                "(--timeout) or ask for less"
            ) from problem
        except (OSError, http.client.HTTPException) as problem:
            raise LlasaError(
                f"{self.name}: the connection broke ({problem or type(problem).__name__})"
            ) from problem
        finally:
            connection.close()


class Response:
    """An answer that is read under a deadline, though the server may drip it byte by byte."""

    def __init__(
        self, response: http.client.HTTPResponse, sock: socket.socket | None, deadline: float
    ) -> None:
        self.response, self.sock, self.deadline = response, sock, deadline

    def read(self, limit: int) -> bytes:
        parts = b""
        while len(parts) < limit and (part := self.some()):
            parts += part
        return parts

    def __iter__(self) -> Iterator[bytes]:
        """Its lines."""
        rest = b""
        while part := self.some():
            *lines, rest = (rest + part).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def some(self) -> bytes:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self.sock is not None and self.sock.fileno() >= 0:
            self.sock.settimeout(left)
        return self.response.read1(1 << 16)


def could_begin(text: str) -> bool:
    """Whether a text may be the beginning of a token that is still coming."""
    if SPEECH_END.startswith(text):
        return True
    return re.fullmatch(r"<(\|(s(_(\d+\|?)?)?)?)?", text) is not None
