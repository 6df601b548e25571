"""Everything measured of one recording: a row for each system, whatever happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xcodec2.audio.io import load_audio
from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import judges
from xcodec2.evaluate.invariance import share_kept
from xcodec2.evaluate.metrics import MEASURES, SAMPLE_RATE, SIGNAL_MEASURES, implementation
from xcodec2.evaluate.systems import CodecSystem, System
from xcodec2.evaluate.text import character_errors, word_errors

SHORTEST = 0.1  # seconds
LENGTH_TOLERANCE = 0.06  # seconds that a codec may add or drop: three frames at 50 a second
DECIMALS = 9  # the last bits depend on where an array lies in memory, and so on the process
VERSION = 1  # of what the measures mean; another one makes old rows stale


@dataclass(frozen=True)
class Settings:
    """What to measure, and by which judges. measures: of `metrics.MEASURES`."""

    measures: tuple[str, ...] = MEASURES
    recogniser: str = "moonshine"
    speaker: str = "resemblyzer"


@dataclass
class Panel:
    """The judges that the settings name, and how each measure is made.

    missing: measure → why it is not made.
    """

    settings: Settings
    implementations: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for measure in self.settings.measures:
            try:
                self.implementations[measure] = self.made_by(measure)
            except XCodec2Error as problem:
                self.missing[measure] = str(problem)

    def made_by(self, measure: str) -> str:
        if measure in ("dnsmos", "distillmos"):
            return judges.rater(measure).implementation
        if measure == "speaker":
            return judges.speaker_encoder(self.settings.speaker).implementation
        if measure == "wer":
            return judges.recogniser(self.settings.recogniser).implementation
        return implementation(measure)

    def unmade(self, made: dict[str, str]) -> tuple[str, ...]:
        """The measures that earlier work, measure → implementation, does not cover."""
        return tuple(name for name, how in self.implementations.items() if made.get(name) != how)


@dataclass
class Speech:
    """One recording, with what the judges said of it, so that they are asked once for all systems."""

    waveform: np.ndarray
    text: str | None
    language: str | None
    said: dict[str, Any] = field(default_factory=dict)

    def judged(self, name: str, judge: Callable[[np.ndarray], Any]) -> Any:
        if name not in self.said:
            self.said[name] = judge(self.waveform)
        return self.said[name]


def load(recording: Recording) -> tuple[np.ndarray, str]:
    """Its audio as (N,) float32 at 16 kHz, and the digest of that.

    Raises XCodec2Error, also for what is too short.
    """
    waveform = np.ascontiguousarray(recording.load(SAMPLE_RATE).waveform.numpy())
    if len(waveform) < SHORTEST * SAMPLE_RATE:
        raise XCodec2Error(
            f"too short: {len(waveform) / SAMPLE_RATE:.3f} s, at least {SHORTEST:g} s are needed"
        )
    if not waveform.any():
        raise XCodec2Error("silent: every sample is zero")
    return waveform, hashlib.sha256(waveform.tobytes()).hexdigest()


def row_key(content: str, system: System, columns: Mapping[str, Any]) -> str:
    """Equal keys, equal rows: what was heard, by which system, with which text and language."""
    parts = (VERSION, content, system.key, columns.get("text"), columns.get("language"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def measure(speech: Speech, system: System, panel: Panel, names: Sequence[str]) -> dict[str, Any]:
    """The measures `names` of one system on one recording: a flat row.

    It has `error` when nothing could be measured, and `undefined`, measure → reason, for single
    ones.
    """
    row: dict[str, Any] = {"seconds": len(speech.waveform) / SAMPLE_RATE}
    try:
        if not names and isinstance(system, CodecSystem):  # codes alone are wanted: nobody listens
            return row | {"codes": system.codes(speech.waveform).tolist()}
        heard = system(speech.waveform)
        again = comparable(heard.waveform, heard.sample_rate, len(speech.waveform))
    except XCodec2Error as problem:
        return row | {"error": str(problem)}
    except Exception as problem:  # a foreign codec or a user's function may raise anything, and costs its row alone
        return row | {"error": f"{type(problem).__name__}: {problem}"}
    if heard.bits is not None:
        row["bit_rate"] = heard.bits / row["seconds"]
    if heard.codes is not None:
        row["codes"] = heard.codes.tolist()
    undefined = {}
    for name in names:
        try:
            found = values(name, speech, again, panel, system, heard.codes)
            row |= {column: round(value, DECIMALS) for column, value in found.items()}
        except XCodec2Error as problem:
            undefined[name] = str(problem)
    return row | ({"undefined": undefined} if undefined else {})


def comparable(waveform: np.ndarray, sample_rate: int, wanted: int) -> np.ndarray:
    """At 16 kHz and of the wanted length; what is much longer or shorter than the original is no
    copy of it.
    """
    heard = np.ascontiguousarray(
        load_audio(waveform, sample_rate, target_rate=SAMPLE_RATE).waveform.numpy()
    )
    if abs(len(heard) - wanted) > LENGTH_TOLERANCE * SAMPLE_RATE:
        seconds = f"{len(heard) / SAMPLE_RATE:.2f} s came back of {wanted / SAMPLE_RATE:.2f} s"
        raise XCodec2Error(f"differently long: {seconds}")
    return np.pad(heard[:wanted], (0, max(0, wanted - len(heard))))


def values(
    name: str,
    speech: Speech,
    heard: np.ndarray,
    panel: Panel,
    system: System,
    codes: np.ndarray | None,
) -> dict[str, float]:
    """The columns of one measure; none for a measure that does not apply. Raises XCodec2Error where
    undefined.
    """
    if name in SIGNAL_MEASURES:
        return SIGNAL_MEASURES[name](speech.waveform, heard)
    if name in ("dnsmos", "distillmos"):
        return {name: judges.rater(name).score(heard)}
    if name == "speaker":
        embed = judges.speaker_encoder(panel.settings.speaker).embed
        return {"speaker": float(np.dot(speech.judged(name, embed), embed(heard)))}
    if name == "wer":
        return transcript_errors(speech, heard, judges.recogniser(panel.settings.recogniser))
    encode = getattr(system, "codes", None)
    return {} if encode is None or codes is None else share_kept(encode, speech.waveform, codes)


def transcript_errors(
    speech: Speech, heard: np.ndarray, recogniser: judges.Recogniser
) -> dict[str, float]:
    """WER and CER, also as counts, against the transcript; without one, against what is heard in
    the original.
    """
    if (
        recogniser.languages is not None
        and speech.language
        and speech.language[:2] not in recogniser.languages
    ):
        known = ", ".join(sorted(recogniser.languages))
        raise XCodec2Error(f"{recogniser.name} knows {known} and not {speech.language}")
    reference = speech.text or speech.judged("wer", recogniser.transcribe)
    said = recogniser.transcribe(heard)
    words, characters = word_errors(reference, said), character_errors(reference, said)
    counts: Sequence[tuple[str, int]] = (
        ("wer_wrong", words.wrong),
        ("wer_total", words.total),
        ("cer_wrong", characters.wrong),
        ("cer_total", characters.total),
        ("wer_against_transcript", int(bool(speech.text))),
    )
    return {
        "wer": words.wrong / words.total,
        "cer": characters.wrong / characters.total,
        **dict(counts),
    }
