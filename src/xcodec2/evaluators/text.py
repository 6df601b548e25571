"""Words and characters that a recognizer got wrong."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from xcodec2.errors import UndefinedError
from xcodec2.extras import require


def normalize(text: str) -> str:
    """Lower case, letters, digits, marks and apostrophes, one space between words; the same for
    every script.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(c if c == "'" or unicodedata.category(c)[0] in "LNM" else " " for c in folded)
    return " ".join(word for part in kept.split() if (word := part.strip("'")))


@dataclass(frozen=True)
class Errors:
    """Substitutions, deletions and insertions, and how many units the reference has."""

    wrong: int
    total: int


def word_errors(reference: str, recognized: str) -> Errors:
    """Of the two texts after `normalize`; UndefinedError when the reference has no words."""
    return _errors(normalize(reference).split(), normalize(recognized).split())


def character_errors(reference: str, recognized: str) -> Errors:
    """The same for characters, spaces among them."""
    return _errors(list(normalize(reference)), list(normalize(recognized)))


MAX_GROUP = 8  # words that a recognizer repeats together
MIN_ROUNDS = 4  # of one or two words; three are enough of longer groups
MIN_SPELLED_ROUNDS = 6  # of a group of letters inside of one word


def longest_run(units: Sequence[str], group: int) -> int:
    """How often a group of units follows itself at most: 1 where none does, 0 where none fits."""
    longest = same = 0
    for place in range(group, len(units)):
        same = same + 1 if units[place] == units[place - group] else 0
        longest = max(longest, same // group)
    return longest + 1 if len(units) >= group else 0


def looped(recognized: str, reference: str) -> bool:
    """Whether a recognizer went round in circles: words, or letters of a word, again and again.

    Args:
        recognized: What it gave.
        reference: What was said; what is repeated there as often is no circle.

    Returns:
        True where one to eight words stand four times in a row (three, from three words on), or one
        to four letters six times.
    """
    words, said = normalize(recognized).split(), normalize(reference).split()
    for group in range(1, MAX_GROUP + 1):
        rounds = longest_run(words, group)
        if rounds >= (MIN_ROUNDS if group < 3 else 3) and rounds > longest_run(said, group):
            return True
    return any(
        longest_run(word, group) >= MIN_SPELLED_ROUNDS and word not in said
        for word in words
        for group in range(1, 5)
    )


def _errors(reference: list[str], recognized: list[str]) -> Errors:
    if not reference:
        raise UndefinedError("no words to compare with")
    levenshtein = require("rapidfuzz.distance.Levenshtein", extra="evaluate", purpose="WER")
    return Errors(levenshtein.distance(reference, recognized), len(reference))
