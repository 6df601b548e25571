"""Whether the words are still the same ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcodec2 import evaluators
from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.evaluators.text import character_errors, looped, word_errors


class WordErrors(Metric):
    """WER and CER against the transcript; without one, against what is recognized in the original.

    Both are pooled: errors of all files over words of all files. Beside them stands the mean of the
    files' WER, each at most 1, and the pooled WER without files on which the recognizer repeated
    itself, whose number is given.

    Args:
        asr: As `evaluators.asr` takes it.
    """

    name = "wer"
    columns = (
        Column("wer", "WER", "lower", 3, "word error rate, errors of all files over their words",
               ratio=("wer_wrong", "wer_total"), against_rate=True),
        Column("cer", "CER", "lower", 3, "character error rate, the same way",
               ratio=("cer_wrong", "cer_total")),
        Column("wer_files", "WER, mean of files", "lower", 3,
               "mean of the files' word error rates, each at most 1", per_file=False),
        Column("wer_unlooped", "WER without loops", "lower", 3,
               "word error rate of files on which the recognizer did not repeat itself",
               ratio=("wer_wrong", "wer_total"), per_file=False),
        Column("asr_loops", "ASR loops", "", 3,
               "share of files on which the recognizer repeated itself"),
    )  # fmt: skip
    counts = ("wer_wrong", "wer_total", "cer_wrong", "cer_total", "wer_against_transcript")
    cost = "high"
    needs = ("rapidfuzz",)

    def __init__(self, asr: str = "moonshine") -> None:
        super().__init__()
        self.asr = evaluators.asr(asr)

    @property
    def implementation(self) -> str:
        """The recognizer's, and what is counted."""
        return f"{self.asr.implementation}; pooled, capped and without loops"

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
        circles = looped(said, pair.text or "") or (not pair.text and looped(reference, ""))
        rate = words.wrong / words.total
        return {
            **({} if circles else {"wer_unlooped": rate}),
            "asr_loops": float(circles),
            "wer_files": min(1.0, rate),
            "wer": rate,
            "cer": characters.wrong / characters.total,
            "wer_wrong": words.wrong,
            "wer_total": words.total,
            "cer_wrong": characters.wrong,
            "cer_total": characters.total,
            "wer_against_transcript": int(bool(pair.text)),
        }
