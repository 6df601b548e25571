"""Dates, years, decades and times of day."""

from __future__ import annotations

import re

from xcodec2.llasa.text.numbers import cardinal, ordinal, plural, year
from xcodec2.llasa.text.rules import END, START, alternatives, rule
from xcodec2.llasa.text.tables import DAYS, MONTH_NUMBERS, MONTHS

SHORT_MONTHS = alternatives({*(name[:3] for name in MONTHS if name != "May"), "Sept"})
MONTH = rf"(?P<month>(?:{alternatives(MONTHS)})\b|(?:{SHORT_MONTHS})\b\.?)"
#: Words before a number that make it a year, from 1100 to 2099.
CUES = frozenset(
    (
        *("in", "since", "until", "till", "by", "from", "before", "after", "around", "circa"),
        *("during", "year", "years", "of", "early", "late", "mid", "between", "about", "to", "and"),
        *("copyright", "spring", "summer", "autumn", "fall", "winter", "anno", "c", *MONTH_NUMBERS),
    )
)
#: What is counted or measured is no year, whatever the word before.
COUNTED = re.compile(
    r"\s?(?:people|men|women|years|days|hours|minutes|seconds|miles|meters|feet|pounds|dollars|euros"
    r"|words|pages|tokens|items|times|points|votes|times|copies|students|employees|calories|steps"
    r"|percent|%|degrees|species|units|members|soldiers|tons|kilometers|square|cubic)\b"
)


#: "the 60s", "in her 30s", but "wait 30s".
DECADE_CUE = re.compile(r"\b(?:the|his|her|their|my|our|your|mid|early|late)[ -]$")


def month_day_year(match: re.Match[str]) -> str | None:
    """March 3, 2024; March 3rd; Jan. 5."""
    day = int(match["day"])
    until = int(match["until"] or 31)
    if not 1 <= day <= until <= 31:
        return None
    days = f"{ordinal(day)} to {ordinal(until)}" if match["until"] else ordinal(day)
    return with_year(f"{month_name(match['month'])} {days}", match["year"])


def day_month_year(match: re.Match[str]) -> str | None:
    """3 March 2024; the 3rd of March."""
    day = int(match["day"])
    if not 1 <= day <= 31:
        return None
    words = f"{match['the'] or 'the '}{ordinal(day)} of {month_name(match['month'])}"
    return with_year(words, match["year"]) + sentence_end(match)


def month_year(match: re.Match[str]) -> str:
    """March 2024, Sept. 1999."""
    return f"{month_name(match['month'])} {year(int(match['year']))}"


def numeric_date(match: re.Match[str]) -> str | None:
    """2024-03-05, 12/25/2023 and, where it can only be that, 25/12/2023."""
    if match["separator"] != match["same"] or (
        match["separator"] == "-" and len(match["end"]) == 2
    ):
        return None
    if match["iso"]:
        own_year, month, day = match["iso"], int(match["iso_month"]), int(match["iso_day"])
    else:
        own_year, month, day = match["end"], int(match["first"]), int(match["second"])
        if match["separator"] == "." or month > 12:
            month, day = day, month
        if len(own_year) == 2:
            own_year = f"{'19' if int(own_year) > 50 else '20'}{own_year}"
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return with_year(f"{MONTHS[month - 1]} {ordinal(day)}", own_year)


def with_year(words: str, own_year: str | None) -> str:
    """A day, with its year when there is one."""
    return f"{words}, {year(int(own_year))}" if own_year else words


def month_name(text: str) -> str:
    """Jan → January."""
    return MONTHS[MONTH_NUMBERS[text.lower().rstrip(".")] - 1]


def between(match: re.Match[str]) -> str:
    """Mon-Fri, Jan–Mar."""
    names = [name.rstrip(".") for name in (match["from"], match["until"])]
    return " to ".join(DAYS.get(name.lower()) or month_name(name) for name in names)


def month_and_day(match: re.Match[str]) -> str | None:
    """On 5/1, by 12/24."""
    month, day = int(match["first"]), int(match["second"])
    return (
        f"{MONTHS[month - 1]} {ordinal(day)}" if month < 13 and 1 <= day <= 31 and month else None
    )


def decade(match: re.Match[str]) -> str | None:
    """1980s, '90s, 60's."""
    number = int(match["decade"])
    before = match.string[max(0, match.start() - 6) : match.start()]
    if match.group()[0] != "'" and number < 100 and not DECADE_CUE.search(before):
        return None  # seconds, or the plural of a number
    if number % 1000 == 0 and number:
        return f"{cardinal(number)}s"
    return plural(year(number) if number > 99 else cardinal(number))


def short_year(match: re.Match[str]) -> str:
    """'24 → twenty-four; '05 → oh five."""
    number = int(match["two"])
    return cardinal(number) if number > 9 else f"oh {cardinal(number)}"


def year_range(match: re.Match[str]) -> str | None:
    """1990-1995, 1914–18."""
    first, last = int(match["first"]), match["last"]
    end = int(last) if len(last) == 4 else first // 100 * 100 + int(last)
    if not (1000 < first < 2100 and first < end < 2100):
        return None
    words = year(end) if len(last) == 4 else cardinal(int(last))
    return f"{year(first)} to {words}"


def era(match: re.Match[str]) -> str:
    """44 BC, AD 79."""
    number = int(match["before"] or match["after"])
    letters = (match["era"] or match["anno"]).replace(".", "")
    words = year(number) if number > 1000 else cardinal(number)
    return f"{words} {letters}" if match["before"] else f"{letters} {words}"


def lone_year(match: re.Match[str]) -> str | None:
    """A number of four digits that is a year by its size and by what stands around it."""
    number = int(match["year"])
    before = re.findall(r"[A-Za-z]+", match.string[max(0, match.start() - 20) : match.start()])
    cue = bool(before) and before[-1].lower() in CUES
    cue |= match.string[match.start() - 1 : match.start()] == "("
    if COUNTED.match(match.string, match.end()):
        return None
    return year(number) if 1900 <= number < 2100 or (cue and number > 1009) else None


def time_of_day(match: re.Match[str]) -> str | None:
    """9:30am, 14:05, 10:00, 7:45:30 p.m."""
    hour, minute = int(match["hour"]), int(match["minute"])
    second, half = match["second"], meridiem(match["half"])
    if hour > 24 or minute > 59 or (second and int(second) > 59) or (half and hour > 12):
        return None
    if minute:
        words = f"{cardinal(hour)} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    elif half or second:
        words = cardinal(hour)
    elif hour in (0, 24):
        words = "midnight"
    else:
        words = f"{cardinal(hour)} o'clock" if hour < 13 else f"{cardinal(hour)} hundred"
    if second:
        amount = int(second)
        words += f" and {cardinal(amount)} second{'' if amount == 1 else 's'}"
    return f"{words} {half}".strip() + until_or_end(match)


def military(match: re.Match[str]) -> str | None:
    """0600 hours, at 1830 hrs, 0900-1700h: a time, where a number of hours cannot be meant."""
    times = [time for time in (match["first"], match["clock"]) if time]
    plausible = all((int(time[:2]) < 24 and int(time[2:]) < 60) or time == "2400" for time in times)
    at = AT.search(match.string[max(0, match.start() - 9) : match.start()])
    if not plausible or not (at or any(time[0] == "0" for time in times)):
        return None
    middle = " and " if (match["to"] or "").strip() == "and" else " to "
    return f"{middle.join(map(of_the_clock, times))} hours"


def of_the_clock(time: str) -> str:
    """0600 → "oh six hundred", 1830 → "eighteen thirty", 0000 → "zero hundred"."""
    hour, minute = int(time[:2]), int(time[2:])
    first = cardinal(hour) if hour > 9 or not hour else f"oh {cardinal(hour)}"
    if not minute:
        return f"{first} hundred"
    return f"{first} {'oh ' if minute < 10 else ''}{cardinal(minute)}"


def whole_hour(match: re.Match[str]) -> str | None:
    """7 p.m., 11am, 9–5 pm."""
    hour, until = int(match["hour"]), match["until"]
    if not 1 <= hour <= 12 or (until and not 1 <= int(until) <= 12):
        return None
    words = f"{cardinal(hour)} to {cardinal(int(until))}" if until else cardinal(hour)
    return f"{words} {meridiem(match['half'])}" + until_or_end(match)


def meridiem(text: str | None) -> str:
    """p.m. → PM."""
    return (text or "").replace(".", "").replace(" ", "").upper()


def until_or_end(match: re.Match[str]) -> str:
    """A "to" for the dash of "10am-5pm"; the period where the sentence ends."""
    return " to" if match["to"] else sentence_end(match)


def sentence_end(match: re.Match[str]) -> str:
    """The period of "p.m." and "Nov." where it ends the sentence, too."""
    if not match.group().endswith("."):
        return ""
    return (
        "." if re.match(r"\s*$|\s+[\"'(]*[A-Z](?![A-Z])", match.string[match.end() :][:20]) else ""
    )


#: Before a time of day, where a number of hours would not stand.
AT = re.compile(r"\b(?:at|by|from|until|till|before|after|since|between) $", re.I)
HALF = r"[AaPp](?:\.\s?[Mm]\.|[Mm](?![A-Za-z]))"
DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
YEAR = r"(?P<year>[12]\d{3})"
SHORT = rf"(?:{SHORT_MONTHS}|{alternatives(name.capitalize() for name in DAYS)})\.?"
RULES = (
    rule(
        r"(?:(?<=\bon )|(?<=\bby )|(?<=\bdue )|(?<=\buntil )|(?<=\bsince ))"
        rf"(?P<first>\d{{1,2}})/(?P<second>\d{{1,2}}){END}(?!/)",
        month_and_day,
    ),
    rule(
        rf"{START}(?P<hour>\d{{1,2}})\.(?P<minute>\d\d)(?P<second>)(?P<to>)"
        rf" ?(?P<half>{HALF})(?!\w)",
        time_of_day,
    ),
    rule(rf"(?<![\w.])(?P<from>{SHORT}) ?[-–] ?(?P<until>{SHORT})(?!\w)", between),
    rule(
        rf"{START}(?:(?P<iso>[12]\d{{3}})[-/](?P<iso_month>\d\d)[-/](?P<iso_day>\d\d)"
        r"|(?P<first>\d{1,2})(?P<separator>[/.-])(?P<second>\d{1,2})(?P<same>[/.-])"
        rf"(?P<end>\d{{4}}|\d\d))(?![\d/-]){END}",
        numeric_date,
    ),
    rule(
        rf"{START}{MONTH} {DAY}(?:[-–](?P<until>\d{{1,2}}))?(?![\d:%/-])(?:,? {YEAR})?{END}",
        month_day_year,
    ),
    rule(
        rf"{START}(?P<the>[Tt]he )?{DAY} (?:of )?{MONTH}(?:,? {YEAR})?{END}",
        day_month_year,
    ),
    rule(rf"{START}{MONTH},? (?:of )?{YEAR}{END}", month_year),
    rule(rf"(?<![\w.,])'?(?P<decade>[12]\d\d0|[2-9]0)'?s{END}", decade),
    rule(rf"(?<![\w.,'])'(?P<two>\d\d){END}(?!['\"])", short_year),
    rule(
        rf"{START}(?P<first>[12]\d{{3}}) ?[-–—] ?(?P<last>[12]\d{{3}}|\d\d){END}(?!-)", year_range
    ),
    rule(
        rf"{START}(?:(?P<before>\d{{1,5}}) (?P<era>B\.?C\.?E?\.?|A\.?D\.?|C\.?E\.?)"
        rf"|(?P<anno>A\.?D\.?) (?P<after>\d{{1,4}})){END}",
        era,
    ),
    rule(
        rf"{START}(?:(?P<first>\d{{4}})(?P<to> ?[-–] ?| to | and ))?(?P<clock>\d{{4}})"
        r" ?(?:hours|hrs|h)(?!\w)",
        military,
    ),
    rule(
        rf"{START}(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
        rf"(?: ?(?P<half>{HALF}))?(?P<to> ?[-–] ?(?=\d))?(?![A-Za-z_:])(?!\.\d)",
        time_of_day,
    ),
    rule(
        rf"{START}(?P<hour>\d{{1,2}})(?: ?[-–] ?(?P<until>\d{{1,2}}))? ?(?P<half>{HALF})"
        r"(?P<to> ?[-–] ?(?=\d))?(?![A-Za-z_])",
        whole_hour,
    ),
    rule(rf"{START}(?P<year>1\d\d\d|20\d\d){END}(?![-–/:'\u00d7])", lone_year),
)
