"""Kaldi's data folders: wav.scp, and beside it segments, text, utt2spk and others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import fsspec

from xcodec2.corpus.lookup import Lookup
from xcodec2.corpus.options import Options
from xcodec2.corpus.parts import FilePart
from xcodec2.corpus.recording import Nowhere, Place, Recording, named_file
from xcodec2.corpus.segments import Segment, Time, parse_time
from xcodec2.corpus.tables import beside
from xcodec2.corpus.text import numbered_lines
from xcodec2.errors import AudioError, XCodec2Error

# File → the column that its second field becomes.
BESIDE = {
    "text": "text",
    "utt2spk": "speaker",
    "utt2lang": "language",
    "utt2dur": "duration",
}
RATE = re.compile(r"(.+\S)\s+(\d{4,6})")
ARCHIVE = re.compile(r".+\.ark:\d+")


def read_kaldi(scp: str, options: Options) -> Iterator[Recording]:
    """Utterances of the folder of `scp`, its wav.scp: the rows of `segments`, or whole recordings.

    A path is relative to the folder, or, as for Kaldi, to where the command runs. Commands in
    wav.scp are never run.
    """
    folder = scp.rpartition("/")[0]
    with ExitStack() as stack:
        fields = {
            column: stack.enter_context(closing(read_table(f"{folder}/{name}", options)))
            for name, column in BESIDE.items()
            if exists(f"{folder}/{name}")
        }
        genders = f"{folder}/spk2gender"
        gender = (
            stack.enter_context(closing(read_table(genders, options))) if exists(genders) else None
        )
        recordings = stack.enter_context(closing(read_table(scp, options)))

        def row(name: str, source: str, place: Place, **more: Any) -> Recording:
            columns: dict[str, Any] = {
                c: resolve_path.get(name) for c, resolve_path in fields.items()
            }
            if gender:
                columns["gender"] = gender.get(columns.get("speaker") or name)
            stated = columns.pop("duration", None)
            seconds = parse_time(stated, "seconds") if stated and not more else None
            return Recording(name, source, columns | more, place, seconds)

        if exists(f"{folder}/segments") and options.segments != "none":
            yield from segment_recordings(f"{folder}/segments", scp, recordings, options, row)
            return
        for name, entry in recordings.items():
            place, source, sample_rate = entry_of(scp, name, entry, options)
            if sample_rate:
                place = FilePart(place, Segment(seconds_of("0"), sample_rate=sample_rate), source)
            yield row(name, source, place)


def segment_recordings(
    url: str, scp: str, recordings: Lookup, options: Options, row: Any
) -> Iterator[Recording]:
    """`utterance recording start end [channel]`, an end of -1 being that of the file.

    Raises:
        XCodec2Error: A line has another number of fields.
        AudioError: It names a recording that wav.scp has not; raised when that is read.
    """
    for number, line in numbered_lines(url, options.encoding):
        fields = line.split()
        if len(fields) not in (4, 5):
            raise XCodec2Error(
                f"{url}, line {number}: {len(fields)} fields, not an utterance, its recording, "
                "start and end"
            )
        name, recording, start, end, *channel = fields
        source = f"{url}#{number}"
        entry = recordings.get(recording)
        try:
            if entry is None:
                raise AudioError(f"its recording {recording} is not in {scp}")
            place, file, sample_rate = entry_of(scp, recording, entry, options)
            channels = (int(channel[0]),) if channel and channel[0].isdigit() else None
            segment = Segment(seconds_of(start), seconds_of(end), None, sample_rate, channels)
            place, source = FilePart(place, segment, file), file + segment.fragment
        except AudioError as problem:
            place = Nowhere(f"{source}: {problem}")
        told = {"recording": recording, "start": number_or_text(start), "end": number_or_text(end)}
        yield row(name, source, place, **told)


def entry_of(scp: str, name: str, entry: str, options: Options) -> tuple[Place, str, int | None]:
    """Place and source of a line of wav.scp, and the rate after its path where there is one."""
    source = f"{scp}#{name}"
    if entry.endswith("|") or entry.startswith("|"):
        command = entry.strip("| ").split()[0] if entry.strip("| ") else ""
        reason = f"{source}: is the output of a command ({command} …), and commands are never run"
        return Nowhere(f"{reason}: write files, and name them"), source, None
    if ARCHIVE.fullmatch(entry):
        reason = f"{source}: lies in a Kaldi archive ({entry}); write wav files with wav-copy"
        return Nowhere(reason), source, None
    with_rate = RATE.fullmatch(entry)
    path, sample_rate = (with_rate[1], int(with_rate[2])) if with_rate else (entry, None)
    if with_rate and "://" not in scp + entry and os.path.exists(resolve_path(scp, entry)):
        path, sample_rate = entry, None  # a file whose name ends so
    return (
        named_file(scp, resolve_path(scp, path), options.remote),
        resolve_path(scp, path),
        sample_rate,
    )


def resolve_path(manifest: str, path: str) -> str:
    """A path of a toolkit that takes it from where the command runs: beside the manifest if it is
    there, else so.
    """
    near = beside(manifest, path)
    if "://" in near or os.path.exists(near) or not os.path.exists(path):
        return near if "://" not in path else path
    return os.path.abspath(path)


def seconds_of(text: str) -> Time:
    """A field of `segments` as a time in seconds.

    Raises:
        AudioError: It is no number.
    """
    stated = parse_time(text, "seconds")
    if stated is None:
        raise AudioError(f"{text!r} is no time in seconds")
    return stated


def number_or_text(text: str) -> float | str:
    """A field as a number where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def exists(url: str) -> bool:
    """Whether there is a file of that URL."""
    fs, path = fsspec.url_to_fs(url)
    return bool(fs.exists(path))


def read_table(url: str, options: Options) -> Lookup:
    """`name rest of the line`, by name."""

    def pairs() -> Iterator[tuple[str, str]]:
        for _, line in numbered_lines(url, options.encoding):
            name, *rest = line.split(maxsplit=1)
            yield name, rest[0].strip() if rest else ""

    return Lookup(pairs(), url)
