"""Named voices, kept in a folder: one safetensors file each, with the codes of a clip, what it
says, and who allowed its use.

    voices/anna.safetensors    codes (T,) int32; in its metadata, under `xcodec2.voice`, JSON with
                               name, text, text_source, consent, added, num_samples, sample_rate,
                               frame_rate, codebook_size, model, weights_hash

A language model in a folder may bring voices of its own, in its subfolder `voices`.

Nothing of a file or of a name is trusted: an id is letters, digits, - and _, so no name leads out
of the folder, and a file is checked field by field.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xcodec2.audio.io import load_audio
from xcodec2.codes import Codes
from xcodec2.errors import LlasaError, XCodec2Error
from xcodec2.files import open_regular, replacing
from xcodec2.llasa.lm import resolve
from xcodec2.llasa.prompts import is_speakable
from xcodec2.printable import printable

if TYPE_CHECKING:
    from xcodec2.llasa.speaker import Speaker
    from xcodec2.model import XCodec2Model
    from xcodec2.quick import QuickModel

VOICE_SECONDS = (1.0, 15.0)  # of a voice clip
VERIFIER_SAMPLE_RATE = 16_000  # Hz
SUFFIX = ".safetensors"
FACTS = "xcodec2.voice"  # the key of the file's metadata
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_FILE_BYTES = 1 << 20  # 15 s of codes and a transcript are a hundredth of it
MAX_TEXT = 4096  # characters of a name, a transcript or a consent


@dataclass(frozen=True)
class Voice:
    """A clip to speak like.

    Attributes:
        text: What it says.
        codes: (T,) int64.
        waveform: (N,) at VERIFIER_SAMPLE_RATE, what verifiers compare with; None for a voice that
            the LM made itself.
    """

    text: str
    codes: np.ndarray
    waveform: np.ndarray | None = None


@dataclass(frozen=True)
class StoredVoice:
    """A voice of a store.

    Attributes:
        id: Letters, digits, - and _; also the name of its file.
        codes: Of the clip, with the codec that made them, and the clip's length and sample rate.
        text: What the clip says.
        consent: Who allowed this use of the voice, in words of whoever added it.
        name: For people; the id where none was given.
        text_source: "given", or the recognizer that wrote the transcript.
        added: When, in ISO 8601, UTC.
    """

    id: str
    codes: Codes
    text: str
    consent: str
    name: str = ""
    text_source: str = "given"
    added: str = ""

    def __post_init__(self) -> None:
        check_id(self.id)
        for field in ("text", "consent", "name", "text_source", "added"):
            value = getattr(self, field)
            if not isinstance(value, str) or len(value) > MAX_TEXT:
                raise LlasaError(f"voice {self.id}: its {field} is no text of ≤ {MAX_TEXT} letters")
        if not is_speakable(self.text):
            raise LlasaError(f"voice {self.id}: a voice needs the text that its clip says")
        if not self.consent.strip():
            raise LlasaError(
                f"voice {self.id}: say who allowed the use of this voice (consent); "
                "it is kept with it"
            )
        if not len(self.codes):
            raise LlasaError(f"voice {self.id}: has no codes")
        object.__setattr__(self, "name", self.name or self.id)
        object.__setattr__(self, "added", self.added or now())

    def to_bytes(self) -> bytes:
        """The content of its file."""
        facts: dict[str, Any] = {field: getattr(self, field) for field in _TEXTS}
        facts |= {field: getattr(self.codes, field) for field in _CODEC}
        codes = np.ascontiguousarray(self.codes.array, np.int32)
        return save({"codes": codes}, {FACTS: json.dumps(facts, ensure_ascii=False)})


_TEXTS = ("name", "text", "text_source", "consent", "added")
_CODEC = ("num_samples", "sample_rate", "frame_rate", "codebook_size", "model", "weights_hash")


class VoiceStore:
    """A folder of voices; it is made when the first voice is added.

    Args:
        folder: Where; `default_folder()` when None.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_folder()

    def ids(self) -> list[str]:
        """Of all files, sorted; whether a file is sound shows when it is loaded."""
        if not self.folder.is_dir():
            return []
        names = (path.stem for path in self.folder.glob(f"*{SUFFIX}"))
        return sorted(name for name in names if ID.fullmatch(name))

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and bool(ID.fullmatch(id)) and self.path(id).is_file()

    def __iter__(self) -> Iterator[StoredVoice]:
        """Every voice; a damaged file is warned of and left out."""
        for id in self.ids():
            try:
                yield self.load(id)
            except LlasaError as problem:
                warnings.warn(f"left out: {problem}", stacklevel=2)

    def path(self, id: str) -> Path:
        """The file of an id.

        Raises:
            LlasaError: It is none.
        """
        return self.folder / f"{check_id(id)}{SUFFIX}"

    def load(self, id: str) -> StoredVoice:
        """One voice.

        Raises:
            LlasaError: There is none of this id, or its file is damaged.
        """
        path = self.path(id)
        if not path.is_file():
            raise self.unknown(id)
        with open_regular(path, LlasaError):  # no pipe, no device: reading those may never end
            size = path.stat().st_size
        try:
            if size > MAX_FILE_BYTES:
                raise ValueError(f"{size} bytes are too many")
            with safe_open(str(path), "np") as file:
                facts = json.loads((file.metadata() or {})[FACTS])
                codes = file.get_tensor("codes")
            made = Codes(codes, **{field: facts[field] for field in _CODEC})
            return StoredVoice(id, made, **{field: facts[field] for field in _TEXTS})
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as problem:
            raise LlasaError(
                f"{path}: not a voice that `xcodec2 voices add` writes ({problem})"
            ) from problem

    def add(self, voice: StoredVoice, *, replace: bool = False) -> Path:
        """Write a voice, whole or not at all.

        Args:
            voice: Which.
            replace: An older one of this id may be lost.

        Returns:
            Its file.

        Raises:
            LlasaError: There is one already, or the folder cannot be written.
        """
        same = [id for id in self.ids() if id.casefold() == voice.id.casefold()]
        if same and not (replace and same == [voice.id]):  # case is nothing to some file systems
            raise LlasaError(f"there is a voice {same[0]} already: remove it, or take another name")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise LlasaError(f"{self.folder}: cannot be made ({problem.strerror})") from problem
        path = self.path(voice.id)
        with replacing(path, LlasaError) as file:
            file.write(voice.to_bytes())
        return path

    def remove(self, id: str) -> None:
        """Delete a voice, damaged or not.

        Raises:
            LlasaError: There is none of this id, or it cannot be deleted.
        """
        path = self.path(id)
        if not path.is_file():
            raise self.unknown(id)
        try:
            path.unlink()
        except FileNotFoundError:  # somebody else was faster
            raise self.unknown(id) from None
        except OSError as problem:
            raise LlasaError(f"{path}: cannot be removed ({problem.strerror})") from problem

    def unknown(self, id: str) -> LlasaError:
        """The error for an id that is not there."""
        known = ", ".join(self.ids()) or "none; `xcodec2 voices add` makes one"
        return LlasaError(f"there is no voice {id} in {self.folder}; there are: {known}")


def default_folder() -> Path:
    """`XCODEC2_VOICES`, or `xcodec2/voices` in the user's data folder."""
    if folder := os.environ.get("XCODEC2_VOICES"):
        return Path(folder)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "xcodec2" / "voices"


def preset_store(lm: str | Path | None) -> VoiceStore:
    """The voices that a language model brings; none for a Hub id.

    Args:
        lm: Its folder; None is the model in the package.
    """
    return VoiceStore(Path(resolve(lm)) / "voices")


def known_voice(id: str, store: VoiceStore, lm: str | Path | None) -> StoredVoice:
    """A voice of a store, or else one that a language model brings.

    Raises:
        LlasaError: There is none of this id, or its file is damaged.
    """
    presets = preset_store(lm)
    if id in store or id not in presets:
        try:
            return store.load(id)
        except LlasaError as problem:
            own = ", ".join(presets.ids())
            if id in store or not own:
                raise
            raise LlasaError(f"{problem}; the model's own: {own}") from None
    return presets.load(id)


def check_id(id: object) -> str:
    """The id.

    Raises:
        LlasaError: It is not 1 to 64 letters, digits, - and _.
    """
    if not isinstance(id, str) or not ID.fullmatch(id):
        raise LlasaError(
            f"{printable(str(id))[:80]!r}: a voice is named by 1 to 64 letters a-z, digits, - and _"
        )
    return id


def now() -> str:
    """The time in ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def encode_clip(
    codec: XCodec2Model | QuickModel, clip: Any, sample_rate: int | None = None
) -> tuple[Codes, np.ndarray]:
    """The codes of a voice clip.

    Args:
        codec: Of the language model that will speak.
        clip: 1 to 15 s of speech: a path, a file's bytes, or an array with its `sample_rate` in Hz.
        sample_rate: Of an array.

    Returns:
        Its codes, and its waveform (N,) at VERIFIER_SAMPLE_RATE.

    Raises:
        LlasaError: For a clip of another length.
        AudioError: For audio that cannot be read.
    """
    audio = load_audio(clip, sample_rate, target_rate=VERIFIER_SAMPLE_RATE)
    seconds = len(audio.waveform) / VERIFIER_SAMPLE_RATE
    min_seconds, max_seconds = VOICE_SECONDS
    if not min_seconds <= seconds <= max_seconds:
        raise LlasaError(
            f"the voice clip has {seconds:.1f} s; give one of {min_seconds:g} to {max_seconds:g} s"
        )
    made = codec.encode(audio.waveform, VERIFIER_SAMPLE_RATE)
    codes = Codes(
        made.codes,
        num_samples=audio.num_samples,
        sample_rate=audio.sample_rate,
        frame_rate=made.frame_rate,
        codebook_size=made.codebook_size,
        model=made.model,
        weights_hash=made.weights_hash,
    )
    return codes, audio.waveform.numpy()


def transcript(waveform: np.ndarray, recognizer: str = "moonshine") -> tuple[str, str]:
    """What a clip says, by a recognizer of `xcodec2.evaluators`.

    Args:
        waveform: (N,) at VERIFIER_SAMPLE_RATE.
        recognizer: Its name.

    Returns:
        The text, and who wrote it.

    Raises:
        LlasaError: It hears no word.
        XCodec2Error: It cannot be loaded here.
    """
    from xcodec2 import evaluators

    try:
        asr = evaluators.asr(recognizer)
        text = asr.transcribe(waveform).strip()
    except XCodec2Error as problem:
        raise type(problem)(f"{problem}; or give the clip's transcript yourself") from problem
    if not is_speakable(text):
        raise LlasaError(f"{asr.name} hears no word in the clip: give its transcript yourself")
    return text, f"{asr.name} ({asr.implementation})"


def make_voice(
    id: str,
    codec: XCodec2Model,
    clip: Any,
    *,
    consent: str,
    text: str | None = None,
    name: str = "",
    sample_rate: int | None = None,
    recognizer: str = "moonshine",
) -> StoredVoice:
    """A voice of a clip, ready for a store.

    Args:
        id: Letters, digits, - and _.
        codec: Of the language model that will speak.
        clip: As in `encode_clip`.
        consent: Who allowed this use of the voice.
        text: What the clip says; a recognizer's transcript when None.
        name: For people.
        sample_rate: Of an array.
        recognizer: Which, when no text is given.

    Raises:
        XCodec2Error: The clip, its text or a name cannot be used.
    """
    check_id(id)
    codes, waveform = encode_clip(codec, clip, sample_rate)
    text, source = (text, "given") if text is not None else transcript(waveform, recognizer)
    return StoredVoice(id, codes, text.strip(), consent, name, source)


def voice_of(stored: StoredVoice, speaker: Speaker) -> Voice:
    """A stored voice for a speaker; verifiers compare with what its codec makes of the codes.

    Raises:
        LlasaError: The speaker knows one voice only.
        CodesError: The codes are of another codec.
    """
    speaker.check_takes_voices()
    stored.codes.identity.check(speaker.codec.identity, f"voice {stored.id}", "the codec")
    waveform = np.asarray(speaker.codec.decode(stored.codes))
    if speaker.codec.sample_rate != VERIFIER_SAMPLE_RATE:
        from soxr import resample

        waveform = resample(waveform, speaker.codec.sample_rate, VERIFIER_SAMPLE_RATE)
    return Voice(stored.text, stored.codes.array.astype(np.int64), waveform)
