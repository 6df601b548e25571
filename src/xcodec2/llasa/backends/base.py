"""What a language model is asked for and what it gives, wherever it runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xcodec2.llasa.lm import LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.sampling import Sampling

__all__ = ["Backend", "Generated", "Sampling"]


@dataclass(frozen=True)
class Generated:
    """One continuation.

    Attributes:
        codes: (T,) int64.
        finished: Whether the model ended by itself.
    """

    codes: np.ndarray
    finished: bool


class Backend(Protocol):
    """Where an LM runs. `context` is in tokens, prompt included."""

    name: str
    prompts: Prompts
    metadata: LlasaMetadata
    context: int

    def generate(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> list[Generated]:
        """Continue prompts until they end or `sampling.max_tokens` is reached.

        Args:
            prompts: (P,) int64 ids each.
            seeds: One for each prompt.
            sampling: How tokens are drawn.

        Returns:
            One for each prompt, in order.
        """
        ...

    def stream(
        self, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> Generator[int, None, bool]:
        """Continue one prompt, code by code.

        Args:
            prompt: (P,) int64 ids.
            seed: Of the drawing.
            sampling: How tokens are drawn.

        Yields:
            Codes as they come.

        Returns:
            Whether the model ended by itself.
        """
        ...
