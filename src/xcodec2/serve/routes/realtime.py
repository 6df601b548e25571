"""`/v1/realtime/codec`: a WebSocket that takes sound and gives codes, and the other way round."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from typing import Any

import numpy as np
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from xcodec2.audio.samples import pcm16
from xcodec2.errors import XCodec2Error
from xcodec2.serve.engine import FedJob
from xcodec2.serve.guard import KEY_PROTOCOL, Visit
from xcodec2.serve.patience import within
from xcodec2.serve.problems import ApiProblem, body_of, refused
from xcodec2.serve.routes.codes import RawSamples
from xcodec2.serve.routes.decode import codes_of_json
from xcodec2.serve.service import Service, service_of

router = APIRouter()
POLICY, TRY_LATER = 1008, 1013  # closing codes


@router.websocket("/v1/realtime/codec")
async def realtime(socket: WebSocket) -> None:
    """Binary frames of s16le are answered by {"codes": […]}, such messages by binary sound.

    {"type": "finish"} ends both ways: what is left comes, then {"type": "done"}, and the end.
    """
    protocols = [name for name in socket.scope["subprotocols"] if not name.startswith(KEY_PROTOCOL)]
    await socket.accept(protocols[0] if protocols else None)
    try:
        service = service_of(socket)
        session = Session(
            service, socket, asked_rate(socket, service.models.codec.config.input_rate)
        )
    except ApiProblem as problem:
        await refuse(socket, problem, TRY_LATER if problem.status_code == 503 else POLICY)
        return
    try:
        await session.run()
    except (ApiProblem, XCodec2Error) as problem:
        later = isinstance(problem, ApiProblem) and problem.status_code in (429, 503)
        await refuse(socket, problem, TRY_LATER if later else POLICY)
    except WebSocketDisconnect:
        pass
    finally:
        session.close()


@router.websocket("/{path:path}")
async def nowhere(socket: WebSocket) -> None:
    """No other place takes a WebSocket."""
    await socket.close()


def asked_rate(socket: WebSocket, usual: int) -> int:
    """The rate of the sound that comes, in Hz.

    Raises:
        ApiProblem: It is no number.
    """
    asked = socket.query_params.get("sample_rate", str(usual))
    if not re.fullmatch("[0-9]{1,7}", asked):
        raise ApiProblem(400, "sample_rate: a number of Hz", param="sample_rate")
    return int(asked)


async def refuse(socket: WebSocket, problem: Exception, code: int) -> None:
    """Say what was wrong, and close."""
    if isinstance(problem, XCodec2Error):
        problem = refused(problem)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json({"type": "error", **body_of(problem)})
        await socket.close(code)


class Session:
    """One connection: a stream each way, which begins with the first that comes for it.

    Args:
        service: Whose engine works.
        socket: The connection.
        rate: Of the sound that comes, in Hz.
    """

    def __init__(self, service: Service, socket: WebSocket, rate: int) -> None:
        self.service, self.socket, self.rate = service, socket, rate
        self.visit: Visit = socket.scope["visit"]
        self.encoder: FedJob | None = None
        self.decoder: FedJob | None = None
        seconds = service.limits.max_stream_seconds
        self.samples = RawSamples(rate, int(seconds * rate))
        self.most_codes = int(seconds * service.models.codec.frame_rate)
        self.taken = 0  # codes
        self.sending: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Until the client finishes or leaves, or something fails."""
        listening = asyncio.ensure_future(self.listen())
        try:
            while not listening.done():
                tasks = {listening, *self.sending}
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                self.sending = [task for task in self.sending if not task.done()]
            await asyncio.gather(*self.sending)
            await self.send({"type": "done", "codes": []})
            await self.socket.close()
        finally:
            listening.cancel()

    async def listen(self) -> None:
        """Take what comes until {"type": "finish"}.

        Raises:
            ApiProblem: It is neither sound nor codes, or nothing comes for too long.
            WebSocketDisconnect: The client has left.
        """
        while True:
            try:
                message = await within(self.service.limits.idle_seconds, self.socket.receive())
            except asyncio.TimeoutError as problem:
                raise ApiProblem(408, "nothing came for too long", code="idle") from problem
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            if message.get("bytes") is not None:
                await self.hear(message["bytes"])
            elif not await self.read(message.get("text") or ""):
                break
        self.samples.finish()
        for job in (self.encoder, self.decoder):
            if job is not None:
                job.inlet.end()

    async def hear(self, content: bytes) -> None:
        """Sound → the encoder."""
        if self.encoder is None:
            self.service.encoding()
            try:
                self.encoder = self.service.engine.encode(self.rate)
            except XCodec2Error as problem:
                raise refused(problem, "sample_rate") from problem
            self.sending.append(asyncio.ensure_future(self.send_codes(self.encoder)))
        for part, seconds in self.samples.take(content):
            await self.encoder.inlet.put(part, seconds)

    async def read(self, text: str) -> bool:
        """Codes → the decoder; whether more may come."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise ApiProblem(400, "a message is no JSON", code="invalid_json") from problem
        if isinstance(value, dict) and "codes" not in value:
            if value.get("type") == "finish":
                return False
            raise ApiProblem(400, 'a message is {"codes": […]} or {"type": "finish"}', param="type")
        codes = codes_of_json(text, self.service.models.codec.codebook_size)
        self.taken += len(codes)
        if self.taken > self.most_codes:
            raise ApiProblem(413, f"a session may bring {self.most_codes} codes")
        if codes:
            if self.decoder is None:
                self.decoder = self.service.engine.decode()
                self.sending.append(asyncio.ensure_future(self.send_sound(self.decoder)))
            await self.decoder.inlet.put(np.array(codes, np.int64), len(codes))
        return True

    async def send_codes(self, job: FedJob) -> None:
        """Codes, as they become final."""
        while (codes := await job.outlet.next()) is not None:
            self.visit.tokens += len(codes)
            await self.send({"codes": codes.tolist()})

    async def send_sound(self, job: FedJob) -> None:
        """Sound, as s16le at the codec's rate."""
        rate = self.service.models.codec.sample_rate
        while (samples := await job.outlet.next()) is not None:
            self.visit.audio += len(samples) / rate
            self.visit.sound()
            await self.patiently(self.socket.send_bytes(pcm16(samples).astype("<i2").tobytes()))

    async def send(self, facts: dict[str, Any]) -> None:
        """A message of JSON."""
        await self.patiently(self.socket.send_json(facts))

    async def patiently(self, sending: Any) -> None:
        """Send, unless the client does not take it for too long."""
        try:
            await within(self.service.limits.idle_seconds, sending)
        except asyncio.TimeoutError as problem:
            raise WebSocketDisconnect(1001) from problem

    def close(self) -> None:
        """Free everything, and count what there was."""
        heard = self.visit.tokens / self.service.models.codec.frame_rate
        seconds = self.service.metrics.audio_seconds
        seconds.labels("encoded").inc(heard)
        seconds.labels("decoded").inc(self.visit.audio)
        self.visit.audio += heard
        self.visit.tokens += self.taken
        for task in self.sending:
            task.cancel()
        for job in (self.encoder, self.decoder):
            if job is not None:
                self.service.engine.cancel(job)
