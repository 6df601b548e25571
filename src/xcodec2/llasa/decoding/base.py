"""What `BatchGenerator` needs of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, eq=False)
class Choices:
    """The tokens that can come.

    Attributes:
        ids: (A,) int64 token ids, ascending.
    """

    ids: np.ndarray

    def places(self, tokens: np.ndarray) -> np.ndarray:
        """(S,) Where among the ids those tokens are that can come, each once."""
        places = np.searchsorted(self.ids, np.unique(tokens))
        found = places[places < len(self.ids)]
        return found[np.isin(self.ids[found], tokens)]


class Decoder(Protocol):
    """A language model that keeps what it has read in a state of each sequence.

    A sequence's scores depend on its own tokens alone, to the bit, whatever is beside it.
    """

    vocabulary: int  # ids are below it
    context: int

    def new_state(self) -> Any:
        """The state of a sequence of which nothing was read yet."""
        ...

    def advance(self, states: Sequence[Any], unread: Sequence[np.ndarray]) -> Any:
        """Read on in some sequences.

        Args:
            states: Of each sequence; they are changed.
            unread: (L_i,) int64 ids that each reads now, one or more.

        Returns:
            What it knows of the B sequences, for the other methods; it can be indexed by an array.
        """
        ...

    def scores(self, known: Any, choices: Choices) -> np.ndarray:
        """(B, A) float32, the caller's to change: of each choice to come next."""
        ...

    def likeliest(self, known: Any, choices: Choices) -> np.ndarray:
        """(B,) int64: the place among the choices of the highest score, the first of equals."""
        ...
