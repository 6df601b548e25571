"""`POST /v1/audio/decode`: codes → sound, of a whole recording or as they are written."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from xcodec2.codes import Codes
from xcodec2.errors import XCodec2Error
from xcodec2.serve.engine import CHUNK_CODES, FedJob
from xcodec2.serve.exchange import (
    Stream,
    body_of_request,
    chained,
    media_type_of,
    unless_gone,
    uploaded,
    visit_of,
)
from xcodec2.serve.feeding import pump, pump_codes, pumped
from xcodec2.serve.problems import ApiProblem, checked_fields, parsed_body, refused
from xcodec2.serve.routes.codes import FILE
from xcodec2.serve.schemas import CodesRequest, DecodeFields, Format, body_schema, error_answers
from xcodec2.serve.searching import whole_sound
from xcodec2.serve.service import Service, service_of
from xcodec2.serve.sound import MEDIA_TYPES, RATES, SoundWriter, output_rate

router = APIRouter()
LINE_TYPES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
)
MAX_LINE = 1 << 20  # bytes
FORM = body_schema(DecodeFields)
FORM |= {"required": ["file"], "properties": {"file": FILE, **FORM["properties"]}}


@dataclass(frozen=True)
class Wanted:
    """What sound is asked for."""

    form: str
    rate: int | None
    speed: float


@router.post(
    "/v1/audio/decode",
    summary="Codes to speech",
    response_class=Response,
    responses={
        200: {
            "description": "Audio, sent while it is decoded.",
            "content": {kind: {} for kind in MEDIA_TYPES.values()},
        },
        **error_answers(413, 415),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body_schema(CodesRequest)},
                "application/x-npz": {"schema": FILE},
                "multipart/form-data": {"schema": FORM},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        }
    },
)
async def create_audio(
    request: Request,
    response_format: Annotated[Format | None, Query(description="wav unless given.")] = None,
    sample_rate: Annotated[int | None, Query(description="Of the audio, in Hz.")] = None,
    speed: Annotated[float | None, Query(ge=0.25, le=4.0, allow_inf_nan=False)] = None,
) -> Response:
    """Decode the JSON of /v1/audio/codes, a codes file, or lines of codes while they come."""
    service = service_of(request)
    check_rate(sample_rate)
    if media_type_of(request) in LINE_TYPES:
        wanted = Wanted(response_format or "wav", sample_rate, speed or 1.0)
        return await stream_audio(service, request, wanted)
    content, given = await uploaded(request)
    fields = checked_fields(DecodeFields, given)
    check_rate(fields.sample_rate)
    codes, asked = await asyncio.to_thread(codes_in, content, service)
    form, tempo = (asked.response_format, asked.speed) if asked is not None else (None, None)
    wanted = Wanted(
        response_format or fields.response_format or form or "wav",
        sample_rate or fields.sample_rate,
        speed or fields.speed or tempo or 1.0,
    )
    return await whole_audio(service, request, codes, wanted)


def check_rate(rate: int | None) -> None:
    """Refuse a rate that no format has.

    Raises:
        ApiProblem: It is one.
    """
    if rate is not None and rate not in RATES:
        known = ", ".join(map(str, RATES))
        raise ApiProblem(400, f"sample_rate is one of {known}", param="sample_rate")


def codes_in(content: bytes, service: Service) -> tuple[Codes, CodesRequest | None]:
    """The codes of a body, and what its JSON asks besides.

    Raises:
        ApiProblem: There are none, too many, or those of another codec.
    """
    model, asked = service.models.codec, None
    if not content.strip():
        raise ApiProblem(400, "the body is empty: send codes", param="codes")
    try:
        if content.lstrip()[:1] in (b"{", b"["):
            most = int(service.limits.max_seconds * model.frame_rate)
            asked = asked_for(content, Lines(model.codebook_size, most))
            codes = Codes(
                torch.tensor(asked.codes, dtype=torch.int64, device="cpu"),
                num_samples=asked.num_samples,
                sample_rate=asked.sample_rate,
                frame_rate=asked.frame_rate or model.frame_rate,
                codebook_size=asked.codebook_size or model.codebook_size,
                model=asked.model,
                weights_hash=asked.weights_hash,
            )
        else:
            codes = Codes.load(
                content, frame_rate=model.frame_rate, codebook_size=model.codebook_size
            )
        if difference := codes.identity.difference(model.identity, "what was sent", "this server"):
            raise ApiProblem(400, difference, code="wrong_codec", param="codes")
    except XCodec2Error as problem:
        raise refused(problem, "codes") from problem
    if len(codes) > service.limits.max_seconds * model.frame_rate:
        raise ApiProblem(413, f"more codes than {service.limits.max_seconds:g} s of audio have")
    return codes, asked


def asked_for(content: bytes, lines: Lines) -> CodesRequest:
    """What a body of JSON asks for: an object, a list of codes alone, or lines of either, whose
    client did not say that there would be lines.
    """
    listed = content.lstrip()[:1] == b"["
    try:
        return parsed_body(CodesRequest, b'{"codes":' + content + b"}" if listed else content)
    except ApiProblem as problem:
        if problem.code != "invalid_json" or b"\n" not in content.strip():
            raise
        try:
            parts = [part for part, _ in (*lines.take(content), *lines.finish())]
        except ApiProblem as other:
            raise problem if other.code == "invalid_json" else other from None
        return CodesRequest.model_validate({"codes": np.concatenate(parts).tolist()})


async def whole_audio(service: Service, request: Request, codes: Codes, wanted: Wanted) -> Response:
    """Codes that are all there: streamed where that gives what decoding the whole does."""
    model, visit = service.models.codec, visit_of(request)
    visit.tokens = len(codes)
    rate = output_rate(wanted.form, wanted.rate, model.sample_rate)
    writer = SoundWriter(wanted.form, model.sample_rate, rate, wanted.speed)
    headers = {"X-Sample-Rate": str(rate), "X-Channels": "1"}
    if model.receptive_field is None:
        try:
            work = service.whole.run_there(lambda: model.decode(codes))
            waveform = await unless_gone(request, work)
        except XCodec2Error as problem:
            raise refused(problem, "codes") from problem
        return whole_sound(service, request, waveform.numpy(), writer, headers, wanted.form)
    job = service.engine.decode()
    left = len(codes) * (model.sample_rate // model.frame_rate)
    if codes.num_samples is not None and codes.sample_rate is not None:
        left = max(1, round(codes.num_samples * model.sample_rate / codes.sample_rate))
    feeding = asyncio.ensure_future(pump_codes(request, job, codes.codes))
    return await sounding(
        service, request, job, feeding, writer, headers, wanted.form, lambda: len(codes), left
    )


async def stream_audio(service: Service, request: Request, wanted: Wanted) -> Response:
    """Sound of lines of codes, while these still come."""
    body_of_request(request).unlimited()
    model = service.models.codec
    rate = output_rate(wanted.form, wanted.rate, model.sample_rate)
    writer = SoundWriter(wanted.form, model.sample_rate, rate, wanted.speed)
    headers = {"X-Sample-Rate": str(rate), "X-Channels": "1"}
    job = service.engine.decode()
    lines = Lines(model.codebook_size, int(service.limits.max_stream_seconds * model.frame_rate))
    feeding = asyncio.ensure_future(pump(request, job, lines, service.limits))
    return await sounding(
        service, request, job, feeding, writer, headers, wanted.form, lambda: lines.count
    )


async def sounding(
    service: Service,
    request: Request,
    job: FedJob,
    feeding: asyncio.Future[None],
    writer: SoundWriter,
    headers: dict[str, str],
    form: str,
    fed: Callable[[], int],
    most: int | None = None,
) -> Response:
    """The sound of a job that was `fed` so many codes, at most so many samples; the first before
    the answer begins.
    """
    visit = visit_of(request)

    async def pieces() -> AsyncIterator[bytes]:
        left = most
        async for samples in pumped(job, feeding):
            kept = samples if left is None else samples[:left]
            left = None if left is None else left - len(kept)
            if piece := writer.write(kept):
                visit.sound()
                yield piece
        if piece := writer.finish():
            yield piece

    def leave() -> None:
        feeding.cancel()
        visit.audio, visit.tokens = writer.seconds, fed()
        service.metrics.audio_seconds.labels("decoded").inc(writer.seconds)
        service.engine.cancel(job)

    content = pieces()
    try:
        first = await anext(content, b"")
    except BaseException as problem:
        leave()
        if isinstance(problem, XCodec2Error):
            raise refused(problem, "codes") from problem
        raise
    return Stream(
        chained(first, content),
        leave,
        idle_seconds=service.limits.idle_seconds,
        headers=headers,
        media_type=MEDIA_TYPES[form],
        listen=False,
    )


class Lines:
    """Lines of JSON, cut anywhere → codes.

    Args:
        codebook_size: Codes that there are.
        most: Codes that may come.
    """

    def __init__(self, codebook_size: int, most: int) -> None:
        self.codebook_size, self.most = codebook_size, most
        self.decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.rest = ""
        self.count = 0

    def take(self, content: bytes) -> list[tuple[np.ndarray, float]]:
        """The codes of lines that are whole.

        Raises:
            ApiProblem: A line holds something else.
        """
        try:
            *whole, self.rest = (self.rest + self.decoder.decode(content)).split("\n")
        except UnicodeDecodeError as problem:
            raise ApiProblem(400, "the lines are not UTF-8", param="codes") from problem
        if len(self.rest) > MAX_LINE:
            raise ApiProblem(413, f"a line is longer than {MAX_LINE} bytes", param="codes")
        return [found for text in whole for found in self.codes(text)]

    def finish(self) -> list[tuple[np.ndarray, float]]:
        """The codes of a last line without its end.

        Raises:
            ApiProblem: There were no codes at all.
        """
        found = self.codes(self.rest)
        if not self.count:
            raise ApiProblem(400, "there are no codes", param="codes")
        return found

    def codes(self, text: str) -> list[tuple[np.ndarray, float]]:
        """The codes of a line, in pieces with their numbers."""
        if not text.strip():
            return []
        codes = codes_of_json(text, self.codebook_size)
        self.count += len(codes)
        if self.count > self.most:
            raise ApiProblem(413, f"a stream may have {self.most} codes", param="codes")
        parts = range(0, len(codes), CHUNK_CODES)
        pieces = [codes[start : start + CHUNK_CODES] for start in parts]
        return [(np.array(piece, np.int64), len(piece)) for piece in pieces]


def codes_of_json(text: str, codebook_size: int) -> list[int]:
    """The codes of {"codes": […]}, of a list, or one code; none is fine.

    Raises:
        ApiProblem: It is something else.
    """
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ApiProblem(400, "a line is no JSON", param="codes", code="invalid_json") from problem
    if isinstance(value, dict):
        if "codes" not in value:
            raise ApiProblem(400, 'an object is {"codes": […]}', param="codes")
        value = value["codes"]
    codes = value if isinstance(value, list) else [value]
    for code in codes:
        if type(code) is not int or not 0 <= code < codebook_size:
            shown = str(code)[:20]
            raise ApiProblem(400, f"{shown!r} is no code of 0…{codebook_size - 1}", param="codes")
    return codes
