"""The vocabulary: eight marks and one token a code, added to whatever a base tokenizer has.

On the tokenizer of Llama 3 (128256 entries) that gives the ids of the published models: 128256 …
128263 are the marks, 128264 + i is code i. Nothing here assumes that: ids are looked up by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from xcodec2.errors import LlasaError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LENGTH = 2048  # tokens of text and speech together: the context of the published models
TEXT_START, TEXT_END = "<|TEXT_UNDERSTANDING_START|>", "<|TEXT_UNDERSTANDING_END|>"
SPEECH_START, SPEECH_END = "<|SPEECH_GENERATION_START|>", "<|SPEECH_GENERATION_END|>"
#: Around text that the model writes, and speech that it is given: for the tasks beside speaking.
WRITING_START, WRITING_END = "<|TEXT_GENERATION_START|>", "<|TEXT_GENERATION_END|>"
HEARD_START, HEARD_END = "<|SPEECH_UNDERSTANDING_START|>", "<|SPEECH_UNDERSTANDING_END|>"
#: In the published order.
MARKS = (
    WRITING_START,
    WRITING_END,
    TEXT_START,
    TEXT_END,
    SPEECH_START,
    SPEECH_END,
    HEARD_START,
    HEARD_END,
)

#: Of the phoneme track (`xcodec2.llasa.track`): silence at its ends, and how many codes a phoneme
#: has, from 0.
PAUSE = "<|pause|>"
DURATIONS = 100
CLIP = 150  # codes of a voice that are heard before a text on a track, at most


def duration_token(codes: int) -> str:
    """The token that says that a phoneme has so many codes."""
    return f"<|d_{codes}|>"


def code_token(code: int) -> str:
    """The token of one code."""
    return f"<|s_{code}|>"


@dataclass(frozen=True)
class SpeechVocabulary:
    """Where a tokenizer has the marks and the codes.

    code_ids: (codebook_size,) int64, the token id of each code. The marks of writing and of
    speech that is heard are -1 in a tokenizer that can only speak.
    """

    text_start: int
    text_end: int
    speech_start: int
    speech_end: int
    code_ids: np.ndarray
    writing_start: int = -1
    writing_end: int = -1
    heard_start: int = -1
    heard_end: int = -1

    @classmethod
    def of(
        cls, tokenizer: PreTrainedTokenizerBase, name: str = "the tokenizer"
    ) -> SpeechVocabulary:
        """Look all of it up; LlasaError when the tokenizer was not made for speech, or only in
        part.
        """
        vocabulary = tokenizer.get_vocab()
        lacking = [
            mark
            for mark in (TEXT_START, TEXT_END, SPEECH_START, SPEECH_END)
            if mark not in vocabulary
        ]
        if lacking or code_token(0) not in vocabulary:
            missing = ", ".join(lacking or [code_token(0)])
            raise LlasaError(
                f"{name} has no speech tokens ({missing}): it is no LLaSA; train one from it first"
            )
        code_ids: list[int] = []
        while (token := vocabulary.get(code_token(len(code_ids)))) is not None:
            code_ids.append(token)
        named = sum(token.startswith("<|s_") and token[4:-2].isdigit() for token in vocabulary)
        if named != len(code_ids):
            raise LlasaError(
                f"{name} has {named} speech tokens, but {code_token(len(code_ids))} is missing"
            )
        return cls(
            text_start=vocabulary[TEXT_START],
            text_end=vocabulary[TEXT_END],
            speech_start=vocabulary[SPEECH_START],
            speech_end=vocabulary[SPEECH_END],
            code_ids=np.array(code_ids, np.int64),
            writing_start=vocabulary.get(WRITING_START, -1),
            writing_end=vocabulary.get(WRITING_END, -1),
            heard_start=vocabulary.get(HEARD_START, -1),
            heard_end=vocabulary.get(HEARD_END, -1),
        )

    @property
    def codebook_size(self) -> int:
        """How many codes have a token."""
        return len(self.code_ids)

    def to_ids(self, codes: Sequence[int] | np.ndarray) -> np.ndarray:
        """(T,) codes → (T,) int64 token ids; LlasaError for a code that has none."""
        array = np.asarray(codes, dtype=np.int64).reshape(-1)
        if len(array) and not 0 <= array.min() <= array.max() < self.codebook_size:
            raise LlasaError(
                f"codes {array.min()}…{array.max()} are outside of 0…{self.codebook_size - 1}"
            )
        return self.code_ids[array]

    def to_codes(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """(T,) token ids → (T,) int64 codes; LlasaError for an id that is no code."""
        array = np.asarray(ids, dtype=np.int64).reshape(-1)
        codes = self._codes_of(array)
        if (codes < 0).any():
            where = int((codes < 0).argmax())
            raise LlasaError(f"token {int(array[where])} at position {where} is no speech token")
        return codes

    def is_code(self, ids: np.ndarray) -> np.ndarray:
        """Which of the ids are codes, as booleans of the same shape."""
        return self._codes_of(ids) >= 0

    def _codes_of(self, ids: np.ndarray) -> np.ndarray:
        table = self._code_at
        valid = (ids >= 0) & (ids < len(table))
        return np.where(valid, table[np.where(valid, ids, 0)], -1)

    @cached_property
    def _code_at(self) -> np.ndarray:
        """The code of each token id, -1 where there is none."""
        table = np.full(int(self.code_ids.max()) + 1, -1, np.int64)
        table[self.code_ids] = np.arange(self.codebook_size)
        return table


def extend_tokenizer(
    tokenizer: PreTrainedTokenizerBase, codebook_size: int = 65_536
) -> SpeechVocabulary:
    """Add the marks and a token for each code, in the published order, to a base tokenizer; those
    it has stay.

    A model for it must have rows for the new ids; `xcodec2 llasa train` makes them.
    """
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    tokenizer.add_tokens(
        [AddedToken(code_token(code), normalized=False) for code in range(codebook_size)]
    )
    return SpeechVocabulary.of(tokenizer)
