"""Time-aligned phones: reading label files, and one phone for each code.

Three kinds are read, told apart by content: Praat's TextGrid (the tier `phones`, or else the last),
ESPS xlabel as Festival and festvox write it (lines of end, number and phone after a `#`), and HTK
(start, end in 100 ns, phone).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xcodec2.corpus.recording import Recording
from xcodec2.errors import XCodec2Error

SUFFIXES = (".lab", ".TextGrid", ".textgrid", ".phn")
TIER = re.compile(r'class = "IntervalTier"\s+name = "(.*?)"(.*?)(?=class = "|\Z)', re.DOTALL)
INTERVAL = re.compile(r'xmin = ([\d.eE+-]+)\s+xmax = ([\d.eE+-]+)\s+text = "((?:[^"]|"")*)"')


class Interval(NamedTuple):
    """Seconds from and to, and the phone."""

    start: float
    end: float
    phone: str


def read_labels(path: Path) -> list[Interval]:
    """The phones of one file, in order. Raises XCodec2Error for what is none of the three kinds."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        if "IntervalTier" in content:
            intervals = from_textgrid(content)
        elif re.search(r"^#\s*$", content, re.MULTILINE):
            intervals = from_xlabel(content)
        else:
            intervals = from_htk(content)
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as problem:
        raise XCodec2Error(f"{path}: no phone labels that can be read ({problem})") from problem
    if not intervals:
        raise XCodec2Error(f"{path}: holds no phones")
    return intervals


def from_textgrid(content: str) -> list[Interval]:
    """Praat's long form: the tier `phones`, or the last one."""
    tiers = dict(TIER.findall(content))
    wanted = tiers["phones"] if "phones" in tiers else list(tiers.values())[-1]
    found = INTERVAL.findall(wanted)
    return [Interval(float(start), float(end), text.strip() or "sil") for start, end, text in found]


def from_xlabel(content: str) -> list[Interval]:
    """xlabel's form: each line has an end in seconds, and begins where the one before ends."""
    lines = re.split(r"^#\s*$", content, maxsplit=1, flags=re.MULTILINE)[1].splitlines()
    intervals: list[Interval] = []
    for line in filter(str.strip, lines):
        fields = line.split()
        start = intervals[-1].end if intervals else 0.0
        intervals.append(Interval(start, float(fields[0]), fields[2] if len(fields) > 2 else "sil"))
    return intervals


def from_htk(content: str) -> list[Interval]:
    """HTK's form: each line has start and end in units of 100 ns."""
    lines = [line.split() for line in content.splitlines() if line.strip()]
    return [Interval(int(start) * 1e-7, int(end) * 1e-7, phone) for start, end, phone, *_ in lines]


def labels_of(recording: Recording, phones: str) -> list[Interval] | None:
    """Its labels, or None where there are none.

    phones: a column of the manifest that names label files, relative to the manifest; or a folder
    with a file for each recording, called as its audio file or as its id.
    """
    if phones in recording.columns:
        named = recording.columns[phones]
        return read_labels(base_folder(recording) / str(named)) if named else None
    for name in (Path(recording.source).stem, recording.id):
        for suffix in SUFFIXES:
            place = Path(phones) / f"{name}{suffix}"
            if place.is_file():
                return read_labels(place)
    return None


def base_folder(recording: Recording) -> Path:
    """Where a manifest's relative paths begin: what of the audio's path is not the manifest's
    own.
    """
    source = Path(recording.source)
    for column in ("path", "audio", "audio_path", "audio_filepath", "file"):
        named = recording.columns.get(column)
        if isinstance(named, str) and source.as_posix().endswith(named):
            return Path(source.as_posix()[: -len(named)] or ".")
    return source.parent


def phone_of_frames(intervals: list[Interval], frames: int, frame_rate: float) -> list[str | None]:
    """The phone at the middle of each of the frames; None before, between and after the labels."""
    ends = np.array([interval.end for interval in intervals])
    middles = (np.arange(frames) + 0.5) / frame_rate
    places = np.searchsorted(ends, middles, side="right")
    return [
        intervals[place].phone
        if place < len(intervals) and intervals[place].start <= middle
        else None
        for place, middle in zip(places, middles, strict=True)
    ]
