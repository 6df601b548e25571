"""How well a language model speaks in a codec's codes: what a recognizer hears, and a predicted
listener's opinion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xcodec2 import evaluators
from xcodec2.errors import UndefinedError, XCodec2Error
from xcodec2.evaluate.lm.streams import ByteStream, Streams
from xcodec2.evaluate.systems.system import Speaks, System
from xcodec2.evaluators.text import normalize, word_errors

LOWEST = 1.0  # opinion of silence
MOS = "distillmos"

Judged = dict[str, float]


class Listeners:
    """A recognizer and a predictor of opinions, or why they are missing.

    Args:
        asr: As `evaluators.asr` takes it.

    Attributes:
        missing: What cannot be measured → why.
        implementation: What both are, with versions.
    """

    def __init__(self, asr: str) -> None:
        self.asr, self.mos = None, None
        self.missing: dict[str, str] = {}
        try:
            self.asr = evaluators.asr(asr)
        except XCodec2Error as problem:
            self.missing["wer"] = str(problem)
        try:
            self.mos = evaluators.mos_predictor(MOS)
        except XCodec2Error as problem:
            self.missing["mos"] = str(problem)
        there = (one.implementation for one in (self.asr, self.mos) if one is not None)
        self.implementation = "; ".join(there)

    def listen(
        self,
        system: System,
        streams: Streams,
        said: Sequence[np.ndarray],
        wanted: Sequence[ByteStream],
    ) -> Judged:
        """Decode what was said, and judge it.

        Speech that the codec cannot decode counts as silence.

        Args:
            system: Whose codes they are.
            streams: Its streams.
            said: (N,) uint8 of each recording.
            wanted: The recordings.

        Returns:
            `mos`, and `wer` where texts are known: errors over words, at most all words of a
            recording, and `wer_words`; nothing of a system that does not speak.
        """
        if not isinstance(system, Speaks):
            return {}
        speech = [decoded_speech(system, streams, stream) for stream in said]
        result: Judged = {}
        if self.mos is not None:
            result["mos"] = float(np.mean([opinion(self.mos, one) for one in speech]))
        if self.asr is not None and streams.phones:
            known = self.asr.languages
            both = [
                (one, stream.text)
                for one, stream in zip(speech, wanted, strict=True)
                if stream.text and normalize(stream.text)
                and (known is None or (stream.language or "en")[:2].lower() in known)
            ]  # fmt: skip
            if both:
                errors = [word_errors(text, heard(self.asr, one)) for one, text in both]
                words = sum(one.total for one in errors)
                result["wer"] = sum(min(one.wrong, one.total) for one in errors) / words
                result["wer_words"] = words
        return result


def decoded_speech(system: Speaks, streams: Streams, said: np.ndarray) -> np.ndarray:
    """(M,) float32 at 16 kHz; silence where the codec refuses what it is given."""
    try:
        speech = np.asarray(system.speak(streams.form.coded(said)), np.float32)
    except Exception:  # a foreign codec may raise anything
        return np.zeros(16_000, np.float32)
    return speech if len(speech) and np.isfinite(speech).all() else np.zeros(16_000, np.float32)


def heard(asr: evaluators.ASR, speech: np.ndarray) -> str:
    """What a recognizer hears; nothing in silence and in what is too short for it."""
    try:
        return asr.transcribe(speech) if speech.any() else ""
    except UndefinedError:
        return ""


def opinion(mos: evaluators.MOSPredictor, speech: np.ndarray) -> float:
    """1 to 5; the lowest of silence."""
    try:
        return mos.score(speech)
    except UndefinedError:
        return LOWEST
