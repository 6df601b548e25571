"""What synthetic voices say: sentences from Debian packages, and made-up ones full of numbers and
names.

Everything is free to be spoken: WordNet's quoted examples (WordNet licence), the World English
Bible and the Reina Valera of 1909 (public domain), the stamps' names of Tux Paint (GPL-2) where a
language has nothing longer.
"""

import random
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from nano_data.packages import fetch_package

WORDS = (4, 24)  # of a sentence that is kept
QUOTED = re.compile(r'"([^"]+)"')
PLAIN_ENGLISH = re.compile(r"[A-Z][A-Za-z ,;'-]+[.!?]")
VERSE = re.compile(r"[A-ZÁÉÍÓÚÑ¿¡][\w ,;:'¿¡-]+[.!?]")
SWORD_TEXTS = "usr/share/sword/modules/texts/ztext"
STAMPS = "usr/share/tuxpaint/stamps"
# What is spoken in a language but comes from no text: how numbers and names sound.
STREETS = (
    "Maple",
    "Church",
    "Harbour",
    "Willow",
    "Station",
    "Queen",
    "Orchard",
    "Bridge",
    "Mill",
    "Victoria",
)
NAMES = (
    *("Olivia", "Noah", "Amelia", "Mateo", "Priya", "Yusuf", "Ingrid", "Chloe", "Dmitri", "Zanele"),
    *("Hannah", "Oscar", "Fatima", "Liam", "Rosa", "Kenji", "Aoife", "Walter", "Beatrice", "Omar"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
THINGS = (
    "apples",
    "tickets",
    "chairs",
    "pages",
    "kilometres",
    "letters",
    "boxes",
    "photographs",
    "bottles",
    "days",
)


def sentences(language: str, cache: Path) -> list[str]:
    """All sentences of a language that the packages hold, in a fixed order."""
    if language == "en":
        return [*wordnet_examples(cache), *bible("sword-text-web", "engWEB2015eb", cache)]
    if language == "es":
        return list(bible("sword-text-sparv", "spaRV1909eb", cache))
    return list(stamp_names(language, cache))


def draw(language: str, known: list[str], rng: random.Random) -> str:
    """The next sentence of a voice; every eighth English one is made up, short names are said three
    in a row.
    """
    if language in ("en", "es"):
        return made_up(rng) if language == "en" and rng.random() < 1 / 8 else rng.choice(known)
    return " ".join(rng.sample(known, 3))


def wordnet_examples(cache: Path) -> Iterator[str]:
    """Example sentences of the glosses, with a capital and a stop where they have none."""
    root = fetch_package("wordnet-base", cache) / "usr/share/wordnet"
    for part in ("noun", "verb", "adj", "adv"):
        for line in (root / f"data.{part}").read_text("ascii").splitlines():
            for example in QUOTED.findall(line.partition(" | ")[2]):
                yield from usable(as_sentence(example), PLAIN_ENGLISH)


def as_sentence(phrase: str) -> str:
    phrase = " ".join(phrase.split()).rstrip(",;:- ")
    return phrase[:1].upper() + phrase[1:] + ("" if phrase.endswith((".", "!", "?")) else ".")


def bible(package: str, module: str, cache: Path) -> Iterator[str]:
    """Sentences of a SWORD module: zlib blocks, whose index has their place, packed and unpacked
    size.
    """
    root = fetch_package(package, cache) / SWORD_TEXTS / module
    for index in sorted(root.glob("*.bzs")):
        packed = index.with_suffix(".bzz").read_bytes()
        for place, size, _ in struct.iter_unpack("<III", index.read_bytes()):
            text = zlib.decompress(packed[place : place + size]).decode("utf-8", "replace")
            text = re.sub(r"<(note|title)\b.*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL)
            text = re.sub(r"[“”«»‘()\[\]]", " ", text).replace("’", "'")
            text = re.sub(r"\s+([,;:.!?])", r"\1", " ".join(text.split()))
            for sentence in re.split(r"(?<=[.!?])\s+", text):
                yield from usable(sentence, VERSE)


def stamp_names(language: str, cache: Path) -> Iterator[str]:
    """Descriptions of Tux Paint's stamps in that language."""
    root = fetch_package("tuxpaint-stamps-default", cache) / STAMPS
    line = re.compile(rf"^{language}(?:_[A-Z]+)?\.utf8=(.+)$", re.MULTILINE)
    for path in sorted(root.rglob("*.txt")):
        for description in line.findall(path.read_text("utf-8", "replace")):
            yield " ".join(description.split())


def usable(sentence: str, pattern: re.Pattern[str]) -> list[str]:
    """The sentence, if it is one that can be read out."""
    return (
        [sentence]
        if WORDS[0] <= len(sentence.split()) <= WORDS[1] and pattern.fullmatch(sentence)
        else []
    )


def made_up(rng: random.Random) -> str:
    """A sentence of numbers, dates, times or names, which books have few of."""
    name, other = rng.sample(NAMES, 2)
    clock = f"{rng.randint(1, 12)}:{rng.randrange(0, 60, 5):02}"
    date = f"{rng.choice(MONTHS)} {rng.randint(1, 28)}, {rng.randint(1890, 2035)}"
    return rng.choice(
        (
            f"{name} was born on {date}, and {other} on a {rng.choice(DAYS)}.",
            f"Call me back at {clock} on {rng.choice(DAYS)}, please.",
            f"The bill comes to {rng.randint(2, 900)} dollars and {rng.randint(1, 99)} cents.",
            f"Is {name} still at {rng.randint(2, 250)} {rng.choice(STREETS)} Street?",
            f"{name} and {other} carried {rng.randint(12, 9000)} {rng.choice(THINGS)} up the "
            "stairs.",
            f"Turn left after {rng.randint(50, 900)} metres, then take the {rng.randint(2, 9)}th "
            "exit.",
            f"No, {name}, the code is {' '.join(str(rng.randint(0, 9)) for _ in range(6))}.",
            f"Why did {other} sell {rng.randint(2, 60)} percent of the {rng.choice(THINGS)}?",
        )
    )
