"""Which voice a request means, and clips that become voices."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass
from itertools import chain

import numpy as np
from fastapi import Request

from xcodec2.codes import Codes
from xcodec2.errors import XCodec2Error
from xcodec2.llasa.prompts import is_speakable
from xcodec2.llasa.speaker import Voice
from xcodec2.llasa.voices import VOICE_SECONDS, StoredVoice
from xcodec2.serve.exchange import unless_gone
from xcodec2.serve.problems import ApiProblem, refused
from xcodec2.serve.schemas import SpeechRequest
from xcodec2.serve.service import Service

DEFAULT = "default"
USUAL = frozenset(
    [
        "alloy",
        "ash",
        "ballad",
        "cedar",
        "coral",
        "echo",
        "fable",
        "marin",
        "nova",
        "onyx",
        "sage",
        "shimmer",
        "verse",
        "default",
    ]
)
ONE_VOICE = "this model has one voice, which speaks instead"
NOT_STORED = "a usual name, for which the model's own voice speaks"
DATA_URL = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Voicing:
    """A voice to speak in.

    Attributes:
        voice: None for the model's own.
        id: What it is called.
        note: What a client should know of it.
    """

    voice: Voice | None = None
    id: str = DEFAULT
    note: str | None = None


async def voice_for(service: Service, request: Request, body: SpeechRequest) -> Voicing:
    """The voice that a request asks for.

    Raises:
        ApiProblem: There is none of that name, or the clip given cannot be used.
    """
    asked = body.voice if isinstance(body.voice, str) or body.voice is None else body.voice.id
    if service.speaking().backend.metadata.one_voice:
        usual = asked in (None, "", DEFAULT) and body.ref_audio is None
        return Voicing(note=None if usual else ONE_VOICE)
    if body.ref_audio is not None:
        return Voicing(await given_voice(service, request, body), "given")
    if stored := await asyncio.to_thread(find_voice, service, asked or ""):
        try:
            stored.codes.identity.check(
                service.models.codec.identity, f"voice {stored.id}", "the codec"
            )
        except XCodec2Error as problem:
            raise refused(problem, "voice", code="wrong_codec") from problem
        codes = stored.codes.codes.numpy().astype(np.int64)
        return Voicing(Voice(stored.text, codes), stored.id)
    if not asked or asked.lower() in USUAL:
        return Voicing(note=NOT_STORED if asked and asked != DEFAULT else None)
    raise ApiProblem(
        400,
        "there is no such voice: GET /v1/audio/voices lists them",
        param="voice",
        code="voice_not_found",
    )


def find_voice(service: Service, asked: str) -> StoredVoice | None:
    """The voice of an id or a name.

    Raises:
        ApiProblem: Its file is damaged.
    """
    if not asked:
        return None
    store, presets = service.voices, service.presets()
    try:
        if asked in store:
            return store.load(asked)
    except XCodec2Error as problem:
        if asked in store:  # and has not been deleted since
            raise ApiProblem(500, "that voice's file is damaged", code="voice_damaged") from problem
    named = (voice for voice in chain(store, presets.values()) if voice.name == asked)
    return presets.get(asked) or next(named, None)


async def given_voice(service: Service, request: Request, body: SpeechRequest) -> Voice:
    """The voice of the clip inside a request."""
    if not is_speakable(body.ref_text or ""):
        raise ApiProblem(400, "ref_audio needs ref_text: what it says", param="ref_text")
    content = data_of(body.ref_audio or "")
    codes = await unless_gone(request, clip_codes(service, content, "ref_audio"))
    return Voice(str(body.ref_text).strip(), codes.codes.numpy().astype(np.int64))


def data_of(url: str) -> bytes:
    """The bytes of a data URL, or of base64 alone."""
    text = DATA_URL.sub("", url, count=1)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise ApiProblem(
            400, "ref_audio is a data URL: data:audio/wav;base64,…", param="ref_audio"
        ) from problem


async def clip_codes(service: Service, content: bytes, param: str) -> Codes:
    """The codes of a voice clip.

    Raises:
        ApiProblem: It cannot be read, or is too short or too long.
    """
    model = service.encoding()
    audio = await service.readers.read(content, param)
    seconds, (least, most) = len(audio.waveform) / model.config.input_rate, VOICE_SECONDS
    if not least <= seconds <= most:
        raise ApiProblem(
            400,
            f"the voice clip has {seconds:.1f} s; give one of {least:g} to {most:g} s",
            param=param,
            code="clip_length",
        )
    codes = await service.whole.encode(audio.waveform)
    return described_codes(service, codes, audio.num_samples, audio.sample_rate)


def described_codes(service: Service, codes: object, num_samples: int, sample_rate: int) -> Codes:
    """Codes (T,) with whose they are and what they came from."""
    model = service.models.codec
    return Codes(
        codes,  # type: ignore[arg-type]  # any tensor of integers
        num_samples=num_samples,
        sample_rate=sample_rate,
        frame_rate=model.frame_rate,
        codebook_size=model.codebook_size,
        model=model.model_id,
        weights_hash=model.weights_hash,
    )
