"""What is measured of the codes of a whole corpus: one class for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from xcodec2.corpus.labels import Interval
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Tokens:
    """The codes of a corpus.

    Attributes:
        system: Whose codes they are.
        rows: Of recordings, each with codes; at least one.
        labels: Recording's id → its phones, where they are known.
        brief: Without probes that are trained, which are not shown of single languages.
    """

    system: TokenizerSystem
    rows: Sequence[Row]
    labels: Mapping[str, list[Interval]]
    brief: bool = False

    @cached_property
    def codes(self) -> list[np.ndarray]:
        """(T,) integers of each row."""
        return [np.array(row["codes"], dtype=np.int64) for row in self.rows]

    @property
    def frame_rate(self) -> float:
        """Codes a second."""
        return self.system.tokenizer.frame_rate

    @property
    def seconds(self) -> float:
        """Of speech, all together."""
        return float(sum(row["seconds"] for row in self.rows))


class TokenMetric(ABC):
    """Says something of the codes of a corpus.

    Attributes:
        name: In summary.json, below a system's `codes`.
        lines: Title in tables → "field:format" of what the call gives.
        of_languages: Field that is shown for each language, and its title; none when empty.
    """

    name: ClassVar[str]
    lines: ClassVar[Mapping[str, str]]
    of_languages: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Measure.

        Args:
            tokens: Of a system and a corpus.

        Returns:
            Field → number, ready for JSON; None where the corpus does not allow it.
        """
