"""Codes from an LM in this process, sampled token by token.

Only codes and <|SPEECH_GENERATION_END|> can come. Every sequence of a batch draws from a generator
of its own seed and is computed apart from the others: a batch gives what its items give alone.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from xcodec2.llasa.backends.base import Generated, Sampling
from xcodec2.llasa.generation.batch import BatchGenerator
from xcodec2.llasa.lm import LanguageModel


class InProcess:
    """A back end in this process."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm, self.name, self.prompts, self.metadata = lm, lm.name, lm.prompts, lm.metadata
        self.context = lm.context

    def generate(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> list[Generated]:
        """One continuation for each prompt (L,), in one batch."""
        generator = BatchGenerator(self.lm, max(1, len(prompts)))
        sequences = [
            generator.start(prompt, sampling, seed=seed)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        while generator.step():
            pass
        to_codes = self.prompts.vocabulary.to_codes
        return [Generated(to_codes(item.tokens), item.finished == "end") for item in sequences]

    def stream(
        self, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> Generator[int, None, bool]:
        """Codes one by one; the generator's value says whether the speech ended by itself.

        Args:
            prompt: (P,) int64 ids.
            seed: Of the drawing.
            sampling: How tokens are drawn.

        Yields:
            Codes.

        Returns:
            Whether the end of speech was drawn.
        """
        generator = BatchGenerator(self.lm, 1)
        sequence = generator.start(prompt, sampling, seed=seed)
        while generator.step() and sequence.finished != "end":
            yield int(self.prompts.vocabulary.to_codes(sequence.tokens[-1:])[0])
        return sequence.finished == "end"
