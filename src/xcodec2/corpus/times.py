"""Which columns of a manifest state parts of files, and in which unit."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xcodec2.corpus.segments import MISSING, Segment, Time, parse_time
from xcodec2.errors import AudioError

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
        "t",
        "ts",
        "segment",
        "seg",
        "chunk",
        "turn",
        "speech",
        "vad",
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
PAIR_TEXT = re.compile(r"\[([^\[\],]+),([^\[\],]+)\]|\(([^(),]+),([^(),]+)\)")
NOT_FINITE = frozenset({"nan", "inf", "infinity"})
NEMO_FILES = frozenset({"audio_filepath", "audio_filename", "audio_file"})


@dataclass(frozen=True)
class Columns:
    """Which columns state parts: role → [(name, unit)], the ones with a unit first."""

    begin: tuple[tuple[str, str | None], ...] = ()
    end: tuple[tuple[str, str | None], ...] = ()
    length: tuple[tuple[str, str | None], ...] = ()
    pair: str | None = None
    sample_rate: str | None = None


def name_words(name: str) -> list[str]:
    """`startTime`, `Start Time`, `start-time[ms]` → their words, in lower case."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", parted.casefold()) if word]


def find_columns(names: Iterable[str]) -> Columns:
    """Which columns of a table say when a part begins, when it ends and how long it is."""
    return columns_among(tuple(names))


@functools.lru_cache(maxsize=256)
def columns_among(names: tuple[str, ...]) -> Columns:
    """As `find_columns`; the rows of a table mostly have the same names."""
    roles: dict[str, list[tuple[str, str | None]]] = {"begin": [], "end": [], "length": []}
    spoken = {name: name_words(name) for name in names}
    onset = any("onset" in said for said in spoken.values())
    both = {"from", "to"} <= {" ".join(said) for said in spoken.values()}
    pair = sample_rate = None
    for name, said in spoken.items():
        found = role_of(said, onset, both)
        if found:
            roles[found[0]].append((name, found[1]))
        elif "_".join(said) in PAIRS:
            pair = name
        elif said in (["sampling", "rate"], ["sample", "rate"]):
            sample_rate = name
    given = {role: tuple(sorted(f, key=lambda c: c[1] is None)) for role, f in roles.items()}
    return Columns(**given, pair=pair, sample_rate=sample_rate)


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


def pair_of(cell: Any) -> tuple[Any, Any] | None:
    """Begin and end in one cell: two values, `[0.5, 2.0]` as text, or an object of the two."""
    if isinstance(cell, (list, tuple)) and len(cell) == 2:
        return cell[0], cell[1]
    if isinstance(cell, str) and (found := PAIR_TEXT.fullmatch(cell.strip())):
        begin, end = (part.strip(" '\"") for part in found.groups() if part is not None)
        return begin, end
    if isinstance(cell, Mapping) and {"start", "end"} <= cell.keys():
        return cell["start"], cell["end"]
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
        self.timed: dict[str, bool] = {}  # whether any row has a time there
        self.parted: bool | None = None

    def of(
        self, row: Mapping[str, Any], embedded: bool = False
    ) -> tuple[Segment | None, Time | None]:
        """The part that a row means, or the duration that it states for the whole file.

        Raises AudioError for columns that contradict each other or cannot be read.
        """
        if self.off:
            return None, None
        if self.names != (names := tuple(row)):
            self.names, self.columns = names, find_columns(names)
        self.refuse_words(row)
        begin, end, length = self.stated(row)
        self.refuse_infinity(row, begin, end)
        if not begin and not end:
            stated = length and length.unit != "unknown" and self.says_duration(row)
            if not stated:
                self.refuse_empty()
            return None, length if stated else None
        if not begin:
            raise AudioError("it says where its part of the file ends, and not where it starts")
        if length and not length.value and self.is_nemo(row):
            length = None  # NeMo's way to say that the part goes on to the end of the file
        if not begin.value and not end and not (length and (length.value or self.has_parts())):
            return None, None
        times = [t for t in (begin, end, length) if t]
        if any(t.unit == "unknown" for t in times):
            raise AudioError(
                f"its part {times[0].text} is in a unit that is not known; give the columns in "
                "seconds, or say --segments samples"
            )
        if any(t.unit is None for t in times) and self.in_seconds(row):
            begin, end, length = (
                replace(t, unit=t.unit or "seconds") if t else None for t in (begin, end, length)
            )
        elif end and length and length.unit is None and length.decimals is not None:
            length = replace(length, unit="seconds")
        assert begin
        return Segment(begin, end, length, self.sample_rate(row, begin), embedded=embedded), None

    def refuse_words(self, row: Mapping[str, Any]) -> None:
        """Words where other rows have times: read as missing, they would make the part the whole
        file. Columns that hold no time in any row are about something else.

        Args:
            row: Column → value, of one recording.

        Raises:
            AudioError: A column that has times in other rows has words in this one.
        """
        for name, _ in self.columns.begin + self.columns.end + self.columns.length:
            value = row.get(name)
            if not isinstance(value, str) or value.strip().casefold() in MISSING:
                continue
            if parse_time(value, None) is None and self.has_times(name):
                raise AudioError(
                    f"its {name} {value!r} is no time; --segments none reads the whole file"
                )

    def refuse_infinity(self, row: Mapping[str, Any], begin: Time | None, end: Time | None) -> None:
        """NaN and infinity say neither that a time is missing nor which one it is: read as missing,
        they would make a part the whole file, or all the rest of it.

        Args:
            row: Column → value, of one recording.
            begin: What it states all the same.
            end: As `begin`; where both are there, nothing depends on a duration beside them.

        Raises:
            AudioError: It has such a value, and this row or another one states a part.
        """
        columns = self.columns
        decisive = columns.begin + columns.end + (() if begin and end else columns.length)
        stated = [(name, row.get(name)) for name, _ in decisive]
        stated += [(str(columns.pair), value) for value in self.pair(row) or ()]
        for name, value in stated:
            text = str(value).strip()
            not_finite = text.lstrip("+-").casefold() in NOT_FINITE
            if not_finite and (begin or end or self.has_parts()):
                raise AudioError(
                    f"its {name} {text} is no time; to the end of the file is a duration or end of "
                    "-1"
                )

    def refuse_empty(self) -> None:
        """A row whose cells are empty where others state their parts may be a part as well.

        Raises:
            AudioError: This row has such columns, and other rows have times in theirs.
        """
        columns = self.columns
        names = [name for name, _ in columns.begin + columns.end]
        names += [columns.pair] if columns.pair else []
        if names and self.has_parts():
            raise AudioError(
                f"its {', '.join(names)} {'are' if len(names) > 1 else 'is'} empty, and other rows "
                "are parts of their files: the whole file is from 0 to -1"
            )

    def has_parts(self) -> bool:
        """Whether any row states a part of a file, from or to anything but 0."""
        if self.parted is None:
            self.parted = any(self.is_part(other) for other in self.rows())
        return self.parted

    def is_part(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has a begin or end other than 0, or a begin and a length."""
        columns = find_columns(row)
        begins, ends, lengths = (
            [row.get(name) for name, _ in of_role]
            for of_role in (columns.begin, columns.end, columns.length)
        )
        bounds = [*begins, *ends, *(pair_of(row.get(columns.pair or "")) or ())]
        if any(self.is_time(value, but_zero=True) for value in bounds):
            return True
        return any(map(self.is_time, begins)) and any(
            self.is_time(value, but_zero=True) for value in lengths
        )

    def is_nemo(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is one of NeMo's manifests, by its names."""
        begins = [name.casefold() for name, _ in self.columns.begin]
        return begins == ["offset"] and not NEMO_FILES.isdisjoint(map(str.casefold, row))

    def pair(self, row: Mapping[str, Any]) -> tuple[Any, Any] | None:
        """Begin and end of a row in one cell, where no columns of their own have them."""
        columns = self.columns
        return pair_of(row.get(columns.pair)) if columns.pair and not columns.begin else None

    def has_times(self, name: str) -> bool:
        """Whether any row has a time in that column."""
        if name not in self.timed:
            self.timed[name] = any(self.is_time(other.get(name)) for other in self.rows())
        return self.timed[name]

    @staticmethod
    def is_time(value: Any, but_zero: bool = False) -> bool:
        """Whether a cell is a time, in whatever unit."""
        try:
            time = parse_time(value, None)
        except AudioError:
            return False
        return time is not None and bool(time.value or not but_zero)

    def stated(self, row: Mapping[str, Any]) -> tuple[Time | None, Time | None, Time | None]:
        """Begin, end and length of a row, each None where the row does not say it."""
        columns = self.columns
        if pair := self.pair(row):
            begin, end = (parse_time(value, self.unit) for value in pair)
            return begin, end, None
        begin = self.one(row, columns.begin)
        end = self.one(row, columns.end, begin)
        # beside an end, a `length` may be that of the text, and frames may be of any kind
        lengths = tuple(
            (name, unit)
            for name, unit in columns.length
            if not end or (unit != "unknown" and {"duration", "dur"} & set(name_words(name)))
        )
        return begin, end, self.one(row, lengths, begin)

    def one(
        self,
        row: Mapping[str, Any],
        columns: tuple[tuple[str, str | None], ...],
        begin: Time | None = None,
    ) -> Time | None:
        """The value of a role: in the unit of `begin` where a column has that.

        Raises:
            AudioError: Several columns of the role say different things.
        """
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
        return any({"duration", "dur"} & set(name_words(name)) for name in named)

    def in_seconds(self, row: Mapping[str, Any]) -> bool:
        """Whether the columns that tell no unit are in seconds, in this row or in another."""
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
        pair = pair_of(row.get(columns.pair or "")) or ()
        return any(isinstance(v, float) or (isinstance(v, str) and "." in v) for v in pair)

    def sample_rate(self, row: Mapping[str, Any], begin: Time) -> int | None:
        """What samples are counted at, where a column says so."""
        if begin.unit != "samples" or not self.columns.sample_rate:
            return None
        stated = parse_time(row.get(self.columns.sample_rate), None)
        return int(stated.value) if stated else None
