"""Synthetic speech, voice by voice: what is finished stands under its name and is not made again.

A unit is one voice's next minutes in one folder. It is made from the seed and the packages alone,
and checked by a recogniser: a voice that is not understood is left out with its reason.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache as once
from itertools import zip_longest
from pathlib import Path

import numpy as np
import soundfile

from nano_data.audio import SAMPLE_RATE, TRAIN_RULES, UnusableError, prepare
from nano_data.build import RECORD_NAME, Spoken, write_text
from nano_data.recogniser import SECONDS, Recogniser, character_error_rate
from nano_data.sentences import draw, sentences
from nano_data.speakers import RATE, Hibari, Kokoro, japanese
from nano_data.voices import KokoroVoice, PseudoSpeaker, kokoro_voices, pseudo_speakers

MOST_CER = 0.35  # of a voice that is kept
MOST_CLIPS = 400  # of a unit
LOUDEST = 0.95
LICENCES = {"hibari": "Apache-2.0", "kokoro": "Apache-2.0"}


@dataclass(frozen=True)
class Unit:
    """`part` counts a voice's units; all of them together are its speech."""

    source: str
    split: str
    language: str
    voice: PseudoSpeaker | KokoroVoice
    part: int
    seconds: float
    seed: int

    @property
    def id(self) -> str:
        return f"{self.source}/{self.voice.name}/{self.part}"

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True)
class Tools:
    """What is loaded once, and not before a unit has to be made."""

    cache: Path
    hibari: Hibari
    kokoro: Kokoro
    recogniser: Recogniser


def units(seed: int, hibari_seconds: float, kokoro_seconds: float, parts: int) -> list[Unit]:
    """All units: both kinds by turns, and every voice once before one speaks again."""
    pseudo = [
        Unit("hibari", speaker.split, "en", speaker, part, hibari_seconds, seed)
        for part in range(parts)
        for speaker in pseudo_speakers(seed)
        if hibari_seconds
    ]
    presets = [
        Unit("kokoro", voice.split, voice.language, voice, part, kokoro_seconds, seed)
        for part in range(parts)
        for voice in kokoro_voices(seed)
        if kokoro_seconds
    ]
    interleaved = zip_longest(pseudo, presets)
    return [unit for pair in interleaved for unit in pair if unit]


def build_units(wanted: Iterable[Unit], out: Path, cache: Path) -> Iterator[list[Spoken]]:
    """Make what is not there yet; the clips of each unit in turn."""
    tools: Tools | None = None
    for unit in wanted:
        folder = out / unit.split / unit.id
        finished = read_record(folder, unit.key)
        if finished is None:
            tools = tools or load_tools(cache)
            finished = build_unit(unit, folder, tools)
        yield finished


def load_tools(cache: Path) -> Tools:
    hibari = Hibari()
    return Tools(cache, hibari, Kokoro(cache, hibari), Recogniser(cache))


def read_record(folder: Path, key: str) -> list[Spoken] | None:
    path = folder / RECORD_NAME
    record = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return [Spoken(**fields) for fields in record["clips"]] if record.get("key") == key else None


def build_unit(unit: Unit, folder: Path, tools: Tools) -> list[Spoken]:
    """Speak, check, and store under a temporary name that is changed in the end."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    takes = speak(unit, tools)
    error_rate = misheard(unit.language, takes, tools.recogniser)
    kept = takes if error_rate <= MOST_CER else []
    for number, (speech, _) in enumerate(kept):
        soundfile.write(partial / f"{number:03}.flac", speech, SAMPLE_RATE, subtype="PCM_16")
    clips = [
        spoken(unit, f"{unit.id}/{number:03}", text, len(speech) / SAMPLE_RATE)
        for number, (speech, text) in enumerate(kept)
    ] or [spoken(unit, unit.id, "", 0.0, f"not understood: character error rate {error_rate:.2f}")]
    record = {
        "key": unit.key,
        "character_error_rate": error_rate,
        "clips": [asdict(clip) for clip in clips],
    }
    write_text(partial / RECORD_NAME, json.dumps(record, ensure_ascii=False))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return clips


def spoken(unit: Unit, name: str, text: str, seconds: float, reason: str = "") -> Spoken:
    return Spoken(
        id=name,
        split=unit.split,
        source=unit.source,
        language=unit.language,
        speaker=unit.voice.name,
        licence=LICENCES[unit.source],
        text=text,
        seconds=seconds,
        reason=reason,
    )


def speak(unit: Unit, tools: Tools) -> list[tuple[np.ndarray, str]]:
    """Sentences of the voice, at 16 kHz, with their texts, until its seconds are full."""
    rng = random.Random(f"{unit.seed} {unit.id}")
    known = known_sentences(unit.language, tools.cache)
    takes, filled = [], 0.0
    for _ in range(MOST_CLIPS):
        if filled >= unit.seconds:
            break
        text = draw(unit.language, known, rng)
        waveform = say(unit, text, tools, rng)
        waveform = waveform * min(1.0, LOUDEST / max(float(np.abs(waveform).max(initial=0)), 1e-3))
        try:
            speech = prepare(waveform, RATE, TRAIN_RULES)
        except UnusableError:
            continue
        takes.append((speech, text))
        filled += len(speech) / SAMPLE_RATE
    return takes


@once
def known_sentences(language: str, cache: Path) -> list[str]:
    return sentences(language, cache)


def say(unit: Unit, text: str, tools: Tools, rng: random.Random) -> np.ndarray:
    if isinstance(unit.voice, PseudoSpeaker):
        return tools.hibari.say(text, unit.voice, rng)
    return tools.kokoro.say(text, unit.voice)


def misheard(language: str, takes: list[tuple[np.ndarray, str]], recogniser: Recogniser) -> float:
    """Character error rate of the first takes that fill what the recogniser hears at once; 1 where
    there are none.
    """
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    joined, texts = np.zeros(0, np.float32), []
    for speech, text in takes:
        longer = np.concatenate([joined, speech, pause])
        if len(longer) > SECONDS * SAMPLE_RATE:
            break
        joined = longer
        texts.append(text)
    if not texts:
        return 1.0
    expected, heard = " ".join(texts), recogniser.transcribe(joined, language)
    if language == "ja":  # written in many ways
        expected, heard = japanese()(expected), japanese()(heard)
    return character_error_rate(expected, heard)
