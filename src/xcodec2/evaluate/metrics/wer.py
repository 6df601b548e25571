"""Whether the words are still the same ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcodec2 import evaluators
from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.evaluators.text import character_errors, word_errors


class WordErrors(Metric):
    """WER and CER against the transcript; without one, against what is recognized in the original.

    Args:
        asr: As `evaluators.asr` takes it.
    """

    name = "wer"
    columns = (
        Column("wer", "WER", "lower", 3, "word error rate",
               ratio=("wer_wrong", "wer_total"), against_rate=True),
        Column("cer", "CER", "lower", 3, "character error rate", ratio=("cer_wrong", "cer_total")),
    )  # fmt: skip
    counts = ("wer_wrong", "wer_total", "cer_wrong", "cer_total", "wer_against_transcript")
    cost = "high"
    needs = ("rapidfuzz",)

    def __init__(self, asr: str = "moonshine") -> None:
        super().__init__()
        self.asr = evaluators.asr(asr)

    @property
    def implementation(self) -> str:
        """The recognizer's."""
        return self.asr.implementation

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """wer, cer and their counts; not defined without words, or in a language not known."""
        known = self.asr.languages
        if known is not None and pair.language and pair.language[:2].lower() not in known:
            raise UndefinedError(
                f"{self.asr.name} knows {', '.join(sorted(known))} and not {pair.language}"
            )
        reference = pair.text or pair.of_original(self.name, self.asr.transcribe)
        # Silence has no words: all of them are lost, which a reason in place of a rate would hide.
        said = self.asr.transcribe(pair.decoded) if np.any(pair.decoded) else ""
        words, characters = word_errors(reference, said), character_errors(reference, said)
        return {
            "wer": words.wrong / words.total,
            "cer": characters.wrong / characters.total,
            "wer_wrong": words.wrong,
            "wer_total": words.total,
            "cer_wrong": characters.wrong,
            "cer_total": characters.total,
            "wer_against_transcript": int(bool(pair.text)),
        }
