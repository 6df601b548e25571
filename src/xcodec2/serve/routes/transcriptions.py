"""`POST /v1/audio/transcriptions`: speech → text, by its codes or by a recognizer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import FormData, UploadFile

from xcodec2 import evaluators
from xcodec2.audio.io import Audio
from xcodec2.errors import UndefinedError, XCodec2Error
from xcodec2.serve.exchange import Stream, event, media_type_of, unless_gone, visit_of
from xcodec2.serve.problems import ApiProblem, refused
from xcodec2.serve.schemas import error_answers
from xcodec2.serve.service import TRANSCRIPTION_ALIASES, Service, service_of
from xcodec2.transcribe.decoding import Timed, Transcript
from xcodec2.transcribe.formats import cues, format_transcript

router = APIRouter()
FORMATS = ("json", "text", "verbose_json", "srt", "vtt")
TIMED = ("srt", "vtt")
RECOGNIZER_RATE = 16_000
CTC_NAME = "ctc-over-codes"
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "model": {"type": "string"},
                        "language": {"type": "string"},
                        "response_format": {"type": "string", "enum": list(FORMATS)},
                        "stream": {"type": "boolean"},
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    form: str
    language: str | None
    stream: bool
    words: bool


@dataclass(frozen=True)
class Heard:
    """What was understood, and by whom.

    Attributes:
        text: All of it.
        model: The name of what understood it.
        language: Of the text, if that is known.
        transcript: With times, where there are some.
    """

    text: str
    model: str
    language: str | None
    transcript: Transcript | None = None


@router.post(
    "/v1/audio/transcriptions",
    summary="Speech to text",
    response_class=Response,
    responses={
        200: {
            "description": "The text.",
            "content": {"application/json": {}, "text/plain": {}, "text/event-stream": {}},
        },
        **error_answers(404, 413, 415),
    },
    openapi_extra=FORM,
)
async def create_transcription(request: Request) -> Response:
    """Transcribe audio; `model` in the answer names what did."""
    service = service_of(request)
    service.whole.check_room()
    if media_type_of(request) != "multipart/form-data":
        raise ApiProblem(400, "a transcription is asked for by a form with a file", param="file")
    async with request.form(max_files=2, max_fields=32) as form:
        wish = wish_of(form, service)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ApiProblem(400, "file: is needed", param="file")
        content = await file.read()
    await check_possible(service, wish)
    audio = await unless_gone(request, service.readers.read(content))
    heard = await unless_gone(request, understood(service, audio))
    visit = visit_of(request)
    visit.audio, visit.text = audio.num_samples / audio.sample_rate, heard.text
    if wish.stream:
        return Stream(
            events(heard),
            lambda: None,
            idle_seconds=service.limits.idle_seconds,
            media_type="text/event-stream",
        )
    return answer_of(heard, wish, visit.audio)


def wish_of(form: FormData, service: Service) -> Wish:
    """What a form asks for.

    Raises:
        ApiProblem: Something that there is not.
    """

    def text(name: str) -> str | None:
        value = form.get(name)
        return value if isinstance(value, str) and value else None

    model = text("model")
    service.check_model(model, (*TRANSCRIPTION_ALIASES, CTC_NAME, service.recognizer))
    form_name = text("response_format") or "json"
    if form_name not in FORMATS:
        raise ApiProblem(
            400, f"response_format: one of {', '.join(FORMATS)}", param="response_format"
        )
    stream = (text("stream") or "false").lower()
    if stream not in ("true", "false", "1", "0"):
        raise ApiProblem(400, "stream: true or false", param="stream")
    asked = [*form.getlist("timestamp_granularities[]"), *form.getlist("timestamp_granularities")]
    return Wish(form_name, text("language"), stream in ("true", "1"), "word" in asked)


async def check_possible(service: Service, wish: Wish) -> None:
    """Refuse what nothing here can do, before any work.

    Raises:
        ApiProblem: It cannot be done.
    """
    if service.models.ctc is not None:
        languages: frozenset[str] | None = None
    else:
        recognizer = await recognizer_of(service)
        languages = recognizer.languages
        if wish.form in TIMED or wish.words:
            raise ApiProblem(
                400,
                f"{recognizer.name} gives no times: ask for json, text or verbose_json, or start "
                "the server with --ctc",
                param="response_format",
                code="no_timestamps",
            )
    if wish.language and languages is not None and wish.language.lower() not in languages:
        raise ApiProblem(
            400, f"language: only {', '.join(sorted(languages))} here", param="language"
        )


async def recognizer_of(service: Service) -> evaluators.ASR:
    """The recognizer of the evaluation.

    Raises:
        ApiProblem: It is not installed.
    """
    try:
        async with service.asking:  # threads that wait for it would be missing elsewhere
            return await asyncio.to_thread(service.asr)
    except XCodec2Error as problem:
        raise ApiProblem(
            400,
            "this server cannot transcribe: it was started without --ctc, and no recognizer is "
            "installed",
            code="no_recognizer",
        ) from problem


async def understood(service: Service, audio: Audio) -> Heard:
    """What audio says.

    Raises:
        ApiProblem: It is too short.
    """
    ctc = service.models.ctc
    try:
        if ctc is not None:
            service.encoding()
            codes = await service.whole.encode(audio.waveform)
            found = await service.whole.run_there(lambda: ctc.transcriber.transcribe(codes))
            return Heard(found.text, CTC_NAME, None, found)
        recognizer = await recognizer_of(service)
        waveform, rate = audio.waveform.numpy(), service.models.codec.config.input_rate
        if rate != RECOGNIZER_RATE:
            from soxr import resample

            waveform = resample(waveform, rate, RECOGNIZER_RATE)
        text = await service.whole.run_there(lambda: recognizer.transcribe(waveform))
        known = recognizer.languages or frozenset()
        return Heard(text, service.recognizer, next(iter(known)) if len(known) == 1 else None)
    except UndefinedError:  # too short, or silent
        return Heard("", service.recognizer, None)
    except XCodec2Error as problem:
        raise refused(problem, "file") from problem


def answer_of(heard: Heard, wish: Wish, seconds: float) -> Response:
    """The text in the form that is asked for."""
    headers = {"X-Model": heard.model}
    if wish.form == "json":
        return JSONResponse({"text": heard.text, "model": heard.model}, headers=headers)
    if wish.form == "text":
        return PlainTextResponse(f"{heard.text}\n", headers=headers)
    if wish.form in TIMED and heard.transcript is not None:
        text = format_transcript(heard.transcript, wish.form)
        kind = "text/vtt" if wish.form == "vtt" else "application/x-subrip"
        return Response(text, media_type=kind, headers=headers)
    words = heard.transcript.words if heard.transcript is not None else []
    lines = list(cues(words)) if words else [Timed(heard.text, 0.0, seconds)]
    facts: dict[str, Any] = {
        "task": "transcribe",
        "language": heard.language or "unknown",
        "duration": seconds,
        "text": heard.text,
        "model": heard.model,
        "segments": [
            {"id": number, "start": line.start, "end": line.end, "text": line.text}
            for number, line in enumerate(lines)
            if line.text
        ],
    }
    if wish.words:
        facts["words"] = [
            {"word": word.text, "start": word.start, "end": word.end} for word in words
        ]
    return JSONResponse(facts, headers=headers)


async def events(heard: Heard) -> AsyncIterator[bytes]:
    """The text, word by word, then whole."""
    for place, word in enumerate(heard.text.split()):
        delta = word if place == 0 else f" {word}"
        yield event({"type": "transcript.text.delta", "delta": delta})
        await asyncio.sleep(0)
    yield event({"type": "transcript.text.done", "text": heard.text, "model": heard.model})
