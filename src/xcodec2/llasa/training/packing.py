"""Many examples in one sequence, without any seeing another.

Each pack is `length` tokens: examples one after another, positions that begin at 0 in each, labels
on speech alone. Restarting positions tell transformers where examples begin: it masks attention
across them, in the kernels of flash attention as in a mask
(`transformers.masking_utils.find_packed_sequence_indices`), provided that no attention mask is
given. Padding at the end is a segment of its own, without labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

IGNORED = -100  # the label that losses pass over
WINDOW = 64  # examples among which the next that fits is looked for


@dataclass(frozen=True)
class Example:
    """ids: (L,) int64. labels: (L,) int64, each the id itself or IGNORED; the model shifts them."""

    ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Pack:
    """ids, positions, labels: (length,) int64. tokens: how many are not padding. examples: how many
    it holds.
    """

    ids: np.ndarray
    positions: np.ndarray
    labels: np.ndarray
    tokens: int
    examples: int


def pack(
    examples: Iterable[Example], length: int, padding: int, window: int = WINDOW
) -> Iterator[Pack]:
    """Every example once, whole, in packs of `length`; each must fit into one.

    Holds `window` examples at a time; takes the longest that still fits, so packs are nearly full.
    The order depends on the examples alone.
    """
    source = iter(examples)
    waiting: list[Example] = []

    def refill() -> None:
        while len(waiting) < window and (item := next(source, None)) is not None:
            if not 0 < len(item) <= length:
                raise ValueError(f"an example of {len(item)} tokens does not fit into {length}")
            waiting.append(item)

    refill()
    while waiting:
        chosen, room = [waiting.pop(0)], length  # the oldest first: none waits for ever
        room -= len(chosen[0])
        refill()
        while fitting := [item for item in waiting if len(item) <= room]:
            best = max(fitting, key=len)
            waiting.pop(next(i for i, item in enumerate(waiting) if item is best))
            chosen.append(best)
            room -= len(best)
            refill()
        yield join(chosen, length, padding)


def join(examples: list[Example], length: int, padding: int) -> Pack:
    """The examples after one another, padded to `length`."""
    tokens = sum(map(len, examples))
    empty = length - tokens
    parts = [*examples, Example(np.full(empty, padding), np.full(empty, IGNORED))]
    return Pack(
        ids=np.concatenate([part.ids for part in parts]).astype(np.int64),
        positions=np.concatenate([np.arange(len(part)) for part in parts]),
        labels=np.concatenate([part.labels for part in parts]).astype(np.int64),
        tokens=tokens,
        examples=len(examples),
    )
