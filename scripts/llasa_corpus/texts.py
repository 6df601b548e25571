"""What is said: sentences of packages and made-up ones, each in one split whoever says it."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nano_data.sentences import DAYS, MONTHS, NAMES, STREETS, bible, made_up, wordnet_examples

from xcodec2.errors import LlasaError
from xcodec2.llasa.text import normalize, phonemes

LICENSES = {
    "wordnet": "WordNet 3.0 license",
    "web": "public domain (World English Bible)",
    "made up": "Apache-2.0",
}
MOST_PHONEMES = 400  # what hibari says at once; Kokoro takes 500
SPLITS = ("train", "heldout")
CITIES = ("Lisbon", "Nairobi", "Chicago", "Osaka", "Leeds", "Quito", "Oslo", "Perth", "Cork")
FOODS = ("rice", "flour", "olive oil", "sugar", "coffee", "butter", "lentils", "honey")
SIGNS = ("FBI", "NASA", "CEO", "BBC", "GPS", "USB", "MRI", "VAT", "FAQ", "HTML", "PDF", "UN")
SITES = ("example.com", "weather.org", "news.co.uk", "school.edu", "museum.net")
ROOMS = ("kitchen", "bedroom", "garage", "hall", "office", "garden")


@dataclass(frozen=True)
class Sentence:
    """As it is written, as it is read, and where it is from."""

    text: str
    words: str
    phonemes: str
    source: str


def written(cache: Path, made_up_count: int, seed: int) -> Iterator[tuple[str, str]]:
    """(text, source) of all there is, in a fixed order."""
    for text in wordnet_examples(cache):
        yield text, "wordnet"
    for text in bible("sword-text-web", "engWEB2015eb", cache):
        yield text, "web"
    for number in range(made_up_count):
        rng = random.Random(f"{seed} made up {number}")
        yield rng.choice((made_up, number_laden, command))(rng), "made up"


def split_texts(
    texts: Iterable[tuple[str, str]], heldout: float, seed: int
) -> dict[str, list[tuple[str, str]]]:
    """Texts by split, each once, shuffled; what reads alike is in one split."""
    splits: dict[str, list[tuple[str, str]]] = {split: [] for split in SPLITS}
    seen = set()
    for text, source in texts:
        key = same_reading(text)
        if key and key not in seen:
            seen.add(key)
            splits["heldout" if share(key) < heldout else "train"].append((text, source))
    for split, found in splits.items():
        random.Random(f"{seed} {split}").shuffle(found)
    return splits


def same_reading(text: str) -> str:
    """The letters that are heard; nothing for a text that the front end cannot read."""
    try:
        return " ".join("".join(c if c.isalpha() else " " for c in normalize(text).lower()).split())
    except LlasaError:
        return ""


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def read(text: str, source: str) -> Sentence:
    """A text with its reading."""
    return Sentence(text, normalize(text), str(phonemes(text)), source)


def number_laden(rng: random.Random) -> str:
    """A sentence with what the front end has to put into words."""
    name, other = rng.sample(NAMES, 2)
    number, small = rng.randint(2, 9_999), rng.randint(2, 60)
    month, day, year = rng.choice(MONTHS), rng.randint(1, 28), rng.randint(1890, 2040)
    money = f"${rng.randint(1, 950)}.{rng.randrange(100):02}"
    phone = f"{rng.randint(200, 989)}-555-{rng.randrange(10_000):04}"
    percent = f"{rng.randint(1, 99)}.{rng.randint(1, 9)}%"
    clock = f"{rng.randint(1, 12)}:{rng.randrange(60):02} {rng.choice(('a.m.', 'p.m.'))}"
    return rng.choice(
        (
            f"Sales rose {percent} to {money} million in {year}.",
            f"The train to {rng.choice(CITIES)} leaves at {clock} from platform {small}.",
            f"{name} paid {money} for {small} kg of {rng.choice(FOODS)}.",
            f"On {month} {day}, {year}, about {number:,} people voted.",
            f"Call {phone} or write to {name.lower()}.{other.lower()}@{rng.choice(SITES)}.",
            f"The {ordinal(rng)} report of the {rng.choice(SIGNS)} is on www.{rng.choice(SITES)}.",
            f"It was {rng.randint(-20, 45)}°C in {rng.choice(CITIES)} at {clock}",
            f"Chapter {small} begins on page {number}, doesn't it?",
            f"Dr. {name} lives at {number} {rng.choice(STREETS)} St., Apt. {small}.",
            f"Between {year} and {year + small} the {rng.choice(SIGNS)} hired {number} people.",
            f"Add {rng.randint(1, 5)} 1/2 cups of {rng.choice(FOODS)} and 3/4 of the rest.",
            f"The {rng.randint(2, 9)}0s were good years for {rng.choice(CITIES)}.",
            f"{name} ran {rng.randint(2, 40)}.{rng.randint(1, 9)} km in {small} min.",
            f"Flight {rng.choice('ABDK')}{number % 900 + 100} landed at {clock}",
        )
    )


def ordinal(rng: random.Random) -> str:
    """1st … 31st as digits."""
    number = rng.randint(1, 31)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def command(rng: random.Random) -> str:
    """What is said to machines, and by them."""
    name, room, day = rng.choice(NAMES), rng.choice(ROOMS), rng.choice(DAYS)
    number = rng.randint(2, 90)
    return rng.choice(
        (
            f"Set a timer for {number} minutes.",
            f"Turn off the lights in the {room}.",
            f"Wake me at {rng.randint(5, 10)}:{rng.randrange(0, 60, 5):02} on {day}.",
            f"Remind me to call {name} on {day}.",
            f"What is {number} times {rng.randint(2, 12)}?",
            f"Make the {room} {rng.randint(1, 5)} degrees warmer.",
            f"Play the next song, please, {name}.",
            f"You have {number} new messages.",
            f"Your package arrives on {day} before {rng.randint(1, 11)} p.m.",
            f"How far is it from {rng.choice(CITIES)} to {rng.choice(CITIES)}?",
            f"Send {name} the files from {day}.",
            f"Is the door of the {room} locked?",
            f"Please enter your {rng.randint(4, 8)} digit code.",
            f"In {number * 10} meters, turn {rng.choice(('left', 'right'))}.",
            f"No, not the {room}. I mean the {rng.choice(ROOMS)}.",
        )
    )


class Script:
    """What each voice says of one split: every sentence at most once, voices each in another
    order.
    """

    def __init__(self, texts: list[tuple[str, str]], seed: int) -> None:
        self.texts, self.seed = texts, seed
        self.orders: dict[str, list[int]] = {}

    def part(self, voice: str, number: int, rows: int) -> list[tuple[str, str]]:
        """The texts of a voice's unit; none when all has been said."""
        if voice not in self.orders:
            order = list(range(len(self.texts)))
            random.Random(f"{self.seed} {voice}").shuffle(order)
            self.orders[voice] = order
        places = self.orders[voice][number * rows : (number + 1) * rows]
        return [self.texts[place] for place in places]
