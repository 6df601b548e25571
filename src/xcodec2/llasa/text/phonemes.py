"""Words → phonemes: hibari's lexicon, tagger and nets, in the alphabet of misaki and Kokoro.

A word is looked up with its part of speech (a *record*, to *record*) and with what follows it
(*the* apple, *the* pear); a word that the lexicon lacks is read by a small net. All of it runs on
numpy and onnxruntime, without torch.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any

from xcodec2.errors import LlasaError
from xcodec2.extras import require
from xcodec2.llasa.text.normalize import normalize

MARKS = ".,?!;:—…"
#: Capitals are diphthongs (A as in day, I as in my, O as in go, Q as in British go, W as in cow, Y
#: as in boy), T is the tap of "butter"; ˈ and ˌ come before the vowel that is stressed.
SOUNDS = "AIOQTWYabdfhijklmnpstuvwzæðŋɐɑɒɔəɛɜɡɪɹɾʃʊʌʒʔʤʧθᵊᵻˈˌː"
ALPHABET = frozenset(f"{SOUNDS}{MARKS} ")
SENTENCE = re.compile(r"(?<=[.?!…]) ")
WORD = re.compile(r"'?[^\W\d_](?:['-]?[^\W\d_])*'?")
#: Where a lone capital A is the letter, not the article.
LETTER = re.compile(
    r"(?<=\ban )A\b|(?<=\b[B-HJ-Z] and )A\b|\bA(?=(?: (?:to|and|or) [B-Z]\b| (?:plus|minus)\b"
    r"|[.,;:!?…—']| —|$))"
    r"|(?i:(?<=\bplan )|(?<=\bgroup )|(?<=\bgrade )|(?<=\btype )|(?<=\bvitamin )|(?<=\bteam )"
    r"|(?<=\bpart )|(?<=\bclass )|(?<=\bsection )|(?<=\boption )|(?<=\bhepatitis )|(?<=\bletter )"
    r"|(?<=\bexhibit )|(?<=\bappendix )|(?<=\bpoint )|(?<=\bthe ))A\b"
)
LETTER_A = "[A](/ˈA/)"  # how the library is told a word's phonemes


class Phonemes(str):
    """Phonemes instead of text, wherever a text is spoken.

    Raises:
        LlasaError: When it holds what is no phoneme.

    Examples:
        >>> speaker.speak(Phonemes("həlˈO ðˈɛɹ."))
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Phonemes:
        """Check them; white space becomes single spaces."""
        text = " ".join(unicodedata.normalize("NFC", text).replace("g", "ɡ").split())
        unknown = next((one for one in text if one not in ALPHABET), None)
        if unknown is not None:
            raise LlasaError(
                f"{unknown!r} (U+{ord(unknown):04X}) is no phoneme; the alphabet is {SOUNDS}"
            )
        if not any(one in SOUNDS for one in text):
            raise LlasaError(f"no phonemes in {text!r}")
        return super().__new__(cls, text)


def looks_like_phonemes(text: str) -> bool:
    """Whether a text is phonemes already: all of the alphabet, and some that no English has."""
    folded = unicodedata.normalize("NFC", text).replace("g", "ɡ")
    letters = [one for one in folded if not one.isspace()]
    only_there = [one for one in text if one in SOUNDS and not one.isascii()]
    return bool(only_there) and all(one in ALPHABET for one in letters)


def phonemes(text: str) -> Phonemes:
    """English text → phonemes, with the marks of the sentence between them.

    Args:
        text: As it is written, or phonemes, which stay as they are.

    Returns:
        Phonemes in the alphabet of misaki and Kokoro, words separated by spaces.

    Raises:
        LlasaError: For a text that cannot be read.
        MissingExtraError: The library is not installed.

    Examples:
        >>> phonemes("Hello there.")
        'həlˈO ðˈɛɹ.'
    """
    if isinstance(text, Phonemes) or looks_like_phonemes(text):
        return Phonemes(text)
    return Phonemes(" ".join(map(sentence, SENTENCE.split(normalize(text)))))


def sentence(words: str) -> str:
    """The phonemes of one sentence.

    Raises:
        LlasaError: When nothing is heard of a word.
    """
    engine = grapheme_to_phoneme()
    if shouted(words):
        words = words.lower()
    words = WORD.sub(lambda match: known_spelling(match.group()), words)
    tokens = engine.phonemize_tokens(engine.tokenize(LETTER.sub(lambda _: LETTER_A, words)))
    parts = []
    for token in tokens:
        heard = "".join(one for one in token.phonemes or "" if one in ALPHABET)
        if not heard and any(map(str.isalpha, token.text)):
            heard = spelled(token.text, engine)
        parts.append(heard + (" " if token.whitespace else ""))
    return re.sub(r" (?=[.,?!;:…])", "", " ".join("".join(parts).split()))


def known_spelling(word: str) -> str:
    """A word without the accents and the apostrophe that the library misreads: it knows résumé and
    Müller, but not ZOË.
    """
    if word.isupper() or "ë" in word:
        word = without_accents(word)
    return word.lstrip("'")


def without_accents(word: str) -> str:
    """é → e."""
    parts = unicodedata.normalize("NFKD", word)
    return "".join(one for one in parts if not unicodedata.combining(one))


def spelled(word: str, engine: Any) -> str:
    """A word that the lexicon and the net do not know, letter by letter.

    Raises:
        LlasaError: When the letters are unknown, too.
    """
    heard, _ = engine.lexicon.get_NNP(without_accents(word))
    if not heard:
        raise LlasaError(f"no pronunciation for {word!r}: write it as it sounds")
    return str(heard)


def shouted(words: str) -> bool:
    """Whether capitals are the way the whole sentence is written, not a mark of its initialisms."""
    parts = [word for word in WORD.findall(words) if len(word) > 1]
    capitals = [word for word in parts if word.isupper()]
    return len(parts) > 2 and len(capitals) == len(parts) and max(map(len, parts)) > 4


@functools.cache
def grapheme_to_phoneme() -> Any:
    """The library's reader, loaded once: about a second, most of it the lexicon.

    Raises:
        MissingExtraError: It is not installed.
    """
    return require("hibari.g2p", extra="llasa", purpose="speaking from phonemes").G2P()
