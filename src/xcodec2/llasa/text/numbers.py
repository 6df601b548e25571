"""Numbers as American English words: "twenty-one", "nineteen oh five", "three quarters"."""

from __future__ import annotations

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
TENS = (*("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"),)
SCALES = (
    *("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion"),
    *("sextillion", "septillion", "octillion", "nonillion", "decillion"),
)
LARGEST = 10 ** (3 * len(SCALES))  # the first that has no name here
IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def cardinal(number: int) -> str:
    """1234 → "one thousand two hundred thirty-four"; digit by digit where words end."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number >= LARGEST:
        return digits(str(number))
    groups = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(f"{below_thousand(group)} {scale}".strip())
    return " ".join(reversed(groups)) or ONES[0]


def below_thousand(number: int) -> str:
    """0 … 999 as words."""
    hundreds, rest = divmod(number, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= len(ONES):
        tens, ones = divmod(rest, 10)
        words.append(f"{TENS[tens]}-{ONES[ones]}" if ones else TENS[tens])
    elif rest or not hundreds:
        words.append(ONES[rest])
    return " ".join(words)


def ordinal(number: int) -> str:
    """21 → "twenty-first"."""
    return ordinal_of(cardinal(number))


def ordinal_of(words: str) -> str:
    """The ordinal of a cardinal in words."""
    place = max(words.rfind(" "), words.rfind("-")) + 1
    head, last = words[:place], words[place:]
    if last in IRREGULAR_ORDINALS:
        return head + IRREGULAR_ORDINALS[last]
    return head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def year(number: int) -> str:
    """1984 → "nineteen eighty-four", 1905 → "nineteen oh five", 2007 → "two thousand seven"."""
    century, rest = divmod(number, 100)
    if not 10 <= century < 100 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def digits(text: str) -> str:
    """Digit by digit; what is no digit is left out."""
    return " ".join(ONES[int(digit)] for digit in text if digit in "0123456789")


def decimal(text: str) -> str:
    """A number as it is written, "1,234.50" → "one thousand two hundred thirty-four point five
    zero".
    """
    whole, point, part = text.replace(",", "").partition(".")
    if len(whole) > 1 and whole[0] == "0":
        words = digits(whole)
    elif len(whole) > 12 and "," not in text:
        words = digits(whole)  # an account, not an amount
    else:
        words = cardinal(int(whole)) if whole else ""
    return f"{words} point {digits(part)}".strip() if point and part else words


def fraction(numerator: int, denominator: int) -> str:
    """3, 4 → "three quarters"; "three over two hundred" where nobody says two hundredths."""
    improper = numerator > denominator > 10  # 120/80
    if denominator > 100 or denominator < 2 or improper:
        return f"{cardinal(numerator)} over {cardinal(denominator)}"
    name = {2: "half", 4: "quarter"}.get(denominator, ordinal(denominator).removeprefix("one "))
    if numerator != 1:
        name = "halves" if denominator == 2 else f"{name}s"
    return f"{cardinal(numerator)} {name}"


def code(text: str) -> str:
    """Digits in a name such as A320 or room 101: "three twenty", "one oh one"."""
    if text[0] == "0" or len(text) > 4:
        return digits(text)
    number = int(text)
    if len(text) == 3 and number % 100:
        rest = number % 100
        return f"{ONES[number // 100]} {'oh ' if rest < 10 else ''}{cardinal(rest)}"
    return year(number) if len(text) == 4 else cardinal(number)


def plural(words: str) -> str:
    """The plural of a number in words: "nineties", "sixes"."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def roman(text: str) -> int | None:
    """The value of a well-formed Roman numeral below 4000; None for anything else."""
    value = 0
    for letter, following in zip(text, f"{text[1:]} ", strict=False):
        if letter not in ROMAN:
            return None
        own = ROMAN[letter]
        value += -own if own < ROMAN.get(following, 0) else own
    return value if 0 < value < 4000 and to_roman(value) == text else None


def to_roman(number: int) -> str:
    """1 … 3999 as a Roman numeral."""
    parts = []
    for value, letters in zip(
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        ("M", "CM", "D", "CD", "C", "XC", "L", "XL", "X", "IX", "V", "IV", "I"),
        strict=True,
    ):
        count, number = divmod(number, value)
        parts.append(letters * count)
    return "".join(parts)
