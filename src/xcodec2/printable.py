"""Text of strangers (names of files, ids, fields of codes files) made safe for a terminal."""

from __future__ import annotations

import unicodedata

_LINE_AND_PARAGRAPH = ("Zl", "Zp")
_CONTROLS_AND_HALVES = ("Cc", "Cs")
_TURNS_DIRECTION = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def printable(text: object) -> str:
    r"""One line without control characters.

    Escape sequences could recolor, retitle or overwrite a terminal, bytes of a name that are no
    UTF-8 could not be printed, and marks of writing direction could make text look like other text.

    Args:
        text: Anything; `str` of it is taken.

    Returns:
        The text with each such character as `\uXXXX`, the escape that JSON and TOML also read;
        everything else as it is.
    """
    return "".join(_escaped(c) if _is_unsafe(c) else c for c in str(text))


def _is_unsafe(character: str) -> bool:
    if " " <= character <= "~":
        return False
    category = unicodedata.category(character)
    return (
        category in _CONTROLS_AND_HALVES
        or category in _LINE_AND_PARAGRAPH
        or character in _TURNS_DIRECTION
    )


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"
