"""Any Unicode text → letters that English is written in, digits, ASCII punctuation and signs.

Nothing disappears in silence: signs become words, emoji their names; a letter of another script
has no reading here and is an error that names it.
"""

from __future__ import annotations

import re
import unicodedata

from xcodec2.errors import LlasaError

#: One character for another, before compatibility forms are folded.
SAME = str.maketrans(
    {
        **dict.fromkeys("‘’‛ʼ＇`´", "'"),
        **dict.fromkeys("“”„‟«»‹›〝〞＂", '"'),
        **dict.fromkeys("‐‑−﹣－⁻", "-"),
        **dict.fromkeys("‒–―", "–"),
        **dict.fromkeys("•‣▪●◦∙", ","),
        **dict.fromkeys("′", "'"),
        **dict.fromkeys("″", '"'),
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("×✕✖", "×"),
        **dict.fromkeys("º˚", "°"),
        "ÿ": "y",  # its capital is the one of Latin-1 that Latin-1 lacks
        "‼": "!!",
        "⁇": "??",
        "¿": "",
        "¡": "",
        "№": "No. ",
        "™": " trademark ",
        "℃": "°C",
        "℉": "°F",
        "ß": "ss",
        "ẞ": "SS",
        "Æ": "AE",
        "æ": "ae",
        "Œ": "OE",
        "œ": "oe",
        "Ø": "O",
        "ø": "o",
        "Ł": "L",
        "ł": "l",
        "Đ": "D",
        "đ": "d",
        "Ð": "D",
        "ð": "d",
        "Þ": "Th",
        "þ": "th",
        "ı": "i",
        "Ħ": "H",
        "ħ": "h",
        "Ŋ": "Ng",
        "ŋ": "ng",
        "ə": "e",
        "Ə": "E",
    }
)
#: Superscripts would become plain digits: m² is not m2.
SUPERSCRIPT = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
KEPT = frozenset("'\"-–—.,;:!?…()[]{}<>/\\@#%&*+=_~^|$£€¥¢₹₩₽₿°×\n ")
WORDS = {
    "©": "copyright",
    "®": "registered",
    "§": "section",
    "¶": "paragraph",
    "÷": "divided by",
    "±": "plus or minus",
    "≈": "about",
    "≠": "is not equal to",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "√": "square root of",
    "∞": "infinity",
    "∑": "sum",
    "∫": "integral",
    "∂": "partial",
    "∆": "delta",
    "∈": "in",
    "→": "to",
    "←": "from",
    "↑": "up",
    "↓": "down",
    "⇒": "implies",
    "↔": "to and from",
    "‰": "per mille",
    "†": "dagger",
    "‡": "double dagger",
    "¬": "not",
    "∴": "therefore",
    "♥": "heart",
    "★": "star",
    "☆": "star",
    "✓": "check",
    "✔": "check",
    "µ": "µ",
    "¦": ",",
    "¤": "currency",
    "·": ",",
    "\N{INVERTED QUESTION MARK}": "",
}
COMPOUND = {
    "!=": "is not equal to",
    "<=": "is at most",
    ">=": "is at least",
    "->": "to",
    "=>": "implies",
    "==": "equals",
}
GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "ζ": "zeta",
    "η": "eta",
    "θ": "theta",
    "ι": "iota",
    "κ": "kappa",
    "λ": "lambda",
    "μ": "mu",
    "ν": "nu",
    "ξ": "xi",
    "ο": "omicron",
    "π": "pi",
    "ρ": "rho",
    "σ": "sigma",
    "τ": "tau",
    "υ": "upsilon",
    "φ": "phi",
    "χ": "chi",
    "ψ": "psi",
    "ω": "omega",
}
CJK_PUNCTUATION = str.maketrans("。、！？；：・", ".,!?;:,")
#: Lines and blocks that tables are drawn with, and what only changes how its neighbor looks.
DRAWN = range(0x2500, 0x25A0)
INVISIBLE = ("Cf", "Mn", "Me", "Mc", "Sk")


def fold(text: str) -> str:
    """Text → the same in few characters: Latin letters (é stays), digits, `KEPT`.

    Raises:
        LlasaError: For a character that has no reading in English.
    """
    text = SUPERSCRIPT.sub(lambda match: f"^{match.group().translate(SUPERSCRIPTS)}", text)
    text = text.translate(SAME).translate(CJK_PUNCTUATION)
    # narrow and no-break spaces between thousands
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", ",", text)
    # the Greek signs of units, as they are written where there is no Greek
    text = re.sub(r"(?<=\d)( ?)[µμ](?=[A-Za-z])", r"\1mc", text)
    text = re.sub(r"(?<=\d)( ?[kM]?)[ΩΩ]", r"\1ohm", text)
    for signs, words in COMPOUND.items():
        text = text.replace(signs, f" {words} ")
    # a fraction must not stick to the number before it: 2½ is not 21/2
    text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞↉])", " ", text)
    text = re.sub(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]", "\n", text)
    # the folded forms may hold characters of the first table, and an accent of its own
    text = unicodedata.normalize("NFKC", text).translate(SAME)
    return "".join(map(plain_character, text))


def plain_character(character: str) -> str:
    """One character as one that is kept, as words, or as nothing when it cannot be heard."""
    category = unicodedata.category(character)
    if character in KEPT or (character.isascii() and character.isalnum()):
        return character
    if character in WORDS:
        return f" {WORDS[character]} "
    if category == "Zs" or character == "\t":
        return " "
    if category in INVISIBLE or ord(character) in DRAWN:
        return " " if category == "So" else ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character.lower() in GREEK:
        return f" {GREEK[character.lower()]} "
    name = unicodedata.name(character, "")
    if name.startswith("LATIN "):
        return latin(character)
    if name.startswith("REGIONAL INDICATOR"):
        return name[-1]
    if category in ("So", "Sm", "Sc", "Po", "Pd", "Ps", "Pe", "Pi", "Pf", "Pc") and name:
        return f" {spoken_name(name)} "
    if category == "Cc":
        return " "
    raise unreadable(character)


def latin(character: str) -> str:
    """A Latin letter: those of Latin-1 stay, others lose their accents."""
    if character <= "ÿ":
        return character
    bare = "".join(
        part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)
    ).translate(SAME)
    if not (bare.isascii() and bare.isalpha()):
        raise unreadable(character)
    return bare


def spoken_name(name: str) -> str:
    """A sign by its Unicode name, in words that can be read."""
    return " ".join(re.findall(r"[a-z]+|\d+", name.lower()))


def unreadable(character: str) -> LlasaError:
    """The error that names a character."""
    name = unicodedata.name(character, "")
    called = f"{character!r} (U+{ord(character):04X}{f', {name}' if name else ''})"
    return LlasaError(
        f"the front end reads English, and {called} has no reading in it: "
        "write it in Latin letters, or give the phonemes yourself"
    )
