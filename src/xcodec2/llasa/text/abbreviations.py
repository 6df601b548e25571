"""Short forms with and without periods, initials, and signs that are words."""

from __future__ import annotations

import re

from xcodec2.llasa.text.rules import alternatives, rule
from xcodec2.llasa.text.tables import (
    ABBREVIATIONS,
    BARE,
    BARE_TITLES,
    BARE_WORDS,
    BEFORE_NUMBERS,
    LAST_WORDS,
    STREETS,
    TITLES,
)

SIGNS = {
    "&": "and",
    "@": "at",
    "%": "percent",
    "=": "equals",
    "+": "plus",
    "<": "less than",
    ">": "greater than",
    "$": "dollar",
    "£": "pound",
    "€": "euro",
    "¥": "yen",
    "¢": "cent",
    "₹": "rupee",
    "₩": "won",
    "₽": "ruble",
    "₿": "bitcoin",
    "°": "degrees",
    "×": "times",
    "#": "hash",
    "\\": "backslash",
    "/": "slash",
    "^": "caret",
}


def abbreviation(match: re.Match[str]) -> str | None:
    """e.g., etc., Inc., approx., No. 5."""
    short = match["short"]
    after = match.string[match.end() :][:9]
    if short.lower() in ("no", "nos") and after.startswith(" of "):
        return ABBREVIATIONS[short]
    if short in BEFORE_NUMBERS and not re.match(
        r" ?[\d#(+]|,| [IVXLC]+\b| (?:and|or|to|through)\b", after
    ):
        return None
    return ABBREVIATIONS[short] + own_end(match, short)


def own_end(match: re.Match[str], short: str) -> str:
    """The period where it ends the sentence, too; and the comma that "e.g." is said with."""
    after = match.string[match.end() :]
    if short in ("e.g", "i.e"):
        return "" if after.startswith(",") else ","
    followed = r"|\s+[\"'(]*[A-Z]" if short in LAST_WORDS else ""
    return "." if re.match(rf"[\"')\]]*(?:\s*${followed})", after[:40]) else ""


def title(match: re.Match[str]) -> str | None:
    """Dr. Smith, St. Louis; but Main St. and 12 Park Dr."""
    short = match["short"] or match["bare"]
    before = re.findall(r"[^\s]+", match.string[max(0, match.start() - 60) : match.start()])
    after_name = bool(before) and before[-1][:1].isupper() and before[-1][-1:].isalpha()
    # the first word of a sentence has its capital from there
    after_name &= len(before) > 1 and before[-2][-1:] not in ".!?:"
    named = re.match(r" *(?:and |or |& ?)?[A-Z]", match.string[match.end() :][:8])
    if match["period"] and short in STREETS and (after_name or not named):
        if not after_name:
            return None
        ends = re.match(r"\s*$| +[A-Z]", match.string[match.end() :][:8])
        return STREETS[short] + ("." if ends and match["period"] else "")
    return TITLES[short] if named and short in TITLES else None


def street(match: re.Match[str]) -> str | None:
    """Park Ave., Sunset Blvd., Route 66 Hwy."""
    ends = re.match(r"\s*$| +[A-Z]", match.string[match.end() :][:8])
    return STREETS[match["short"]] + ("." if ends else "")


def dotted_letters(match: re.Match[str]) -> str:
    """U.S.A. → USA, Ph.D. → PhD, and the period where the sentence ends."""
    after = match.string[match.end() :]
    letters = re.sub(r"[. ]", "", match.group())
    letters = letters.upper() if letters.islower() else letters
    ends = match.group().endswith(".") and re.match(r"[\"')\]]*\s*$", after[:40])
    return letters + ("." if ends else "")


def initials(match: re.Match[str]) -> str:
    """J. K. Rowling → JK Rowling."""
    return re.sub(r"[. ]", "", match.group())


def bare(match: re.Match[str]) -> str:
    """vs, w/o, C++; what is joined to a slash gets its space back."""
    return BARE[match["short"]] if match["short"] else BARE_WORDS[match["word"]]


def sign(match: re.Match[str]) -> str:
    """A sign that stands for a word."""
    return SIGNS[match.group()]


#: What would be read as something else: 24/7, C++.
WHOLE = (
    rule(
        rf"(?<![\w.])(?:(?P<short>{alternatives(BARE)})(?!\.\w)"
        rf"|(?P<word>{alternatives(BARE_WORDS)})(?!\.))(?![\w/+#-])",
        bare,
    ),
)
RULES = (
    rule(rf"(?<![\w.])(?P<short>{alternatives(ABBREVIATIONS)})\.(?![^\W\d_])", abbreviation),
    rule(
        rf"(?<![\w.])(?:(?P<short>{alternatives(TITLES)})(?P<period>\.)"
        rf"|(?P<bare>{alternatives(BARE_TITLES)})(?!\w))(?![a-z\d])",
        title,
    ),
    rule(rf"(?<![\w.])(?P<short>{alternatives(STREETS)})\.(?!\w)", street),
    rule(r"(?<![\w.])[A-Z]\.(?: ?[A-Z]\.)* ?(?=[A-Z][a-z])", initials),
    rule(r"(?<![\w.])[A-Z][a-z]?(?:\.[A-Z][a-z]{0,2})+\.?(?![\w])", dotted_letters),
    rule(r"(?<![\w.])(?:[a-z]\.){2,}(?!\w)", dotted_letters),
    rule(r"(?<![\w.])(?:[A-Z]\. ?){2,}", dotted_letters),
    rule(r"[&=+<>@%$£€¥¢₹₩₽₿°×#\\/^]", sign),
)
