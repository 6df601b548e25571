"""Words and characters that a recogniser got wrong."""

from __future__ import annotations

import unicodedata
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


def _errors(reference: list[str], recognized: list[str]) -> Errors:
    if not reference:
        raise UndefinedError("no words to compare with")
    levenshtein = require("rapidfuzz.distance.Levenshtein", extra="evaluate", purpose="WER")
    return Errors(levenshtein.distance(reference, recognized), len(reference))
