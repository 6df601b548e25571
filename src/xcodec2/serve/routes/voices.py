"""`/v1/audio/voices`: voices to speak in, each with the consent that was given for it."""

from __future__ import annotations

import asyncio
import calendar
import re
import secrets
import time
import unicodedata
from itertools import chain

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import FormData

from xcodec2.codes import Codes
from xcodec2.errors import XCodec2Error
from xcodec2.llasa.prompts import is_speakable
from xcodec2.llasa.voices import ID, StoredVoice
from xcodec2.serve.exchange import media_type_of, unless_gone
from xcodec2.serve.problems import ApiProblem
from xcodec2.serve.schemas import VoiceFacts, Voices, error_answers
from xcodec2.serve.service import Service, service_of
from xcodec2.serve.voicing import DEFAULT, USUAL, clip_codes

router = APIRouter()
MAX_VOICES = 1000
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "audio_sample", "ref_text", "consent"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 256},
                        "audio_sample": {"type": "string", "format": "binary"},
                        "ref_text": {"type": "string", "minLength": 1},
                        "consent": {"type": "string", "minLength": 1},
                    },
                }
            }
        },
    }
}


@router.get(
    "/v1/audio/voices", summary="List voices", response_model=Voices, responses=error_answers()
)
async def list_voices(request: Request) -> Voices:
    """All voices: the model's own, and those that were added."""
    service = service_of(request)
    presets, added = await asyncio.to_thread(lambda: (service.presets(), list(service.voices)))
    own = [own_voice(service), *map(facts_of_preset, presets.values())]
    data = [*own, *map(facts_of_voice, added)]
    return Voices(data=data, voices=data)


@router.post(
    "/v1/audio/voices",
    summary="Add a voice",
    response_model=VoiceFacts,
    responses=error_answers(413, 415),
    openapi_extra=FORM,
)
async def add_voice(request: Request) -> VoiceFacts:
    """Keep 1 to 15 s of a voice, with what they say and who allowed that."""
    service = service_of(request)
    service.whole.check_room()
    if media_type_of(request) != "multipart/form-data":
        raise ApiProblem(400, "a voice is added by a form: name, audio_sample, ref_text, consent")
    async with request.form(max_files=2, max_fields=16) as form:
        name = text_of(form, "name", 256)
        text = text_of(form, "ref_text", 4096)
        consent = text_of(form, "consent", 4096)
        sample = form.get("audio_sample") or form.get("file")
        if sample is None or isinstance(sample, str):
            raise ApiProblem(400, "audio_sample: a file is needed", param="audio_sample")
        content = await sample.read()
    if not name.isprintable():
        raise ApiProblem(400, "name: has characters that cannot be shown", param="name")
    if not is_speakable(text):
        raise ApiProblem(400, "ref_text: what the clip says, in words", param="ref_text")
    await asyncio.to_thread(check_room, service, name)
    codes = await unless_gone(request, clip_codes(service, content, "audio_sample"))
    return facts_of_voice(await asyncio.to_thread(keep_voice, service, name, codes, text, consent))


def check_room(service: Service, name: str) -> None:
    """Raise ApiProblem where there is a voice of this name, or no room for one more."""
    known = chain(service.voices, service.presets().values())
    if name.casefold() in USUAL or any(voice.name == name for voice in known):
        raise ApiProblem(
            400, "name: that name is taken; take another", param="name", code="voice_exists"
        )
    if len(service.voices.ids()) >= MAX_VOICES:
        raise ApiProblem(400, f"there are {MAX_VOICES} voices already: delete some")


def keep_voice(service: Service, name: str, codes: Codes, text: str, consent: str) -> StoredVoice:
    """Add a voice; two that come at once are not both free to take a name.

    Raises:
        ApiProblem: Its name was taken meanwhile, or the folder cannot be written.
    """
    with service.keeping:
        check_room(service, name)
        voice = StoredVoice(id_for(service, name), codes, text, consent, name)
        try:
            service.voices.add(voice)
        except XCodec2Error as problem:
            raise ApiProblem(500, "the voice could not be kept", code="not_kept") from problem
    return voice


@router.get(
    "/v1/audio/voices/{voice_id}",
    summary="One voice",
    response_model=VoiceFacts,
    responses=error_answers(404),
)
async def get_voice(voice_id: str, request: Request) -> VoiceFacts:
    """What is known of a voice."""
    service = service_of(request)
    if voice_id == DEFAULT:
        return own_voice(service)
    if preset := (await asyncio.to_thread(service.presets)).get(voice_id):
        return facts_of_preset(preset)
    check_known(service, voice_id)
    try:
        return facts_of_voice(await asyncio.to_thread(service.voices.load, voice_id))
    except XCodec2Error as problem:
        check_known(service, voice_id)  # it may have been deleted since
        raise ApiProblem(500, "that voice's file is damaged", code="voice_damaged") from problem


@router.delete(
    "/v1/audio/voices/{voice_id}", summary="Delete a voice", responses=error_answers(404)
)
async def delete_voice(voice_id: str, request: Request) -> Response:
    """Forget a voice for good."""
    service = service_of(request)
    if voice_id == DEFAULT or voice_id in await asyncio.to_thread(service.presets):
        raise ApiProblem(400, "a voice of the model's own cannot be deleted", param="voice_id")
    check_known(service, voice_id)
    try:
        await asyncio.to_thread(service.voices.remove, voice_id)
    except XCodec2Error as problem:
        check_known(service, voice_id)  # another request may have been faster
        raise ApiProblem(500, "the voice could not be deleted", code="not_deleted") from problem
    return JSONResponse({"id": voice_id, "object": "audio.voice", "deleted": True})


def check_known(service: Service, voice_id: str) -> None:
    """Raise ApiProblem where there is no such voice."""
    if voice_id not in service.voices:
        raise ApiProblem(404, "there is no such voice", code="voice_not_found", param="voice_id")


def text_of(form: FormData, name: str, most: int) -> str:
    """A field of a form.

    Raises:
        ApiProblem: It is missing, empty or too long.
    """
    value = form.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ApiProblem(400, f"{name}: is needed, and not empty", param=name)
    if len(value) > most:
        raise ApiProblem(400, f"{name}: has more than {most} characters", param=name)
    return value.strip()


def id_for(service: Service, name: str) -> str:
    """An id that a name suggests, and that is free."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40]
    taken = {id.casefold() for id in (*service.voices.ids(), *service.presets())}
    if slug and ID.fullmatch(slug) and slug not in taken:
        return slug
    return f"{slug or 'voice'}-{secrets.token_hex(4)}"


def own_voice(service: Service) -> VoiceFacts:
    """The model's."""
    return VoiceFacts(
        id=DEFAULT, name="The model's own voice", created_at=service.created, built_in=True
    )


def facts_of_preset(voice: StoredVoice) -> VoiceFacts:
    """A voice that the model brings, as clients see it."""
    return facts_of_voice(voice).model_copy(update={"built_in": True})


def facts_of_voice(voice: StoredVoice) -> VoiceFacts:
    """A voice as clients see it."""
    try:
        created = calendar.timegm(time.strptime(voice.added[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        created = None
    return VoiceFacts(
        id=voice.id, name=voice.name, text=voice.text, consent=voice.consent, created_at=created
    )
