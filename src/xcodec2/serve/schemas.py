"""What requests and answers look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Rate = Literal[8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]
MAX_SEED = 2**63 - 1


class Lenient(BaseModel):
    """Fields that are not known here are passed over, and null is as good as nothing."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, values: Any) -> Any:
        """What was given: clients write null for what they leave to the server."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class VoiceName(BaseModel):
    """A voice by its id."""

    id: str = Field(max_length=256)


class SpeechRequest(Lenient):
    """A text to speak."""

    input: str = Field(min_length=1, description="What to say.")
    model: str | None = Field(None, max_length=256, description="See /v1/models.")
    voice: str | VoiceName | None = Field(None, description="A voice of /v1/audio/voices.")
    response_format: Format = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0, allow_inf_nan=False)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="Accepted, and not followed.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="The same seed, the same speech.")
    temperature: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0, le=1 << 20)
    repetition_penalty: float | None = Field(None, ge=0.01, le=100, allow_inf_nan=False)
    sample_rate: Rate | None = Field(None, description="Of the audio, in Hz.")
    search: str | None = Field(None, max_length=64, description="best-of-8, beam-4x4, partial-4x4")
    ref_audio: str | None = Field(None, description="A voice: a data URL of 1 to 15 s of speech.")
    ref_text: str | None = Field(None, max_length=4096, description="What ref_audio says.")


class CodesAnswer(BaseModel):
    """Codes of one piece of speech."""

    codes: list[int]
    num_samples: int
    sample_rate: int
    frame_rate: int
    codebook_size: int
    model: str | None
    weights_hash: str | None


class CodesRequest(Lenient):
    """Codes to decode: what encoding answered, or the codes alone."""

    codes: list[Annotated[int, Field(strict=True, ge=0, lt=1 << 31)]] = Field(min_length=1)
    num_samples: int | None = Field(None, ge=1, lt=1 << 62)
    sample_rate: int | None = Field(None, ge=1, lt=1 << 31)
    frame_rate: int | None = Field(None, ge=1, lt=1 << 31)
    codebook_size: int | None = Field(None, ge=1, le=1 << 31)
    model: str | None = Field(None, max_length=1024)
    weights_hash: str | None = Field(None, max_length=1024)
    response_format: Format | None = None
    speed: float | None = Field(None, ge=0.25, le=4.0, allow_inf_nan=False)


class DecodeFields(Lenient):
    """What a form asks for besides its file of codes."""

    response_format: Format | None = None
    sample_rate: int | None = None
    speed: float | None = Field(None, ge=0.25, le=4.0, allow_inf_nan=False)


class ErrorDetail(BaseModel):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """The one shape of all errors."""

    error: ErrorDetail


class VoiceFacts(BaseModel):
    """A voice that speech can be asked for in."""

    id: str
    name: str
    object: Literal["audio.voice"] = "audio.voice"
    text: str | None = None
    consent: str | None = None
    created_at: int | None = None
    built_in: bool = Field(
        default=False, description="The model brings it, and it cannot be deleted."
    )


class Voices(BaseModel):
    """All of them, by both names that clients look for."""

    object: Literal["list"] = "list"
    data: list[VoiceFacts]
    voices: list[VoiceFacts]


class ModelFacts(BaseModel):
    """A model of this server."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class Models(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelFacts]


class SpeechModels(Models):
    """Those that speak, by both names that clients look for."""

    models: list[ModelFacts]


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a body that a route reads by itself, without references out of it."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inline(definitions[value["$ref"].rpartition("/")[2]])
            return {key: inline(part) for key, part in value.items()}
        return [inline(part) for part in value] if isinstance(value, list) else value

    inlined: dict[str, Any] = inline(schema)
    return inlined


def error_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors that a route documents; every route may answer a bad request, a missing key and a
    server that is busy or not yet ready.
    """
    return {
        status: {"model": ErrorAnswer}
        for status in sorted({400, 401, 403, 429, 500, 503, *statuses})
    }
