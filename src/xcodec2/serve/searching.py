"""Speech that is chosen among many candidates: made whole, then sent."""

from __future__ import annotations

import asyncio
import copy
import functools
import threading
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from fastapi import Request
from fastapi.responses import Response

from xcodec2.errors import XCodec2Error
from xcodec2.llasa.backends.base import Generated
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.search import Search
from xcodec2.llasa.speaker import Speaker, Spoken
from xcodec2.llasa.verifiers import CtcVerifier, Verifier, verifier
from xcodec2.serve.exchange import Stream, sound_events, unless_gone, visit_of
from xcodec2.serve.places import BatchPlaces
from xcodec2.serve.problems import ApiProblem, ClientGone, refused
from xcodec2.serve.schemas import SpeechRequest
from xcodec2.serve.service import Service
from xcodec2.serve.sound import EVENTS, MEDIA_TYPES, SoundWriter
from xcodec2.serve.speech import Script, quietly, sampling_of

MAX_CANDIDATES = 64


async def searched(
    service: Service,
    request: Request,
    body: SpeechRequest,
    script: Script,
    writer: SoundWriter,
    headers: dict[str, str],
) -> Response:
    """The best of many candidates.

    Raises:
        ApiProblem: The search is none, too wide, or nothing here can choose.
    """
    try:
        search = Search.parse(body.search or "")
    except XCodec2Error as problem:
        raise refused(problem, "search") from problem
    if search.width * search.ways > MAX_CANDIDATES:
        raise ApiProblem(400, f"at most {MAX_CANDIDATES} candidates are made", param="search")
    async with service.asking:
        choosing = await asyncio.to_thread(judge_of, service)
    gone = threading.Event()
    speaker = interruptible(service.speaking(), gone, service.metrics.tokens.inc)

    def work() -> Spoken:
        with quietly():
            return speaker.speak(
                body.input,
                voice=script.voice,
                sampling=sampling_of(body, speaker.search_sampling),
                seed=body.seed or 0,
                search=search,
                verifier=choosing,
            )

    try:
        spoken = await unless_gone(request, service.searches.run_there(work))
    except XCodec2Error as problem:
        said = str(problem).replace(speaker.backend.name, "the language model")
        raise ApiProblem(400, said, param="search") from problem
    finally:
        gone.set()
    visit = visit_of(request)
    visit.sound()
    visit.tokens = len(spoken.codes)
    if not isinstance(speaker.backend, InProcess):
        service.metrics.tokens.inc(sum(found.num_tokens for found in spoken.searches))
    used = (script.text_tokens, len(spoken.codes)) if body.stream_format == "sse" else None
    waveform = spoken.waveform.numpy()
    return whole_sound(service, request, waveform, writer, headers, body.response_format, used)


class Candidates(InProcess):
    """A back end in this process that gives up when nobody waits for what it makes.

    Args:
        backend: What generates.
        gone: Is set when whoever asked has left.
        made: Is called with the number of codes that a step has made.
    """

    def __init__(
        self, backend: InProcess, gone: threading.Event, made: Callable[[int], None]
    ) -> None:
        super().__init__(backend.lm)
        self.gone, self.made = gone, made

    def generate(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> list[Generated]:
        """As the back end does it.

        Raises:
            ClientGone: Nobody waits any more.
        """
        places = BatchPlaces(self, max(1, len(prompts)))
        asked = zip(prompts, seeds, strict=True)
        growths = [places.start(prompt, seed, sampling) for prompt, seed in asked]
        codes: list[list[int]] = [[] for _ in growths]
        while places.busy:
            if self.gone.is_set():
                raise ClientGone
            places.step()
            new = [growth.take() for growth in growths]
            self.made(sum(map(len, new)))
            for own, more in zip(codes, new, strict=True):
                own += more
        return [
            Generated(np.array(own, np.int64), growth.ended)
            for own, growth in zip(codes, growths, strict=True)
        ]


def interruptible(speaker: Speaker, gone: threading.Event, made: Callable[[int], None]) -> Speaker:
    """A speaker whose searches end when nobody waits for them; those of a server elsewhere do not
    before their candidates are whole.
    """
    backend = speaker.backend
    if isinstance(backend, InProcess):
        speaker = copy.copy(speaker)
        speaker.backend = Candidates(backend, gone, made)
    return speaker


def judge_of(service: Service) -> Verifier:
    """What chooses: the model that reads codes, the package's own for the codes of its codec, or
    else the recognizer.
    """
    if service.models.ctc is not None:
        return service.models.ctc
    bundled = bundled_reader()
    if bundled.transcriber.codec.difference(service.models.codec.identity, "", "") is None:
        return bundled
    try:
        service.asr()  # which many may ask for, and one loads
        return verifier(f"wer-{service.recognizer}", load=True)
    except XCodec2Error as problem:
        raise ApiProblem(
            400,
            "nothing here can choose among candidates: the server needs --ctc or a recognizer",
            param="search",
            code="no_verifier",
        ) from problem


@functools.cache
def bundled_reader() -> CtcVerifier:
    """The package's model that reads codes."""
    return CtcVerifier()


def whole_sound(
    service: Service,
    request: Request,
    waveform: np.ndarray,
    writer: SoundWriter,
    headers: dict[str, str],
    form: str,
    used: tuple[int, int] | None = None,
) -> Stream:
    """A waveform (N,) that is there already, sent in pieces; as events that end with the tokens
    that it `used`, if these are told.
    """
    visit = visit_of(request)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(waveform), 8_000):
            if piece := writer.write(waveform[start : start + 8_000]):
                yield piece
        if piece := writer.finish():
            yield piece

    def leave() -> None:
        visit.audio = writer.seconds
        service.metrics.audio_seconds.labels("decoded").inc(writer.seconds)

    return Stream(
        sound_events(pieces(), lambda: used) if used else pieces(),
        leave,
        idle_seconds=service.limits.idle_seconds,
        headers=headers,
        media_type=EVENTS if used else MEDIA_TYPES[form],
    )
