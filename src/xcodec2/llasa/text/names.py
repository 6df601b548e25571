"""Addresses, telephone numbers, codes, Roman numerals: what is read part by part."""

from __future__ import annotations

import re

from xcodec2.llasa.text.numbers import cardinal, code, digits, ordinal, roman, year
from xcodec2.llasa.text.rules import END, START, alternatives, rule
from xcodec2.llasa.text.tables import (
    ADDRESS_SIGNS,
    ADDRESS_WORDS,
    FILE_ENDINGS,
    NUMBERED,
    RULERS,
    TOP_LEVEL_DOMAINS,
)

VOWELS = frozenset("aeiouyAEIOUY")


def address(match: re.Match[str]) -> str:
    """john.doe@example.com, www.bbc.co.uk/news, https://example.org, setup.py."""
    text = match.group()
    tail = re.search(r"[.,;:!?'\")\]}>]*$", text)
    end = tail.group() if tail else ""
    if end.count(")") and "(" in text:
        end = end.replace(")", "", 1)
    return address_words(text[: len(text) - len(end)]) + end


def address_words(text: str) -> str:
    """Every letter, digit and sign of an address as words."""
    parts = re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]", text)
    words: list[str] = []
    for part in parts:
        if part.isdigit() and part.isascii():
            words.append(code(part) if len(part) < 5 else digits(part))
        elif part.isascii() and part.isalpha():
            words.extend(address_word(piece) for piece in camel(part))
        elif part == "/" and words[-1:] == ["slash"] and words[-2:-1] == ["colon"]:
            words.append("slash")
        else:
            words.append(ADDRESS_SIGNS.get(part, part))
    # what is joined to a hyphen is a letter, never the article
    return re.sub(r"\ba$", "A", re.sub(r"\b[aA] (?=\w)", "A-", " ".join(words)))


def address_word(part: str) -> str:
    """A part of an address: a word, or capitals where it cannot be pronounced."""
    if part.lower() in ADDRESS_WORDS:
        return ADDRESS_WORDS[part.lower()]
    if not VOWELS & set(part) and len(part) < 6:
        return part.upper()
    return part


def camel(text: str) -> list[str]:
    """OpenAI → Open, AI; climateAction → climate, Action."""
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)


def handle(match: re.Match[str]) -> str:
    """@user, #ClimateAction."""
    word = "at" if match.group()[0] == "@" else "hashtag"
    return f"{word} {address_words(match.group()[1:])}"


def grouped_digits(match: re.Match[str]) -> str:
    """Telephone and card numbers, ISBNs: group by group, with pauses."""
    text = match.group()
    groups = re.findall(r"\d+|[A-Z]+", text)
    words = [group_words(group) for group in groups]
    return f"{'plus ' if text[0] == '+' else ''}{', '.join(words)}"


def group_words(group: str) -> str:
    """One group: digits, "eight hundred", or a word that is dialed."""
    if group.isalpha():
        return group.lower()
    if re.fullmatch(r"[1-9]00", group):
        return cardinal(int(group))
    return digits(group)


def number_list(match: re.Match[str]) -> str:
    """1-2-3."""
    return ", ".join(code(group) for group in match.group().split("-"))


def zip_code(match: re.Match[str]) -> str:
    """CA 90210, NY 10001-1234."""
    groups = match["digits"].split("-")
    return f"{match['state']} {', '.join(map(digits, groups))}"


def emergency(match: re.Match[str]) -> str:
    """call 911."""
    return f"{match['verb']} {digits(match['number'])}"


def dotted(match: re.Match[str]) -> str:
    """192.168.0.1, v2.0.1, section 3.2.1."""
    text = match.group()
    prefix = "version " if text[0] in "vV" else ""
    groups = text.lstrip("vV").split(".")
    if len(groups) == 4 and not prefix:
        return " dot ".join(map(digits, groups))
    return prefix + " point ".join(
        code(group) if len(group) < 3 else digits(group) for group in groups
    )


def letters_and_digits(match: re.Match[str]) -> str | None:
    """A4, B2B, MP3, COVID-19, iPhone15, B-52: letters and digits of one name."""
    text = match.group()
    if re.match(r"[a-z]{2,}-", text):
        return None  # pre-1900, mid-1980s
    parts = re.findall(r"[^\W\d_]+|\d+", text)
    if len(parts) > 6:  # an identifier
        return address_words(text)
    words = ""
    for place, part in enumerate(parts):
        spelled = part if not part.isdigit() else code(part)
        if place and len(parts[place - 1]) == 1 and parts[place - 1].isalpha():
            words += "-"  # what is joined to a hyphen is a letter, never the article
        elif words:
            words += "-" if len(part) == 1 and part.isalpha() else " "
        words += spelled if not part.isalpha() or len(part) > 1 else part.upper()
    return words


def numeral(match: re.Match[str]) -> str | None:
    """Henry VIII, World War II, Chapter IV, the XXI century."""
    before, number = match["before"], roman(match["numeral"])
    if number is None or (before.islower() and before not in NUMBERED):
        return None
    if before.lower() in NUMBERED:
        return f"{before} {cardinal(number)}"
    if len(match["numeral"]) == 1 and not ends_a_name(match):
        return None
    if before in RULERS:
        return f"{before} the {ordinal(number)}"
    return f"{before} {cardinal(number)}" if len(match["numeral"]) > 1 else None


def ends_a_name(match: re.Match[str]) -> bool:
    """Whether a lone I, V or X closes a name rather than beginning a clause."""
    if match["before"] not in RULERS or match["numeral"] not in "IVX":
        return False
    after = match.string[match.end() : match.end() + 12]
    verbs = r"(?: (?:of|was|died|reigned|ruled|became|in|and|who|is|had)\b|'s\b|[.,;:)!?]|\s*$)"
    return bool(re.match(verbs, after))


def century(match: re.Match[str]) -> str | None:
    """The XIX century."""
    number = roman(match["numeral"])
    return f"{ordinal(number)} {match['after']}" if number else None


def lone_numeral(match: re.Match[str]) -> str | None:
    """A Roman numeral of two letters or more that is no word and no initialism."""
    text = match.group()
    number = roman(text)
    if not number or (len(text) < 4 and text not in COMMON_NUMERALS):
        return None
    return year(number) if number > 1000 else cardinal(number)


COMMON_NUMERALS = frozenset(
    (
        *("II", "III", "VI", "VII", "VIII", "IX", "XI", "XII", "XIII", "XIV", "XV"),
        *("XVI", "XVII", "XVIII", "XIX", "XX", "XXI", "XXII", "XXIII", "XXIV", "XXV"),
    )
)
STATES = "|".join(
    (
        *("AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "DC", "FL", "GA", "HI", "ID", "IL"),
        *("IN", "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS", "MO", "MT", "NE"),
        *("NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD"),
        *("TN", "TX", "UT", "VT", "VA", "WA", "WV", "WI", "WY"),
    )
)
DOMAIN = rf"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*)\.)+(?:{alternatives(TOP_LEVEL_DOMAINS)})\b"
PATH = r"[^\s\"<>]*"
ADDRESSES = (
    rule(rf"(?<![\w.@])(?:https?|ftp)://{PATH}|(?<![\w.@])www\.{PATH}", address),
    rule(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+", address),
    rule(rf"(?<![\w.@-]){DOMAIN}(?:/{PATH})?(?!\.\w)", address),
    rule(rf"(?<![\w.-])[A-Za-z_][\w-]{{0,64}}\.(?:{alternatives(FILE_ENDINGS)})\b", address),
    rule(r"(?<!\S)~?(?:/[\w.-]+){2,}/?", address),
    rule(r"(?<![\w@#&])[@#][A-Za-z_]\w*", handle),
)
NUMBERS = (
    rule(
        r"(?<![\w.,+])(?:\+\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{1,5}(?:[-. ]\d{2,8}){1,4}"
        r"|(?:1[-. ])?\(?\d{3}\)?[-. ]\d{3}[-. ]\d{4}|1-\d{3}-[A-Z]{7}"
        r"|1-\d{3}-\d{3}-\d{4}|\d{3}-\d{4}|\(?0\d{2,4}\)? \d{3,4}(?: \d{3,4})?"
        r"|\d{3}-\d\d-\d{4}|\d{4}(?:[ -]\d{4}){3}|\d{1,5}(?:-\d{1,7}){3,4})(?![\w-])(?!\.\d)",
        grouped_digits,
    ),
    rule(rf"\b(?P<state>{STATES}) (?P<digits>\d{{5}}(?:-\d{{4}})?)(?![\w-])", zip_code),
    rule(rf"{START}\d{{1,4}}(?:-\d{{1,4}}){{2,}}(?![\w-])", number_list),
    rule(
        r"\b(?P<verb>[Cc]all(?:ed)?|[Dd]ial(?:ed)?|phoned?) (?P<number>\d{3})(?![\w,-])", emergency
    ),
    rule(rf"(?<![\w.])(?:[vV]\d+(?:\.\d+)*|\d+(?:\.\d+){{2,}}){END}", dotted),
)
CODES = (
    rule(
        r"(?<![\w.])(?=[\w-]{0,40}\d)(?=[\w-]{0,40}[^\W\d])"
        r"(?:[^\W\d_]+-?\d+(?:[^\W\d_]+\d+)*[^\W\d_]{0,3}"
        r"|(?!\d+(?:(?:st|nd|rd|th|s|x|k|M|bn|mn|tn)\b|B [a-z]+s\b))"
        r"\d+[^\W\d_]+(?:\d+[^\W\d_]*)*)(?!\w)",
        letters_and_digits,
    ),
    rule(r"\b(?P<before>[A-Za-z]+) (?P<numeral>[IVXLCDM]+)(?![\w-])(?!\.[A-Z])", numeral),
    rule(r"\b(?P<numeral>[IVX]+)(?:th)? (?P<after>[Cc]entur(?:y|ies))\b", century),
    rule(r"(?<![\w.-])[IVXLCDM]{2,}(?![\w-])", lone_numeral),
)
