"""Codes from an LM behind an OpenAI-compatible completions server: vLLM, SGLang, llama.cpp.

The prompt goes as token ids, so the server's tokenizer cannot differ; the answer comes as text,
`<|s_17|>` by `<|s_17|>`. A server does not mask its logits for us: an answer with anything else in
it is an error, and so is one that breaks off before the server said that it is whole. A model on a
phoneme track names its phonemes among them; if they are not those of the prompt, it did not say it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Generated, Sampling
from xcodec2.llasa.backends.connection import (
    BROKE_OFF,
    CONNECT_SECONDS,
    MAX_BODY,
    Connection,
    said,
    what_it_is,
)
from xcodec2.llasa.backends.track_text import TrackText, could_begin_symbol
from xcodec2.llasa.guard import FRAME_RATE, most_codes
from xcodec2.llasa.lm import LlasaMetadata
from xcodec2.llasa.prompts import Prompts, shorten
from xcodec2.llasa.vocabulary import LENGTH, SPEECH_END

PARALLEL = 8  # requests under way at once
TOKEN = re.compile(r"\s*<\|s_([0-9]{1,10})\|>")
ENDED, CUT = "stop", "length"  # reasons for which an answer is whole


class Server:
    """A back end over HTTP.

    Args:
        url: Where the server is, with or without /v1.
        prompts: Of the LM that it serves; its tokenizer is needed here.
        metadata: What that LM says of itself.
        model: Its name there; the first that the server lists when None.
        api_key: Sent as a bearer token; the variable OPENAI_API_KEY when None.
        timeout: Seconds for one whole answer.

    Raises:
        LlasaError: When no such server answers.
    """

    def __init__(
        self,
        url: str,
        prompts: Prompts,
        metadata: LlasaMetadata,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 120.0,
    ) -> None:
        self.connection = Connection(url, api_key)
        self.name, self.prompts, self.metadata, self.timeout = url, prompts, metadata, timeout
        listed = self.models()
        self.model = model or str(listed[0].get("id", "default"))
        facts = next((item for item in listed if item.get("id") == self.model), listed[0])
        self.context = context_of(facts)

    def models(self) -> list[dict[str, Any]]:
        """What the server says it serves.

        Raises:
            LlasaError: It serves none, or is no server of this kind.
        """
        with self.connection.answer("GET", "/models", None, CONNECT_SECONDS) as response:
            content = response.read(MAX_BODY)
        try:
            listed = json.loads(content)["data"] or []
            if not (isinstance(listed, list) and all(isinstance(item, dict) for item in listed)):
                raise TypeError("not a list of models")
        except (ValueError, KeyError, TypeError, RecursionError) as problem:
            raise LlasaError(
                f"{self.name}: no OpenAI-compatible server answers there: "
                f"/models gives {what_it_is(content)}"
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
        """One continuation of a prompt (L,)."""
        stream, codes = self.stream(prompt, seed, sampling), []
        while True:
            try:
                codes.append(next(stream))
            except StopIteration as stop:
                return Generated(np.array(codes, np.int64), stop.value)

    def stream(
        self, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> Generator[int, None, bool]:
        """Codes as they come; returns whether the model ended by itself.

        Raises:
            LlasaError: It gives text in place of speech, or nothing.
        """
        text, reason, count = "", None, 0
        track = TrackText(self.prompts, prompt) if self.metadata.track else None
        for choice in self.choices(self.request(prompt, seed, sampling)):
            text += choice.get("text") or ""
            reason = choice.get("finish_reason") or reason
            text = track.codes_of(text) if track else text
            while match := TOKEN.match(text):
                text = text[match.end() :]
                count += 1
                yield self.code(match[1])
                text = track.codes_of(text) if track else text
            if text.startswith(SPEECH_END):
                return track is None or track.said_all
            if (
                text.strip()
                and not could_begin(text.strip())
                and not (track and could_begin_symbol(text))
            ):
                raise self.no_speech(text)
        if text.strip():
            raise self.no_speech(text)
        if not count:
            raise LlasaError(
                f"{self.name}: gave no speech at all; try another seed or a higher temperature"
            )
        return reason == ENDED and (track is None or track.said_all)

    def code(self, digits: str) -> int:
        """The code of a token's digits; LlasaError for one beyond the codebook."""
        code = int(digits)
        if code >= self.prompts.vocabulary.codebook_size:
            raise LlasaError(
                f"{self.name}: gave code {code}, beyond the codebook: is it another model?"
            )
        return code

    def no_speech(self, text: str) -> LlasaError:
        """The error for text where codes were due."""
        return LlasaError(
            f"{self.name}: gave {shorten(text)!r} where speech was due: is it another model?"
        )

    def request(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> dict[str, Any]:
        """The body for /completions. Servers pass over the names that only others know."""
        vocabulary = self.prompts.vocabulary
        rate = self.metadata.codec.frame_rate if self.metadata.codec else FRAME_RATE
        most = most_codes(prompt, self.prompts, self.metadata.phonemes, rate)
        room = sampling.budget(self.context, len(prompt))
        if most is not None:
            named = 2 * len(prompt) + 4 if self.metadata.track else 0  # symbols and durations
            room = min(room, most + named)
        return {
            "model": self.model,
            "prompt": prompt.tolist(),
            "max_tokens": room,
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

    def choices(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The first choice of each event that has one; LlasaError when the answer is not whole.

        An event without choices brings a count of tokens, which some servers send unasked. An
        answer is whole when the server gave a reason for its end, or sent [DONE].
        """
        reason, done = None, False
        for event in self.connection.events("/completions", body, self.timeout):
            if event.get("done") is True:
                done = True
                continue
            choices = event.get("choices")
            if choices is None and "usage" not in event:
                raise LlasaError(
                    f"{self.name}: answers with {what_it_is(json.dumps(event).encode())}, "
                    "not with completions"
                )
            if not choices:
                continue
            choice = choices[0] if isinstance(choices, list) else choices
            if not isinstance(choice, dict) or not isinstance(choice.get("text", ""), str | None):
                raise LlasaError(f"{self.name}: answers with choices that are no completions")
            if "text" not in choice and ("delta" in choice or "message" in choice):
                raise LlasaError(
                    f"{self.name}: answers as a chat; an address for completions is needed, "
                    "such as http://127.0.0.1:8000/v1"
                )
            reason = choice.get("finish_reason") or reason
            yield choice
        if reason not in (None, ENDED, CUT):
            raise LlasaError(
                f"{self.name}: the server ended the answer early ({said(str(reason).encode())}); "
                "ask again"
            )
        if not done and reason is None:
            raise LlasaError(f"{self.name}: {BROKE_OFF}")


def context_of(facts: dict[str, Any]) -> int:
    """Tokens of the context that a server's entry of a model names, in vLLM's place or llama.cpp's;
    the usual number where there is none that makes sense.
    """
    meta = facts.get("meta")
    for length in (facts.get("max_model_len"), isinstance(meta, dict) and meta.get("n_ctx")):
        if isinstance(length, (int, float)) and 1 <= length < 1 << 31:  # not NaN, not infinite
            return int(length)
    return LENGTH


def could_begin(text: str) -> bool:
    """Whether a text may be the beginning of a token that is still coming."""
    if SPEECH_END.startswith(text):
        return True
    return re.fullmatch(r"<(\|(s(_([0-9]{1,10}\|?)?)?)?)?", text) is not None
