"""Parts of files, as the columns of a manifest state them, in seconds, milliseconds or samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, isfinite
from typing import Any

from xcodec2.errors import AudioError

PER_SECOND = {"seconds": 1, "milliseconds": 1000}
SHORT = {"seconds": "s", "milliseconds": "ms"}
UNIT_WORDS = {
    "seconds": "s sec secs second seconds",
    "milliseconds": "ms msec msecs millis millisecond milliseconds",
    "samples": "sample samples",
    "unknown": "frame frames tick ticks byte bytes us microseconds ns min minutes h hours",
}
UNIT_OF = {word: unit for unit, words in UNIT_WORDS.items() for word in words.split()}
BEGIN_WORDS = frozenset(["start", "begin", "starttime", "begintime", "tmin", "xmin", "onset"])
END_WORDS = frozenset(["end", "stop", "endtime", "stoptime", "tmax", "xmax"])
LENGTH_WORDS = frozenset(["duration", "dur", "length"])
# Words that may stand beside these without making it another matter; `word_start` is one.
FILLERS = frozenset(
    [
        "time",
        "timestamp",
        "segment",
        "seg",
        "audio",
        "clip",
        "utt",
        "utterance",
        "wav",
        "file",
        "offset",
        "in",
    ]
)
PAIRS = frozenset({"segment", "timestamp", "interval", "time_range", "time_span"})
MISSING = frozenset({"", "-", "na", "n/a", "nan", "null", "none", "<na>"})
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{4,})")  # 1,234 may be a thousand and more
TIME_CODE = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
DATE = re.compile(r"\d{4}-\d\d?-\d\d?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")

OVERSHOOT = 0.05  # seconds past the end of the file that pass for rounding
ROUNDING = 0.01  # by which a stated duration of a whole file may miss it
SHORTEST = 0.1  # seconds: whole numbers are not taken for a unit in which they say less


@dataclass(frozen=True)
class Time:
    """A number as a column states it. unit: None where only the file can tell."""

    value: Fraction
    unit: str | None
    text: str
    decimals: int | None = None  # None for a whole number

    def samples(self, rate: int, unit: str | None = None) -> int:
        """Rounded half up, after the eighth decimal was rounded away as lhotse does: 0.29 s at
        16 kHz are 4640 samples, and not the 4639 that cutting a float down can give.
        """
        unit = self.unit or unit
        exact = self.value if unit == "samples" else self.value * rate / PER_SECOND[unit or ""]
        return floor(round(exact, 8) + Fraction(1, 2))

    def seconds(self, rate: int, unit: str | None = None) -> float:
        unit = self.unit or unit
        return float(self.value / (rate if unit == "samples" else PER_SECOND[unit or ""]))


@dataclass(frozen=True)
class Segment:
    """A part of a file: from `begin` to `end`, or `length` long, or to the end of the file.

    rate: Hz that the positions count in, or that the file is said to have. channels: those to
    average, all when None. inside: the table holds the audio itself, which may be the part already.
    """

    begin: Time
    end: Time | None = None
    length: Time | None = None
    rate: int | None = None
    channels: tuple[int, ...] | None = None
    inside: bool = False

    @property
    def label(self) -> str:
        """As the row states it, to tell the rows of one file apart."""
        if self.end:
            return f"{self.begin.text}-{self.end.text}"
        return f"{self.begin.text}+{self.length.text}" if self.length else f"{self.begin.text}-end"

    @property
    def fragment(self) -> str:
        """What follows the file in the name of the source: the label, and the unit if it is known."""
        unit = self.begin.unit or ""
        channels = f":channel{'+'.join(map(str, self.channels))}" if self.channels else ""
        return f"#{self.label}{SHORT.get(unit, unit)}{channels}"

    def within(self, rate: int, num_samples: int) -> tuple[int, int]:
        """First sample and the one after the last. Raises AudioError, which says why not."""
        if self.rate not in (None, rate):
            raise AudioError(
                f"is at {rate} Hz, but the part {self.label} is stated for {self.rate} Hz"
            )
        if self.inside and self.is_whole(rate, num_samples):
            return 0, num_samples
        known = [t.unit for t in (self.begin, self.end, self.length) if t]
        if None not in known:
            return self.bounds(rate, num_samples, None)
        fitting = [unit for unit in (*PER_SECOND, "samples") if self.fits(rate, num_samples, unit)]
        if len(fitting) > 1:
            raise AudioError(
                f"the part {self.label} can be in {' or '.join(fitting)}: give --segments {fitting[0]}, "
                f"say, or call the column {'start_ms' if 'milliseconds' in fitting else 'start_s'}"
            )
        return self.bounds(rate, num_samples, fitting[0] if fitting else "seconds")

    def span(self, rate: int, num_samples: int, unit: str | None) -> tuple[int, int]:
        """Samples, unchecked. The start and the length are rounded each by itself."""
        begin = self.begin.samples(rate, unit)
        if self.end:
            end = num_samples if self.end.value == -1 else self.end.samples(rate, unit)
        elif self.length:
            end = begin + self.length.samples(rate, unit)
            end = num_samples if self.length.value == -1 else end
        else:
            end = num_samples
        return begin, end

    def fits(self, rate: int, num_samples: int, unit: str) -> bool:
        """Whether whole numbers can mean `unit`: a part that can be speech, not far past the end."""
        begin, end = self.span(rate, num_samples, unit)
        return (
            begin < num_samples
            and end <= 1.25 * num_samples
            and end - begin >= SHORTEST * rate
            and self.agrees(rate, num_samples, unit)
        )

    def agrees(self, rate: int, num_samples: int, unit: str | None) -> bool:
        """Whether a duration beside start and end is theirs, or that of the file."""
        if not (self.end and self.length):
            return True
        begin, end = self.span(rate, num_samples, unit)
        return any(
            close(self.length, true / rate, rate, unit) for true in (end - begin, num_samples)
        )

    def bounds(self, rate: int, num_samples: int, unit: str | None) -> tuple[int, int]:
        begin, end = self.span(rate, num_samples, unit)
        if begin < 0:
            raise AudioError(f"the part {self.label} begins before the file")
        if end <= begin and begin < num_samples:
            raise AudioError(
                f"the part {self.label} is empty; to the end of the file is a duration or an end of -1"
            )
        if not self.agrees(rate, num_samples, unit):
            assert self.length
            raise AudioError(
                f"the part {self.label} has {(end - begin) / rate:.3f} s, "
                f"but its duration is said to be {self.length.text}"
            )
        stated = self.length or self.end
        if not begin and stated and not (self.end and self.length):
            exact = stated.decimals is not None and (unit or stated.unit) != "samples"
            slack = min(ROUNDING, 10.0 ** -(stated.decimals or 0)) if exact else 0
            if abs(end - num_samples) < slack * rate:
                return 0, num_samples
        in_samples = (self.begin.unit or unit) == "samples"
        if begin >= num_samples or end > num_samples + (0 if in_samples else OVERSHOOT * rate):
            raise AudioError(
                f"the part {self.label} {'begins' if begin >= num_samples else 'ends'} beyond the end of "
                f"the file, which has {num_samples / rate:.3f} s ({num_samples} samples); "
                "--segments none if the file is the part already"
            )
        return begin, min(end, num_samples)

    def is_whole(self, rate: int, num_samples: int) -> bool:
        """Whether the audio is as long as the part: then it has been cut out before."""
        for unit in (*PER_SECOND, "samples"):
            begin, end = self.span(rate, num_samples, unit)
            to_end = not (self.end or self.length)
            if (
                not to_end
                and abs(end - begin - num_samples) <= tolerance(num_samples / rate) * rate
            ):
                return True
        return False


def tolerance(seconds: float) -> float:
    """By how much a stated duration may miss the true one: tables round, decoders pad."""
    return max(0.1, 0.02 * seconds)


def close(said: Time, true: float, rate: int, unit: str | None = None) -> bool:
    """Whether a stated duration is about `true` seconds; a whole number may be cut or rounded."""
    for each in (said.unit or unit,) if said.unit or unit else (*PER_SECOND, "samples"):
        slack = tolerance(true)
        if said.decimals is None and each == "seconds":
            slack = max(slack, min(0.999, 0.2 * true))
        if abs(said.seconds(rate, each) - true) <= slack:
            return True
    return False


def check_duration(said: Time, num_samples: int, rate: int) -> None:
    """Raise AudioError where a row states another duration than the file has: it may mean a part
    whose begin it does not state.
    """
    true = num_samples / rate
    if said.value > 0 and not close(said, true, rate):
        raise AudioError(
            f"its duration is said to be {said.text}{' ms' if said.unit == 'milliseconds' else ''}, "
            f"but the file has {true:.3f} s: for a part of it, say where it starts; "
            "--segments none reads the file whatever the columns say"
        )


def parse_time(value: Any, unit: str | None) -> Time | None:
    """A cell as a time; None where it is missing or says something else, as a date does.

    Raises AudioError for what may be a time and cannot be read as one.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return Time(Fraction(value), unit, str(value))
    text = (repr(value) if isinstance(value, float) else str(value)).strip()
    if isinstance(value, float) and not isfinite(value):
        return None
    if text.casefold() in MISSING or DATE.search(text) or not re.search(r"\d", text):
        return None
    if NUMBER.fullmatch(text):
        number = Fraction(text)
        whole = text.lstrip("+-").isdigit()
        return Time(number, unit, text, None if whole else max(1, len(text.rpartition(".")[2])))
    if DECIMAL_COMMA.fullmatch(text):
        found = parse_time(text.replace(",", "."), unit)
        return found and replace(found, text=text)
    if code := TIME_CODE.fullmatch(text):
        hours, minutes, seconds = code.groups()
        value = Fraction(seconds.replace(",", ".")) + 60 * int(minutes) + 3600 * int(hours or 0)
        return Time(value, "seconds", text, 3)
    if text[0].isalpha():
        return None
    raise AudioError(f"{text!r} is no time; seconds are written 12.5")


@dataclass(frozen=True)
class Columns:
    """Which columns state parts: role → [(name, unit)], the ones with a unit first."""

    begin: tuple[tuple[str, str | None], ...] = ()
    end: tuple[tuple[str, str | None], ...] = ()
    length: tuple[tuple[str, str | None], ...] = ()
    pair: str | None = None
    rate: str | None = None


def words(name: str) -> list[str]:
    """`startTime`, `Start Time`, `start-time[ms]` → their words, in lower case."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", parted.casefold()) if word]


def find_columns(names: Iterable[str]) -> Columns:
    roles: dict[str, list[tuple[str, str | None]]] = {"begin": [], "end": [], "length": []}
    names = list(names)
    spoken = {name: words(name) for name in names}
    onset = any("onset" in said for said in spoken.values())
    both = {"from", "to"} <= {" ".join(said) for said in spoken.values()}
    pair = rate = None
    for name, said in spoken.items():
        found = role_of(said, onset, both)
        if found:
            roles[found[0]].append((name, found[1]))
        elif "_".join(said) in PAIRS:
            pair = name
        elif said in (["sampling", "rate"], ["sample", "rate"]):
            rate = name
    given = {role: tuple(sorted(f, key=lambda c: c[1] is None)) for role, f in roles.items()}
    return Columns(**given, pair=pair, rate=rate)


def role_of(said: list[str], onset: bool, both: bool) -> tuple[str, str | None] | None:
    """`begin`, `end` or `length`, and the unit that the name tells."""
    if said in (["frame", "offset"], ["num", "frames"]):  # torchaudio's words for samples
        return ("begin" if "offset" in said else "length"), "samples"
    if said in (["num", "samples"], ["n", "samples"], ["nsamples"]):
        return "length", "samples"
    if both and said in (["from"], ["to"]):
        return ("begin" if said == ["from"] else "end"), None
    units = [UNIT_OF[word] for word in said if word in UNIT_OF]
    rest = [word for word in said if word not in UNIT_OF]
    main = [word for word in rest if word not in FILLERS]
    unit = units[0] if units else None
    if len(units) > 1:
        return None
    if not main and "offset" in rest:
        return ("end" if onset and rest == ["offset"] else "begin"), unit
    if len(main) != 1:
        return None
    for role, known in (("begin", BEGIN_WORDS), ("end", END_WORDS), ("length", LENGTH_WORDS)):
        if main[0] in known:
            return role, unit
    return None


class Times:
    """The parts that a manifest's rows state.

    unit: of columns that do not tell theirs, or `auto`. rows: reads the manifest from its start:
    one 2.5 in the columns says that the 3 of another row are seconds, too.
    """

    def __init__(self, unit: str, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self.unit = None if unit in ("auto", "none") else unit
        self.off = unit == "none"
        self.rows = rows
        self.decimals: bool | None = None
        self.names: tuple[str, ...] = ()
        self.columns = Columns()

    def of(
        self, row: Mapping[str, Any], inside: bool = False
    ) -> tuple[Segment | None, Time | None]:
        """The part that a row means, or the duration that it states for the whole file.

        Raises AudioError for columns that contradict each other or cannot be read.
        """
        if self.off:
            return None, None
        if self.names != (names := tuple(row)):
            self.names, self.columns = names, find_columns(names)
        begin, end, length = self.stated(row)
        if not begin and not end:
            stated = length and length.unit != "unknown" and self.says_duration(row)
            return None, length if stated else None
        if not begin:
            raise AudioError("it says where its part of the file ends, and not where it starts")
        if not begin.value and not end and not length:
            return None, None
        times = [t for t in (begin, end, length) if t]
        if any(t.unit == "unknown" for t in times):
            raise AudioError(
                f"its part {times[0].text} is in a unit that is not known; give the columns in seconds, "
                "or say --segments samples"
            )
        if any(t.unit is None for t in times) and self.in_seconds(row):
            begin, end, length = (
                replace(t, unit=t.unit or "seconds") if t else None for t in (begin, end, length)
            )
        elif end and length and length.unit is None and length.decimals is not None:
            length = replace(length, unit="seconds")
        assert begin
        return Segment(begin, end, length, self.rate(row, begin), inside=inside), None

    def stated(self, row: Mapping[str, Any]) -> tuple[Time | None, Time | None, Time | None]:
        columns = self.columns
        pair = row.get(columns.pair) if columns.pair else None
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and not columns.begin:
            begin, end = (parse_time(value, self.unit) for value in pair)
            return begin, end, None
        begin = self.one(row, columns.begin)
        end = self.one(row, columns.end, begin)
        length = self.one(row, columns.length, begin)
        return begin, end, length

    def one(
        self,
        row: Mapping[str, Any],
        columns: tuple[tuple[str, str | None], ...],
        begin: Time | None = None,
    ) -> Time | None:
        """The value of a role: in the unit of `begin` where a column has that."""
        found = []
        for name, unit in columns:
            unit = self.unit if self.unit and unit in (None, "unknown") else unit
            value = parse_time(row.get(name), unit)
            if value is not None:
                found.append(value)
        for value in found[1:]:
            if value.unit == found[0].unit and value.value != found[0].value:
                raise AudioError(
                    f"its columns {', '.join(name for name, _ in columns)} contradict each other"
                )
        alike = [value for value in found if begin is not None and value.unit == begin.unit]
        return next(iter(alike or found), None)

    def says_duration(self, row: Mapping[str, Any]) -> bool:
        """Counts of samples or frames, and the length of who knows what, are left alone."""
        named = [n for n, _ in self.columns.length if parse_time(row.get(n), None) is not None]
        return any({"duration", "dur"} & set(words(name)) for name in named)

    def in_seconds(self, row: Mapping[str, Any]) -> bool:
        """Whether the columns that tell no unit are in seconds, here or anywhere in the manifest."""
        if self.decimal(row):
            return True
        if self.decimals is None:
            self.decimals = any(self.decimal(other) for other in self.rows())
        return self.decimals

    def decimal(self, row: Mapping[str, Any]) -> bool:
        """Whether begin or end, or the length where there is no end, has a decimal point."""
        columns = self.columns
        looked_at = columns.begin + (columns.end or columns.length)
        for name, unit in looked_at:
            try:
                value = parse_time(row.get(name), None) if unit is None else None
            except AudioError:
                continue
            if value and value.decimals is not None:
                return True
        pair = row.get(columns.pair) if columns.pair else None
        return isinstance(pair, (list, tuple)) and any(isinstance(v, float) for v in pair)

    def rate(self, row: Mapping[str, Any], begin: Time) -> int | None:
        """What samples are counted at, where a column says so."""
        if begin.unit != "samples" or not self.columns.rate:
            return None
        stated = parse_time(row.get(self.columns.rate), None)
        return int(stated.value) if stated else None
