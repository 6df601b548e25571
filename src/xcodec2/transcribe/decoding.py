"""Emissions → symbols with times: the likeliest symbol of each code, repeats and blanks dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

BLANK = 0


@dataclass(frozen=True)
class Timed:
    """A symbol or a word with its time.

    Attributes:
        text: What it is.
        start: In seconds.
        end: In seconds; the last code that it was heard at is included.
    """

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What codes say.

    Attributes:
        words: With times.
        phones: With times; spaces and marks left out.
        segments: Pieces of text with times, where words have none.
    """

    words: list[Timed]
    phones: list[Timed]
    segments: list[Timed] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The words, one space between them."""
        return " ".join(part.text for part in self.words or self.segments)


def greedy(log_probabilities: Tensor, symbols: str, frame_rate: float) -> list[Timed]:
    """The likeliest symbols.

    Args:
        log_probabilities: (T, S).
        symbols: Of S - 1 characters, without the blank.
        frame_rate: Codes per second.

    Returns:
        Each symbol from the first code that it is likeliest at to the last one.
    """
    found: list[Timed] = []
    best = log_probabilities.argmax(-1).tolist()
    before = BLANK
    for place, symbol in enumerate(best):
        if symbol != BLANK:
            start = place / frame_rate if symbol != before else found.pop().start
            found.append(Timed(symbols[symbol - 1], start, (place + 1) / frame_rate))
        before = symbol
    return found


def words_of(characters: list[Timed]) -> list[Timed]:
    """Characters → the words between their spaces."""
    words: list[Timed] = []
    inside = False
    for character in characters:
        if character.text == " ":
            inside = False
            continue
        if inside:
            last = words.pop()
            character = Timed(last.text + character.text, last.start, character.end)
        words.append(character)
        inside = True
    return words


def log_likelihood(log_probabilities: Tensor, target: list[int]) -> float:
    """Of a target, summed over all its alignments; minus infinity where it does not fit.

    Args:
        log_probabilities: (T, S).
        target: Symbols, without blanks.
    """
    if not len(log_probabilities):
        return -torch.inf
    device = log_probabilities.device
    loss = F.ctc_loss(
        log_probabilities[:, None],
        torch.tensor([target], device=device),
        torch.tensor([len(log_probabilities)], device=device),
        torch.tensor([len(target)], device=device),
        blank=BLANK,
        reduction="sum",
    )
    return -float(loss)
