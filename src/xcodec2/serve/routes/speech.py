"""`POST /v1/audio/speech`: text → sound, sent while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import Response

from xcodec2.errors import XCodec2Error
from xcodec2.serve.engine import SpeechJob
from xcodec2.serve.exchange import Stream, chained, sound_events, unless_gone, visit_of
from xcodec2.serve.problems import ApiProblem, parsed_body, refused
from xcodec2.serve.schemas import SpeechRequest, body_schema, error_answers
from xcodec2.serve.searching import searched
from xcodec2.serve.service import SPEECH_ALIASES, Service, service_of
from xcodec2.serve.sound import EVENTS, MEDIA_TYPES, SoundWriter, output_rate
from xcodec2.serve.speech import Script, sampling_of
from xcodec2.serve.voicing import Voicing, voice_for

router = APIRouter()


@router.post(
    "/v1/audio/speech",
    summary="Text to speech",
    response_class=Response,
    responses={
        200: {
            "description": "Audio, sent while it is made; or events of it.",
            "content": {kind: {} for kind in (*MEDIA_TYPES.values(), EVENTS)},
        },
        **error_answers(404, 413, 415),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body_schema(SpeechRequest)}},
        }
    },
)
async def create_speech(request: Request) -> Response:
    """Speak a text.

    The answer begins with the first sound, so that what is wrong is told by its status.
    """
    service = service_of(request)
    visit = visit_of(request)
    body = parsed_body(SpeechRequest, await request.body())
    visit.text = body.input
    service.check_model(body.model, SPEECH_ALIASES)
    speaker = service.speaking()
    if len(body.input) > service.limits.max_characters:
        raise ApiProblem(
            400,
            f"input has {len(body.input)} characters; at most {service.limits.max_characters} are "
            "spoken at once",
            param="input",
            code="string_above_max_length",
        )
    voicing = await voice_for(service, request, body)
    codec = service.models.codec
    rate = output_rate(body.response_format, body.sample_rate, codec.sample_rate)
    writer = SoundWriter(body.response_format, codec.sample_rate, rate, body.speed)
    try:
        script = await asyncio.to_thread(
            Script,
            speaker,
            body.input,
            voicing.voice,
            sampling_of(body, speaker.sampling),
            body.seed or 0,
        )
    except XCodec2Error as problem:
        raise refused(problem, "input") from problem
    headers = headers_of(body, voicing, rate)
    if body.search:
        return await searched(service, request, body, script, writer, headers)
    job = service.engine.speak(script)
    speech = SpeechAnswer(service, request, job, writer)
    pieces = speech.pieces()
    try:
        first = await unless_gone(request, anext(pieces, b""))
    except BaseException as problem:
        speech.leave()
        if isinstance(problem, XCodec2Error):
            raise ApiProblem(500, str(problem), code="generation_failed") from problem
        raise
    content, kind = chained(first, pieces), MEDIA_TYPES[body.response_format]
    if body.stream_format == "sse":
        used = lambda: (script.text_tokens, job.tokens)  # noqa: E731
        content, kind = sound_events(content, used), EVENTS
    return Stream(
        content,
        speech.leave,
        idle_seconds=service.limits.idle_seconds,
        headers=headers,
        media_type=kind,
    )


def headers_of(body: SpeechRequest, voicing: Voicing, rate: int) -> dict[str, str]:
    """What is said of the audio before it comes."""
    headers = {"X-Sample-Rate": str(rate), "X-Channels": "1", "Cache-Control": "no-store"}
    if body.instructions:
        headers["X-Ignored"] = "instructions"
    if voicing.note:
        headers["X-Voice-Note"] = voicing.note
    headers["X-Voice"] = voicing.id
    return headers


class SpeechAnswer:
    """One text that is being sent.

    Args:
        service: Whose engine speaks.
        request: Who hears it.
        job: The engine's.
        writer: Of the format.
    """

    def __init__(
        self, service: Service, request: Request, job: SpeechJob, writer: SoundWriter
    ) -> None:
        self.service, self.job, self.writer = service, job, writer
        self.visit = visit_of(request)
        self.left = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Bytes of the format, as soon as there are any."""
        while (samples := await self.job.outlet.next()) is not None:
            if piece := self.writer.write(samples):
                self.heard()
                yield piece
        if piece := self.writer.finish():
            self.heard()
            yield piece

    def heard(self) -> None:
        """Sound is sent."""
        if self.visit.first is None:
            self.visit.sound()
            self.service.metrics.first_sound.observe(self.visit.first or 0.0)

    def leave(self) -> None:
        """It is over, or nobody listens any more."""
        if self.left:
            return
        self.left = True
        self.visit.audio, self.visit.tokens = self.writer.seconds, self.job.tokens
        self.service.metrics.audio_seconds.labels("spoken").inc(self.writer.seconds)
        if self.service.engine.cancel(self.job):
            self.service.metrics.cancelled.inc()
