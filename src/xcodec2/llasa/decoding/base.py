"""What `BatchGenerator` needs of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch


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

    def scores(
        self, states: Sequence[Any], fresh: Sequence[np.ndarray], choices: Choices
    ) -> torch.Tensor:
        """Read on in some sequences.

        Args:
            states: Of each sequence; they are changed.
            fresh: (L_i,) int64 ids that each reads now, one or more.
            choices: The A ids whose scores are wanted.

        Returns:
            (B, A) float32 on the CPU: the scores of each sequence's next token; the caller's to change.
        """
        ...
