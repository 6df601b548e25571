"""Validation by a recognizer: is the decoded speech still what was said? It must be another one
than taught.
"""

from __future__ import annotations

import soxr
from torch import Tensor

from xcodec2.errors import EvaluatorError, TrainingError
from xcodec2.evaluators.moonshine import Moonshine
from xcodec2.evaluators.text import normalize, word_errors
from xcodec2.evaluators.waveform import SAMPLE_RATE

MAX_WER = 1.0  # of a clip: a recognizer that repeats itself must not outweigh all others


class Listener:
    """Moonshine, on English speech.

    Args:
        size: tiny or base.

    Raises:
        TrainingError: Its weights are not there.
    """

    def __init__(self, size: str) -> None:
        try:
            self.recognizer = Moonshine(size)
        except EvaluatorError as problem:
            raise TrainingError(f"data.valid_recognizer: {problem}") from problem
        # tokens of originals, which come again with every validation
        self.known: dict[int, list[int]] = {}

    def figures(self, original: Tensor, decoded: Tensor, sample_rate: int) -> dict[str, float]:
        """How well the decoded speech is understood.

        Args:
            original: (N,).
            decoded: (N,).
            sample_rate: Of both, in hertz.

        Returns:
            `nll`, how unlikely the text heard in the original is after the decoded speech, mean of
            its tokens: smooth where few words are. `wer`, word errors against that text, where it
            has words.
        """
        first, second = (
            soxr.resample(waveform.numpy(), sample_rate, SAMPLE_RATE)
            for waveform in (original, decoded)
        )
        key = hash(first.tobytes())
        if key not in self.known:
            self.known[key] = self.recognizer.generate(first)
        tokens = self.known[key]
        said, decoded_text = (
            self.recognizer.tokenizer.decode(t) for t in (tokens, self.recognizer.generate(second))
        )
        likelihood = {"nll": self.recognizer.negative_log_likelihood(second, tokens)}
        if not normalize(said):
            return likelihood
        errors = word_errors(said, decoded_text)
        return likelihood | {"wer": min(errors.wrong / errors.total, MAX_WER)}
