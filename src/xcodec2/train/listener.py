"""Validation by a recogniser: is the decoded speech still what was said? It must be another one
than taught.
"""

from __future__ import annotations

import soxr
from torch import Tensor

from xcodec2.errors import EvaluatorError, TrainingError
from xcodec2.evaluators.moonshine import Moonshine
from xcodec2.evaluators.text import normalize, word_errors
from xcodec2.evaluators.waveform import SAMPLE_RATE

MOST_WER = 1.0  # of a clip: a recogniser that repeats itself must not outweigh all others


class Listener:
    """Moonshine of a size, on English speech."""

    def __init__(self, size: str) -> None:
        try:
            self.recogniser = Moonshine(size)
        except EvaluatorError as problem:
            raise TrainingError(f"data.valid_recogniser: {problem}") from problem
        self.known: dict[
            int, list[int]
        ] = {}  # tokens of originals, which come again with every validation

    def figures(self, original: Tensor, decoded: Tensor, rate: int) -> dict[str, float]:
        """`nll`: how unlikely the text heard in the original is after the decoded speech, mean of
        its tokens; smooth where few words are. `wer`: word errors against that text, where it has
        words."""
        first, second = (
            soxr.resample(waveform.numpy(), rate, SAMPLE_RATE) for waveform in (original, decoded)
        )
        key = hash(first.tobytes())
        if key not in self.known:
            self.known[key] = self.recogniser.generate(first)
        tokens = self.known[key]
        said, heard = (
            self.recogniser.tokenizer.decode(t) for t in (tokens, self.recogniser.generate(second))
        )
        likelihood = {"nll": self.recogniser.negative_log_likelihood(second, tokens)}
        if not normalize(said):
            return likelihood
        errors = word_errors(said, heard)
        return likelihood | {"wer": min(errors.wrong / errors.total, MOST_WER)}
