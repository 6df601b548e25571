"""Numbers and units as they are written elsewhere → as the rules expect them, signs untouched: text
to text, before any of it is read.
"""

from __future__ import annotations

import re

from xcodec2.llasa.text.rules import alternatives
from xcodec2.llasa.text.tables import CURRENCIES, UNITS

SPACES = " \u00a0\u2009\u202f"
DOTS = "·⋅∙"
UNIT = rf"(?:{alternatives(UNITS)}|[kM]?[ΩΩ]|[µμ][A-Za-z]+|°[CF]?|%)"
CURRENCY = rf"(?:{alternatives(CURRENCIES)}|[Ee]uros?\b)"
APART = r"(?<![\w.,])"

#: 1.234,56 and 1 234,56: the comma is the decimal point, for no group of thousands has two digits.
COMMA_DECIMAL = re.compile(rf"{APART}(\d{{1,3}}(?:[.{SPACES}]\d{{3}})+),(\d{{1,2}})(?!\w|[.,]\d)")
#: 12,5 kg and €12,50.
COMMA_AMOUNT = re.compile(
    rf"{APART}(\d+),(\d{{1,2}})(?=[{SPACES}]?(?:{UNIT}|{CURRENCY})(?!\w))"
    rf"|(?<=[€£$])(\d+),(\d\d)(?!\w|[.,]\d)"
)
#: 1.234.567, which is no address of four bytes, and 1'234.
GROUPED = re.compile(
    rf"{APART}(\d{{1,3}}(?:\.\d{{3}}){{2,}}(?![.,]\d)|\d{{1,3}}(?:['’]\d{{3}})+)(?!\w|['’]\d)"
)
#: 5.2 (±0.3) mm.
TOLERANCE = re.compile(
    rf"(?<=\d)[{SPACES}]?\([{SPACES}]?(±[{SPACES}]?[\d.,]+)\)(?=[{SPACES}]?{UNIT})"
)
#: N·m and m·s⁻², behind a number.
PRODUCT = re.compile(
    rf"(?<=\d)([{SPACES}]?[A-Za-zµμΩΩ]+[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*(?:[{DOTS}][A-Za-zµμΩΩ]+[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*)+)"
)
TIMES = re.compile(rf"(?<=\d)[{SPACES}]?[{DOTS}][{SPACES}]?(?=\d)")


def plain_notation(text: str) -> str:
    """The same in the notation of English text: 1234.56, 12.5 kg, 5.2 ±0.3 mm, 10 N*m.

    Args:
        text: Any Unicode text.
    """
    text = COMMA_DECIMAL.sub(lambda match: f"{ungrouped(match[1])}.{match[2]}", text)
    text = COMMA_AMOUNT.sub(lambda match: ".".join(filter(None, match.groups())), text)
    text = GROUPED.sub(
        lambda match: match[1] if is_address(match[1]) else ungrouped(match[1]), text
    )
    text = TOLERANCE.sub(r" \1", text)
    text = PRODUCT.sub(lambda match: re.sub(rf"[{DOTS}]", "*", match[1]), text)
    return TIMES.sub(" × ", text)


def ungrouped(number: str) -> str:
    """A number without what stands between its thousands."""
    return "".join(filter(str.isdigit, number))


def is_address(number: str) -> bool:
    """Whether a number with points could be an address on the Internet."""
    parts = number.split(".")
    return len(parts) == 4 and all(int(part) < 256 for part in parts)
