"""English as it is written → English as it is read: words and punctuation, nothing else."""

from __future__ import annotations

import re

from xcodec2.errors import LlasaError
from xcodec2.llasa.text import abbreviations, calendar, names, quantities
from xcodec2.llasa.text.characters import fold
from xcodec2.llasa.text.notation import plain_notation
from xcodec2.llasa.text.rules import Rewriter

#: Addresses before anything in them is read as a date, dates before amounts; single signs last.
REWRITE = Rewriter(
    (
        *names.ADDRESSES,
        *abbreviations.WHOLE,
        *calendar.RULES,
        *names.NUMBERS,
        *quantities.AMOUNTS,
        *names.CODES,
        *quantities.NUMBERS,
        *abbreviations.RULES,
    )
)


def normalize(text: str) -> str:
    """Text in words: numbers, dates, times, money, measures, abbreviations and addresses in full.

    Initialisms stay in capitals (FBI); a letter that is read by its name stands in capitals, too,
    with a hyphen where it could be taken for a word (A-four).

    Args:
        text: Any Unicode text, of any length.

    Returns:
        One line of Latin letters, apostrophes, hyphens, spaces and the marks `. , ? ! ; : — …`.

    Raises:
        LlasaError: Nothing in it can be read, or a character has no reading in English.

    Examples:
        >>> normalize("Dr. Smith paid $12.50 at 9:30am on 3/4/2024.")
        'Doctor Smith paid twelve dollars and fifty cents at nine thirty AM on March fourth, twenty
        twenty-four.'
    """
    words = punctuated(REWRITE(paragraphs(fold(plain_notation(text)))))
    if not any(map(str.isalpha, words)):
        start = text if len(text) <= 40 else f"{text[:40]}…"
        raise LlasaError(f"no speakable characters in {start!r}: give letters or digits")
    return words


def paragraphs(text: str) -> str:
    """Lines as one: what ends a paragraph or an item of a list ends a sentence."""
    text = re.sub(r"[ \t]+", " ", text.strip())
    text = re.sub(r"(?<=[^\s.!?:;,]) ?(?:\n\s*\n\s*|\n ?(?=[-*+,#] |\d+[.)] ))", ".\n", text)
    return re.sub(r"(?:^|(?<=\n)) ?(?:[-*+,]|#+) ", "", text).replace("\n", " ")


def punctuated(text: str) -> str:
    """Words with the marks that are heard, each once and in its place."""
    text = re.sub(r"(?<![^\W\d_])'+|'+(?![^\W\d_])", " ' ", text)
    text = re.sub(r"(?<=s) ' +(?=[a-z])", "' ", text)  # the dogs' bone
    text = re.sub(r"(?i)(?<!\w) ' (?=(?:tis|twas|em|cause|til|n)\b)", " '", text)
    text = re.sub(r"(?<!\w)'(?=(?:\s|$))|[\"*_`~|]", " ", text)
    text = re.sub(r"(?<!\w)' | '(?= )", " ", text)
    text = re.sub(r"[(\[{)\]}]", " , ", text)
    text = re.sub(r" ?(?:—|–|--+|(?<![^\W\d_])-+|-+(?![^\W\d_]))(?: |(?=\S)|$)", " — ", text)
    text = re.sub(r"\.(?: ?\.)+", "…", text)
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"[.,;:!?…—](?:[ .,;:!?…—]*[.,;:!?…—])", strongest, text)
    text = re.sub(r" (?=[.,;:!?…])", "", text)
    text = re.sub(r"([.,;:!?…])(?=[^\W\d_])", r"\1 ", text)
    text = re.sub(r" ?— ?", " — ", text)
    return re.sub(r"^[ .,;:!?…—]+(?=\S)|[ ,;:—]+$", "", text).strip()


def strongest(match: re.Match[str]) -> str:
    """Of several marks in a row, the one that ends most."""
    return next(mark for mark in "?!.…;:—," if mark in match.group())
