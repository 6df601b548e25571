"""Speech to text by a language model that has learned it over codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.generation.batch import BatchGenerator
from xcodec2.llasa.lm import LanguageModel, load_lm
from xcodec2.llasa.sampling import Sampling
from xcodec2.transcribe.decoding import Timed, Transcript

if TYPE_CHECKING:
    import torch

    from xcodec2.codes import Codes

PIECE_SECONDS = 15.0  # of speech that is transcribed at once, at most
MARGIN = 16  # tokens of a transcript beyond one a code


class LmTranscriber:
    """Reads the codes of one codec.

    Args:
        lm: Trained on rows of `xcodec2 llasa prepare --task asr`.

    Raises:
        LlasaError: It was not.
    """

    def __init__(self, lm: LanguageModel) -> None:
        if "asr" not in lm.metadata.tasks:
            raise LlasaError(
                f"{lm.name} has not learned to transcribe: train one on rows of "
                "`xcodec2 llasa prepare --task tts,asr`"
            )
        self.lm = lm
        size = lm.prompts.vocabulary.codebook_size
        self.codec = lm.metadata.codec or CodecIdentity(codebook_size=size)

    @classmethod
    def load(cls, name: str | Path, *, device: str = "cpu") -> LmTranscriber:
        """The model of a folder or a Hub id.

        Raises:
            LlasaError: It cannot be loaded, or has not learned to transcribe.
        """
        return cls(load_lm(name, device=device))

    @cached_property
    def writing(self) -> Choices:
        """The tokens of a transcript: text, and its end."""
        prompts = self.lm.prompts
        ids = np.arange(len(prompts.tokenizer))
        text = ids[~np.isin(ids, list(prompts.control))]
        return Choices(np.union1d(text, [prompts.vocabulary.writing_end]))

    def transcribe(self, codes: Codes | Sequence[int] | np.ndarray | torch.Tensor) -> Transcript:
        """What codes (T,) say, greedily. Long speech is cut into equal pieces of at most 15 s,
        which are the transcript's segments.

        Raises:
            LlasaError: For codes that the tokenizer has not, or a context that is too short.
            CodesError: For codes of another codec.
        """
        from xcodec2.codes import Codes

        if isinstance(codes, Codes):
            codes.identity.check(self.codec, "this speech", "the language model's codec")
            codes = codes.codes
        array, rate = np.asarray(codes, np.int64).reshape(-1), self.codec.frame_rate
        count = math.ceil(len(array) / (PIECE_SECONDS * rate))
        segments, start = [], 0
        for piece in np.array_split(array, count) if count else []:
            end = start + len(piece)
            if text := self.piece(piece):
                segments.append(Timed(text, start / rate, end / rate))
            start = end
        return Transcript([], [], segments)

    def piece(self, codes: np.ndarray) -> str:
        """The text of codes (T,) that fit into the context."""
        vocabulary = self.lm.prompts.vocabulary
        generator = BatchGenerator(self.lm, 1)
        sequence = generator.start(
            self.lm.prompts.asr_prompt(codes),
            Sampling(temperature=0, max_tokens=len(codes) + MARGIN),
            choices=self.writing,
            end=vocabulary.writing_end,
            min_tokens=0,
        )
        while generator.step():
            pass
        return " ".join(str(self.lm.prompts.tokenizer.decode(sequence.tokens)).split())
