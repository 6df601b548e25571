"""`POST /v1/audio/codes`: speech → codes, of a whole file or as it is recorded."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from xcodec2.codes import Codes
from xcodec2.errors import XCodec2Error
from xcodec2.serve.engine import FedJob
from xcodec2.serve.exchange import (
    Stream,
    body_of_request,
    chained,
    media_type_of,
    unless_gone,
    uploaded,
    visit_of,
)
from xcodec2.serve.feeding import pump, pumped
from xcodec2.serve.problems import ApiProblem, body_of, refused
from xcodec2.serve.schemas import CodesAnswer, error_answers
from xcodec2.serve.service import Service, service_of
from xcodec2.serve.voicing import described_codes

router = APIRouter()
NPZ = "application/x-npz"
LINES = "application/x-ndjson"
FILE = {"type": "string", "format": "binary"}
UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": FILE}}
            },
            "application/octet-stream": {"schema": FILE},
        },
    }
}


@router.post(
    "/v1/audio/codes",
    summary="Speech to codes",
    responses={
        200: {
            "model": CodesAnswer,
            "description": "Codes; lines of them with ?stream=1; a codes file if accepted.",
            "content": {NPZ: {}, LINES: {}},
        },
        **error_answers(413, 415),
    },
    openapi_extra=UPLOAD,
)
async def create_codes(
    request: Request,
    stream: Annotated[bool, Query(description="The body is s16le samples that arrive.")] = False,
    sample_rate: Annotated[
        int | None, Query(description="Of a stream, in Hz; 16000 unless given.")
    ] = None,
) -> Response:
    """Encode audio of any format, rate and number of channels; or a stream of 16-bit samples."""
    service = service_of(request)
    model = service.encoding()
    if stream:
        rate = model.config.input_rate if sample_rate is None else sample_rate
        return await stream_codes(service, request, rate)
    service.whole.check_room()
    content, _ = await uploaded(request)
    audio = await unless_gone(request, service.readers.read(content))
    try:
        found = await unless_gone(request, service.whole.encode(audio.waveform))
    except XCodec2Error as problem:
        raise refused(problem, "file", code="audio_too_short") from problem
    codes = described_codes(service, found, audio.num_samples, audio.sample_rate)
    visit_of(request).audio = codes.duration
    visit_of(request).tokens = len(codes)
    service.metrics.audio_seconds.labels("encoded").inc(codes.duration)
    if accepts(request, NPZ):
        headers = {"Content-Disposition": 'attachment; filename="codes.npz"'}
        return Response(codes.to_bytes(), media_type=NPZ, headers=headers)
    return JSONResponse(codes_as_json(codes))


def accepts(request: Request, kind: str) -> bool:
    """Whether a client names a type among those that it takes."""
    for named in request.headers.get("accept", "").lower().split(","):
        name, *parameters = (part.strip() for part in named.split(";"))
        if name == kind:
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", part) for part in parameters)
    return False


def codes_as_json(codes: Codes) -> dict[str, Any]:
    """Codes and what they are, as JSON has them."""
    return {
        "codes": codes.codes.tolist(),
        "num_samples": codes.num_samples,
        "sample_rate": codes.sample_rate,
        "frame_rate": codes.frame_rate,
        "codebook_size": codes.codebook_size,
        "model": codes.model,
        "weights_hash": codes.weights_hash,
    }


async def stream_codes(service: Service, request: Request, sample_rate: int) -> Response:
    """Lines of codes as they become final, while the body still comes.

    Raises:
        ApiProblem: The body says that it is something else than samples.
    """
    if media_type_of(request) in ("multipart/form-data", "application/json"):
        raise ApiProblem(400, "a stream's body is s16le samples and nothing else", param="stream")
    body_of_request(request).unlimited()
    try:
        job = service.engine.encode(sample_rate)
    except XCodec2Error as problem:
        raise refused(problem, "sample_rate") from problem
    visit = visit_of(request)
    most = int(service.limits.max_stream_seconds * sample_rate)
    feeding = asyncio.ensure_future(
        pump(request, job, RawSamples(sample_rate, most), service.limits)
    )

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for codes in pumped(job, feeding):
                visit.tokens += len(codes)
                visit.sound()
                yield line({"codes": codes.tolist()})
        except (XCodec2Error, ApiProblem) as problem:
            if not visit.tokens:
                raise  # the answer has not begun
            yield line(body_of(problem))
            return
        visit.audio = visit.tokens / service.models.codec.frame_rate
        yield line({"codes": [], "done": True, **origin(service, job)})

    def leave() -> None:
        feeding.cancel()
        service.engine.cancel(job)
        service.metrics.audio_seconds.labels("encoded").inc(
            visit.tokens / service.models.codec.frame_rate
        )

    content = lines()
    try:
        first = await anext(content)
    except BaseException as problem:
        leave()
        if isinstance(problem, XCodec2Error):
            raise refused(problem, "file", code="audio_too_short") from problem
        raise
    return Stream(
        chained(first, content),
        leave,
        idle_seconds=service.limits.idle_seconds,
        media_type=LINES,
        listen=False,
    )


def origin(service: Service, job: FedJob) -> dict[str, Any]:
    """What a stream's codes came from, behind its last."""
    model, audio = service.models.codec, job.session.audio  # type: ignore[union-attr]
    return {
        "num_samples": audio.num_samples,
        "sample_rate": audio.rate,
        "frame_rate": model.frame_rate,
        "codebook_size": model.codebook_size,
        "model": model.model_id,
        "weights_hash": model.weights_hash,
    }


def line(facts: dict[str, Any]) -> bytes:
    """One line of ndjson."""
    return json.dumps(facts).encode() + b"\n"


class RawSamples:
    """Bytes, cut anywhere → 16-bit samples.

    Args:
        rate: In Hz.
        most: Samples that may come.
    """

    def __init__(self, rate: int, most: int) -> None:
        self.rate, self.most = rate, most
        self.rest = b""
        self.count = 0

    def take(self, content: bytes) -> list[tuple[np.ndarray, float]]:
        """The samples that are whole, with their seconds, at most one second together.

        Raises:
            ApiProblem: There are too many.
        """
        content = self.rest + content
        whole = len(content) // 2 * 2
        samples = np.frombuffer(content[:whole], "<i2")
        self.rest = content[whole:]
        self.count += len(samples)
        if self.count > self.most:
            raise ApiProblem(413, f"a stream may last {self.most / self.rate:g} s")
        return [
            (part, len(part) / self.rate)
            for start in range(0, len(samples), self.rate)
            if len(part := samples[start : start + self.rate])
        ]

    def finish(self) -> list[tuple[np.ndarray, float]]:
        """Nothing more.

        Raises:
            ApiProblem: Half a sample is left.
        """
        if self.rest:
            raise ApiProblem(400, "the stream ends in the middle of a 16-bit sample")
        return []
