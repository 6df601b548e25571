"""How much text is in codes: error rates of the CTC model on rows that it was not trained on.

The protocol: `CtcRecipe()` as it is, trained on one extraction and measured on another one of the
same codec, whose sentences and, if the number shall be of unseen speakers, voices are others.
Greedy decoding, no language model. Phones are compared without stress and marks, words and
characters in lower case without marks. Errors over all rows by units over all rows; intervals are
of 95 %, by resampling rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcodec2.errors import TranscriptionError
from xcodec2.evaluators.text import character_errors, word_errors
from xcodec2.extras import require
from xcodec2.transcribe.training import labeled_codes
from xcodec2.transcribe.transcriber import MARKS, Transcriber

RESAMPLES = 1000


@dataclass(frozen=True)
class Rate:
    """An error rate.

    Attributes:
        value: Errors by units; above 1 where more is inserted than there is.
        low: Of the interval.
        high: Of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class TextInCodes:
    """What a CTC model reads of codes.

    Attributes:
        rows: Measured.
        phone_error_rate: Of sounds.
        character_error_rate: Of the words' letters and spaces.
        word_error_rate: Of whole words.
    """

    rows: int
    phone_error_rate: Rate
    character_error_rate: Rate
    word_error_rate: Rate


def text_in_codes(transcriber: Transcriber, source: str) -> TextInCodes:
    """Error rates on an extraction with the columns `phonemes` and `words`.

    Args:
        transcriber: Trained on other rows.
        source: What `scripts/prepare_llasa_corpus.py` writes as `heldout`, say.

    Raises:
        TranscriptionError: No row can be measured.
        CodesError: The codes are another codec's.
    """
    rows, codec = labeled_codes(source)
    codec.check(transcriber.codec, source, "the CTC model's codec")
    if not rows:
        raise TranscriptionError(f"{source}: no row has codes, phonemes and words")
    levenshtein = require("rapidfuzz.distance.Levenshtein", extra="evaluate", purpose="error rates")
    phones: list[tuple[int, int]] = []
    characters: list[tuple[int, int]] = []
    words: list[tuple[int, int]] = []
    for codes, heard, text in rows:
        found = transcriber.transcribe(codes.astype(np.int64))
        sounds = [one for one in heard if one not in MARKS]
        said = [phone.text for phone in found.phones]
        phones.append((levenshtein.distance(sounds, said), len(sounds)))
        spelled = text.replace("-", " ")
        for measure, errors in ((characters, character_errors), (words, word_errors)):
            counted = errors(spelled, found.text)
            measure.append((counted.wrong, counted.total))
    return TextInCodes(len(rows), rate(phones), rate(characters), rate(words))


def rate(counts: list[tuple[int, int]]) -> Rate:
    """Errors and units of each row → their rate, with an interval."""
    array = np.array(counts, np.float64)
    rng = np.random.default_rng(0)
    drawn = array[rng.integers(len(array), size=(RESAMPLES, len(array)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / np.maximum(drawn[:, 1], 1), (0.025, 0.975))
    wrong, total = array.sum(0)
    return Rate(float(wrong / max(total, 1)), float(low), float(high))
