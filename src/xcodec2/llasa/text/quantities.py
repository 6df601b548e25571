"""Amounts: money, measures, percentages, ranges, fractions, ordinals and plain numbers."""

from __future__ import annotations

import re

from xcodec2.llasa.text.numbers import cardinal, decimal, fraction, ordinal, plural
from xcodec2.llasa.text.rules import END, NUMBER, START, alternatives, rule
from xcodec2.llasa.text.tables import CURRENCIES, SCALES, STUCK, UNITS

TO = r"(?: ?[-–—] ?| to )"
UNIT = rf"(?:{alternatives(UNITS)})"
ROUND = {"10": "tens", "100": "hundreds", "1000": "thousands", "1,000": "thousands"}
POWER = r"\^?[23]|\^-[123]"
#: Before another unit: N*m, N-m, m/s, m s^-1.
TIMES_OR_PER = rf"(?:[/*-]| (?={UNIT}\^-))"
FACTOR = re.compile(rf"([/*-]| )({UNIT})(?:\^?([23]|(?<=\^)-[123]))?")
POWERS = {"2": "square", "3": "cubic"}
SIGNS = {"-": "minus ", "+": "plus ", "±": "plus or minus ", "~": "about ", "": "", None: ""}
#: "a $5 bill": before a noun, the unit stands in the singular.
ADJECTIVE = re.compile(
    r"\b(?:a|an|this|that|another|each|every|his|her|their|our|my|your)\s$", re.I
)
SCALES_AND_DIRECTIONS = {
    **dict(zip("CFK", ("Celsius", "Fahrenheit", "Kelvin"), strict=True)),
    **dict(zip("NSEW", ("north", "south", "east", "west"), strict=True)),
}


def money(match: re.Match[str]) -> str:
    """Money, with what it is paid for: $12.50, $100/month."""
    per = match["per"]
    return sum_of_money(match) + (f" per {UNITS[per][0] if per in UNITS else per}" if per else "")


def sum_of_money(match: re.Match[str]) -> str:
    """$12.50, £3, €1.2 million, ¥500, 20 USD, $5-10."""
    one, many, cent, cents = CURRENCIES[match["currency"].rstrip(".")]
    first, last = match["amount"], match["until"]
    scale = SCALES.get(match["scale"] or "", "")
    minus = "minus " if match["sign"] == "-" else ""
    if last or scale:
        words = f"{decimal(first)} to {decimal(last)}" if last else decimal(first)
        words = f"{words} {scale}".strip()
        return f"{minus}{words} {one if is_adjective(match) else many}"
    whole, _, part = first.replace(",", "").partition(".")
    if len(part) not in (0, 2) or (part and not cent):
        return f"{minus}{decimal(first)} {many}"
    units, hundredths = int(whole or 0), int(part or 0)
    parts = []
    if units or not hundredths:
        singular = units == 1 or (not hundredths and is_adjective(match))
        parts.append(f"{cardinal(units)} {one if singular else many}")
    if hundredths:
        parts.append(f"{cardinal(hundredths)} {cent if hundredths == 1 else cents}")
    return minus + " and ".join(parts)


def is_adjective(match: re.Match[str]) -> bool:
    """Whether an amount stands between an article and a noun."""
    before = match.string[max(0, match.start() - 8) : match.start()]
    after = re.match(r" ([a-z]+)", match.string[match.end() :][:30])
    return bool(ADJECTIVE.search(before) and after and after[1] not in ("to", "i", "we", "for"))


def cents_alone(match: re.Match[str]) -> str:
    """50¢."""
    return f"{decimal(match['amount'])} cent{'' if match['amount'] == '1' else 's'}"


def per_cent(match: re.Match[str]) -> str:
    """50%, 5-10%, -2.5 %."""
    return f"{amount(match)} percent"


def amount(match: re.Match[str]) -> str:
    """The number of a match, or both of a range, with the sign."""
    words = SIGNS[match["sign"]] + decimal(match["amount"])
    return f"{words} to {decimal(match['until'])}" if match["until"] else words


def degrees(match: re.Match[str]) -> str:
    """100°C, 45° N, 90°, 40°26'46"N."""
    one = (match["amount"] == "1" and not match["until"]) or is_adjective(match)
    words = f"{amount(match)} degree{'' if one else 's'}"
    if match["minutes"]:
        words += f" {count(match['minutes'], 'minute', 'minutes')}"
    if match["seconds"]:
        words += f" {count(match['seconds'], 'second', 'seconds')}"
    return f"{words} {SCALES_AND_DIRECTIONS[match['scale']]}" if match["scale"] else words


def count(number: str, one: str, many: str) -> str:
    """A number of things."""
    return f"{decimal(number)} {one if number == '1' else many}"


def feet_and_inches(match: re.Match[str]) -> str:
    """5'10"."""
    feet = count(match["feet"], "foot", "feet")
    return f"{feet} {count(match['inches'], 'inch', 'inches')}"


def inches_alone(match: re.Match[str]) -> str | None:
    """A 12" pizza; not the end of a quotation."""
    before = match.string[max(0, match.start() - 200) : match.start()]
    return f"{decimal(match['amount'])} inch" if before.count('"') % 2 == 0 else None


def measurement(match: re.Match[str]) -> str | None:
    """5 km, 2.5-3 kg, 9.8 m/s², 10 N·m, 5 s⁻¹, 120 sq ft, 1/2 mile."""
    unit, space = match["unit"], match["space"]
    if len(unit) == 1 and not space and unit not in STUCK:
        return None
    if unit == "s" and not space and match["amount"].isdigit() and len(match["amount"]) > 2:
        return None  # 747s
    one = (match["amount"] == "1" and not match["until"]) or is_adjective(match) or space == "-"
    above: list[tuple[str, str]] = []
    below: list[tuple[str, str]] = []
    for sign, name, power in [("*", unit, match["power"]), *FACTOR.findall(match["rest"] or "")]:
        inverse = (power or "").startswith("-")
        size = (power or "").lstrip("-")
        (below if sign == "/" or inverse else above).append((name, size if size != "1" else ""))
    words = [amount(match)]
    for place, (name, power) in enumerate(above):
        words.append(unit_words(name, power, one or place < len(above) - 1))
    return " per ".join(
        [" ".join(words), *(unit_words(name, power, True) for name, power in below)]
    )


def unit_words(unit: str, power: str | None, one: bool) -> str:
    """A unit in full, squared or cubed where it says so."""
    words = UNITS[unit][0 if one else 1]
    if power and unit in ("s", "h", "min"):
        return f"{words} {'squared' if power == '2' else 'cubed'}"
    return f"{POWERS[power]} {words}" if power else words


def mixed_fraction(match: re.Match[str]) -> str | None:
    """3/4, 2 1/2."""
    whole, over, under = match["whole"], int(match["over"]), int(match["under"])
    if under < 2 or (whole and over >= under):
        return None
    if re.match(r" ?=", match.string[match.end() :][:2]):
        return f"{cardinal(over)} divided by {cardinal(under)}"
    if over == under:
        return f"{cardinal(over)} {cardinal(under)}"  # a chance of 50/50
    if not whole:
        return fraction(over, under)
    part = "a half" if (over, under) == (1, 2) else fraction(over, under)
    part = "a quarter" if (over, under) == (1, 4) else part
    return f"{cardinal(int(whole))} and {part}"


def ordinal_number(match: re.Match[str]) -> str:
    """21st, 1,000th."""
    number = int(match["amount"].replace(",", ""))
    return ordinal(number)


def number_sign(match: re.Match[str]) -> str:
    """#5."""
    return f"number {decimal(match['amount'])}"


def scientific(match: re.Match[str]) -> str:
    """6.02×10^23."""
    number = SIGNS[match["sign"]] + decimal(match["mantissa"])
    return f"{number} times ten {raised(match['exponent'], named=False)}"


def e_notation(match: re.Match[str]) -> str:
    """1.5e-3."""
    number = SIGNS[match["sign"]] + decimal(match["mantissa"] or match["whole"])
    exponent = match["exponent"] or match["signed"]
    return f"{number} times ten {raised(exponent, named=False)}"


def power(match: re.Match[str]) -> str:
    """x², 10^6, 2⁸."""
    named = match["amount"].isalpha()
    base = match["amount"] if named else SIGNS[match["sign"]] + decimal(match["amount"])
    return f"{base} {raised(match['exponent'])}"


def raised(exponent: str, named: bool = True) -> str:
    """To which power; "squared" and "cubed" where they are `named`."""
    if exponent in ("2", "3") and named:
        return "squared" if exponent == "2" else "cubed"
    sign = "minus " if exponent[0] == "-" else ""
    return f"to the power of {sign}{decimal(exponent.lstrip('+-'))}"


def product(match: re.Match[str]) -> str:
    """4x4, 1920×1080, 8 x 10; 3 × 4 = 12."""
    equation = re.match(r" ?=", match.string[match.end() :][:2])
    spaced = match["sign"] in "×*" and " " in match.group()
    word = "times" if equation or spaced else "by"
    numbers = re.findall(NUMBER, match.group())
    return f" {word} ".join(map(decimal, numbers))


def multiple(match: re.Match[str]) -> str:
    """10x."""
    return f"{decimal(match['amount'])} times"


def arithmetic(match: re.Match[str]) -> str:
    """The minus of "5 - 3 = 2", the plus of "2+2"."""
    words = {"-": "minus", "+": "plus", "/": "divided by", "*": "times"}
    return words[match["minus"] or match["operator"]]


def span(match: re.Match[str]) -> str:
    """10-12, pp. 10–12, a score of 3-2."""
    equation = re.match(r" ?=", match.string[match.end() :][:2])
    word = "minus" if equation else "to"
    return f"{SIGNS[match['sign']]}{decimal(match['first'])} {word} {decimal(match['last'])}"


def ratio(match: re.Match[str]) -> str:
    """16:9."""
    return " to ".join(decimal(part) for part in match.group().split(":"))


def scaled(match: re.Match[str]) -> str:
    """5M, 10k, 3.2bn."""
    return f"{SIGNS[match['sign']]}{decimal(match['amount'])} {SCALES[match['scale']]}"


def plain_number(match: re.Match[str]) -> str:
    """1,234.5, -5, +3, .5."""
    return SIGNS[match["sign"]] + decimal(match["amount"])


def numbers_plural(match: re.Match[str]) -> str:
    """747s, 5's."""
    return ROUND.get(match["amount"]) or plural(decimal(match["amount"]))


AMOUNT = rf"(?P<amount>{NUMBER})"
RANGE = rf"{AMOUNT}(?:{TO}(?P<until>{NUMBER}))?"
SIGNED = r"(?<![\w.,)])(?:(?P<sign>[-+±~]) ?)?"
SYMBOLS = alternatives(name for name in CURRENCIES if not name.isalpha())
CODES = alternatives(name for name in CURRENCIES if name.isalpha())
SCALE = rf"(?: ?(?P<scale>{alternatives(s for s in SCALES if len(s) > 2)}|bn|mn|tn|[kKmMbBT])\b)?"
EXPONENT = r"[-+]?\d+"
AMOUNTS = (
    rule(
        rf"{SIGNED}(?P<currency>{SYMBOLS}|(?:{CODES})(?= ?\d)|Rs\.) ?{AMOUNT}"
        rf"(?:{TO}(?:{SYMBOLS})?(?P<until>{NUMBER}))?{SCALE}(?:/(?P<per>[a-z]+))?(?!\w)(?!\.\d)",
        money,
    ),
    rule(
        rf"{SIGNED}{RANGE}{SCALE} ?(?P<currency>{CODES}|[$€£¥])(?:/(?P<per>[a-z]+))?(?!\w)",
        money,
    ),
    rule(rf"{START}{AMOUNT} ?¢", cents_alone),
    rule(rf"{SIGNED}{AMOUNT}(?: ?%?{TO}(?P<until>{NUMBER}))? ?%", per_cent),
    rule(
        rf"{SIGNED}{RANGE} ?° ?(?:(?P<minutes>\d{{1,2}})' ?(?:(?P<seconds>{NUMBER})\" ?)?)?"
        r"(?P<scale>[CFKNSEW])?(?!\w)",
        degrees,
    ),
    rule(rf"{START}{AMOUNT}\"(?= ?[a-z])", inches_alone),
    rule(rf"{START}(?P<feet>\d{{1,2}})' ?(?P<inches>\d{{1,2}})\"", feet_and_inches),
    rule(rf"{SIGNED}(?P<mantissa>{NUMBER}) ?[×x*] ?10\^(?P<exponent>{EXPONENT})(?!\w)", scientific),
    rule(
        rf"{SIGNED}(?:(?P<mantissa>\d+\.\d+)[eE](?P<exponent>{EXPONENT})"
        rf"|(?P<whole>\d+)[eE](?P<signed>[-+]\d+))(?!\w)",
        e_notation,
    ),
    rule(rf"{SIGNED}{AMOUNT}\^(?P<exponent>{EXPONENT})(?!\w)", power),
    rule(rf"(?P<amount>(?<![\w])[A-Za-z])\^(?P<exponent>{EXPONENT})(?!\w)", power),
    rule(
        rf"{SIGNED}{RANGE}(?P<space>[ -]?)(?P<unit>{UNIT})(?:\^?(?P<power>[23]|(?<=\^)-[123]))?"
        rf"(?P<rest>(?:{TIMES_OR_PER}{UNIT}(?:{POWER})?)*)(?![\w^])(?:\.(?= [a-z]))?",
        measurement,
    ),
    rule(rf"{START}{NUMBER}(?: ?(?P<sign>[x×*]) ?{NUMBER})+(?!\w)", product),
    rule(rf"{START}{AMOUNT}[x×](?!\w)", multiple),
)
NUMBERS = (
    rule(
        r"(?<![\w./])(?:(?P<whole>\d+) )?(?P<over>\d{1,5})/(?P<under>\d{1,5})(?![\w/])(?!\.\d)",
        mixed_fraction,
    ),
    rule(r"(?<![\w.])(?P<amount>\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th)\b", ordinal_number),
    rule(rf"(?<![\w&])# ?{AMOUNT}{END}", number_sign),
    rule(rf"{SIGNED}{AMOUNT}(?P<scale>[kM]|B(?= [a-z]+s\b)|bn|mn|tn){END}", scaled),
    rule(rf"{SIGNED}(?P<first>{NUMBER})(?:[-–—]| – )(?P<last>{NUMBER}){END}(?!-)", span),
    rule(rf"{START}\d+(?::\d+)+{END}", ratio),
    rule(rf"{START}{AMOUNT}'?s(?!\w)", numbers_plural),
    rule(rf"{SIGNED}{AMOUNT}(?!\w)", plain_number),
    rule(r"(?<=\d)(?: (?P<minus>-) | ?(?P<operator>[+*/]) ?)(?=\d)", arithmetic),
    rule(r"(?P<amount>\d+)(?P<sign>)", plain_number),  # whatever is left
)
