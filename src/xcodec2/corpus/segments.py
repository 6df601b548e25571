"""Parts of files, stated in seconds, milliseconds or samples, and the samples that they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor, isfinite
from typing import Any

from xcodec2.errors import AudioError

PER_SECOND = {"seconds": 1, "milliseconds": 1000}
SHORT = {"seconds": "s", "milliseconds": "ms"}
MISSING = frozenset({"", "-", "na", "n/a", "nan", "null", "none", "<na>"})
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{4,})")  # 1,234 may be a thousand and more
# what pandas writes for a duration has days in front
TIME_CODE = re.compile(r"(?:(?:0 days )?(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
WITH_UNIT = re.compile(r"([+-]?\d+(?:\.\d+)?) ?(s|sec|ms|msec)", re.IGNORECASE)
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

    def samples(self, sample_rate: int, unit: str | None = None) -> int:
        """Rounded half up, after the eighth decimal was rounded away as lhotse does: 0.29 s at
        16 kHz are 4640 samples, and not the 4639 that cutting a float down can give.
        """
        unit = self.unit or unit
        exact = (
            self.value if unit == "samples" else self.value * sample_rate / PER_SECOND[unit or ""]
        )
        return floor(round(exact, 8) + Fraction(1, 2))

    def seconds(self, sample_rate: int, unit: str | None = None) -> float:
        """The position in seconds.

        Args:
            sample_rate: Of the file in Hz, for positions in samples.
            unit: What a number without a unit counts.
        """
        unit = self.unit or unit
        return float(self.value / (sample_rate if unit == "samples" else PER_SECOND[unit or ""]))


@dataclass(frozen=True)
class Segment:
    """A part of a file: from `begin` to `end`, or `length` long, or to the end of the file.

    sample_rate: Hz that the positions count in, or that the file is said to have. channels: those
    to average, all when None. embedded: the table holds the audio itself, which may be the part
    already.
    """

    begin: Time
    end: Time | None = None
    length: Time | None = None
    sample_rate: int | None = None
    channels: tuple[int, ...] | None = None
    embedded: bool = False

    @property
    def label(self) -> str:
        """As the row states it, to tell the rows of one file apart."""
        if self.end:
            return f"{self.begin.text}-{self.end.text}"
        return f"{self.begin.text}+{self.length.text}" if self.length else f"{self.begin.text}-end"

    @property
    def fragment(self) -> str:
        """What follows the file in the name of the source: label, unit if it is known, channels."""
        unit = self.begin.unit or ""
        channels = f":channel{'+'.join(map(str, self.channels))}" if self.channels else ""
        return f"#{self.label}{SHORT.get(unit, unit)}{channels}"

    def within(self, sample_rate: int, num_samples: int) -> tuple[int, int]:
        """First sample and the one after the last. Raises AudioError, which says why not."""
        if self.sample_rate not in (None, sample_rate):
            raise AudioError(
                f"is at {sample_rate} Hz, but the part {self.label} is stated for "
                f"{self.sample_rate} Hz"
            )
        if self.embedded and self.is_whole(sample_rate, num_samples):
            return 0, num_samples
        known = [t.unit for t in (self.begin, self.end, self.length) if t]
        if None not in known:
            return self.bounds(sample_rate, num_samples, None)
        fitting = [
            unit for unit in (*PER_SECOND, "samples") if self.fits(sample_rate, num_samples, unit)
        ]
        if len(fitting) > 1:
            raise AudioError(
                f"the part {self.label} can be in {' or '.join(fitting)}: give --segments "
                f"{fitting[0]}, say, or call the column "
                f"{'start_ms' if 'milliseconds' in fitting else 'start_s'}"
            )
        return self.bounds(sample_rate, num_samples, fitting[0] if fitting else "seconds")

    def span(self, sample_rate: int, num_samples: int, unit: str | None) -> tuple[int, int]:
        """Samples, unchecked. The start and the length are rounded each by itself."""
        begin = self.begin.samples(sample_rate, unit)
        if self.end:
            end = num_samples if self.end.value == -1 else self.end.samples(sample_rate, unit)
        elif self.length:
            end = begin + self.length.samples(sample_rate, unit)
            end = num_samples if self.length.value == -1 else end
        else:
            end = num_samples
        return begin, end

    def fits(self, sample_rate: int, num_samples: int, unit: str) -> bool:
        """Whether whole numbers can mean `unit`: as much as speech lasts, not far past the end."""
        begin, end = self.span(sample_rate, num_samples, unit)
        told = self.end or self.length
        return (
            begin < num_samples
            and end <= 1.25 * num_samples
            and (end - begin >= SHORTEST * sample_rate or bool(told and told.unit))
            and self.agrees(sample_rate, num_samples, unit)
        )

    def agrees(self, sample_rate: int, num_samples: int, unit: str | None) -> bool:
        """Whether a duration beside start and end is theirs, or that of the file."""
        if not (self.end and self.length):
            return True
        begin, end = self.span(sample_rate, num_samples, unit)
        return any(
            is_close(self.length, true / sample_rate, sample_rate, unit)
            for true in (end - begin, num_samples)
        )

    def bounds(self, sample_rate: int, num_samples: int, unit: str | None) -> tuple[int, int]:
        """First sample and the one behind the last, within the file.

        Args:
            sample_rate: Of the file, in Hz.
            num_samples: Of the file, in each channel.
            unit: What numbers without a unit count.

        Returns:
            Two positions in samples.

        Raises:
            AudioError: The part is empty, lies outside of the file, or its duration says something
                else.
        """
        begin, end = self.span(sample_rate, num_samples, unit)
        if begin < 0:
            raise AudioError(f"the part {self.label} begins before the file")
        if end <= begin and begin < num_samples:
            raise AudioError(
                f"the part {self.label} is empty; to the end of the file is a duration or end of -1"
            )
        if not self.agrees(sample_rate, num_samples, unit):
            assert self.length
            raise AudioError(
                f"the part {self.label} has {(end - begin) / sample_rate:.3f} s, "
                f"but its duration is said to be {self.length.text}"
            )
        stated = self.length or self.end
        if not begin and stated and not (self.end and self.length):
            exact = stated.decimals is not None and (unit or stated.unit) != "samples"
            slack = min(ROUNDING, 10.0 ** -(stated.decimals or 0)) if exact else 0
            if abs(end - num_samples) < slack * sample_rate:
                return 0, num_samples
        in_samples = (self.begin.unit or unit) == "samples"
        if begin >= num_samples or end > num_samples + (
            0 if in_samples else OVERSHOOT * sample_rate
        ):
            raise AudioError(
                f"the part {self.label} {'begins' if begin >= num_samples else 'ends'} beyond the "
                f"end of the file, which has {num_samples / sample_rate:.3f} s ({num_samples} "
                "samples); "
                "--segments none if the file is the part already"
            )
        return begin, min(end, num_samples)

    def is_whole(self, sample_rate: int, num_samples: int) -> bool:
        """Whether the audio is as long as the part: then it has been cut out before."""
        for unit in (*PER_SECOND, "samples"):
            begin, end = self.span(sample_rate, num_samples, unit)
            to_end = not (self.end or self.length)
            if (
                not to_end
                and abs(end - begin - num_samples)
                <= tolerance(num_samples / sample_rate) * sample_rate
            ):
                return True
        return False


def tolerance(seconds: float) -> float:
    """By how much a stated duration may miss the true one: tables round, decoders pad."""
    return max(0.1, 0.02 * seconds)


def is_close(said: Time, true: float, sample_rate: int, unit: str | None = None) -> bool:
    """Whether a stated duration is about `true` seconds; a whole number may be cut or rounded."""
    for each in (said.unit or unit,) if said.unit or unit else (*PER_SECOND, "samples"):
        slack = tolerance(true)
        if said.decimals is None and each == "seconds":
            slack = max(slack, min(0.999, 0.2 * true))
        if abs(said.seconds(sample_rate, each) - true) <= slack:
            return True
    return False


def check_duration(said: Time, num_samples: int, sample_rate: int) -> None:
    """Raise AudioError where a row states another duration than the file has: it may mean a part
    whose begin it does not state.
    """
    true = num_samples / sample_rate
    if said.value > 0 and not is_close(said, true, sample_rate):
        unit = " ms" if said.unit == "milliseconds" else ""
        raise AudioError(
            f"its duration is said to be {said.text}{unit}, "
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
    if said := WITH_UNIT.fullmatch(text):
        known = "milliseconds" if said[2].lower().startswith("m") else "seconds"
        return Time(Fraction(said[1]), known, text, 3)
    if text[0].isalpha():
        return None
    raise AudioError(f"{text!r} is no time; seconds are written 12.5")
