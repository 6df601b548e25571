"""lhotse's manifests: recordings, supervisions and cuts, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any

from xcodec2.corpus.kaldi import exists, resolve_path
from xcodec2.corpus.lookup import Lookup
from xcodec2.corpus.options import Options
from xcodec2.corpus.parts import FilePart
from xcodec2.corpus.recording import Nowhere, Recording, named_file
from xcodec2.corpus.segments import OVERSHOOT, Segment, parse_time
from xcodec2.corpus.text import json_rows
from xcodec2.errors import AudioError, XCodec2Error

CARRIED = ("text", "speaker", "language", "gender", "custom")


def reader_of(row: Mapping[str, Any]) -> Callable[[str, Options], Iterator[Recording]] | None:
    """The reader of a manifest of lhotse whose first row this is; None for another's."""
    if "sources" in row and "sampling_rate" in row:
        return read_recordings
    if "recording_id" in row and {"start", "duration"} <= row.keys():
        return read_supervisions
    return read_cuts if "recording" in row or str(row.get("type")).endswith("Cut") else None


def read_recordings(url: str, options: Options) -> Iterator[Recording]:
    """Whole recordings."""
    for number, row in json_rows(url, options.encoding):
        yield built(url, number, row, row, {}, options)


def read_supervisions(url: str, options: Options) -> Iterator[Recording]:
    """The part of its recording that each supervision speaks of."""
    near = recordings_beside(url)
    rows = json_rows(near, options.encoding)
    with closing(Lookup(((str(row.get("id")), json.dumps(row)) for _, row in rows), near)) as known:
        for number, row in json_rows(url, options.encoding):
            recording = known.get(str(row.get("recording_id")))
            columns = {name: row[name] for name in CARRIED if row.get(name) is not None}
            columns |= {name: row.get(name) for name in ("recording_id", "start", "duration")}
            reason = f"its recording {row.get('recording_id')!r} is not in {near}"
            yield built(
                url, number, row, json.loads(recording) if recording else reason, columns, options
            )


def read_cuts(url: str, options: Options) -> Iterator[Recording]:
    """The part of its recording that each cut is, with what its supervisions say."""
    for number, row in json_rows(url, options.encoding):
        supervisions = row.get("supervisions") or []
        kind = row.get("type", "MonoCut")
        recording: Any = row.get("recording") or "has no recording"
        if kind not in ("MonoCut", "MultiCut"):
            recording = f"is a {kind}, which is made of several pieces; save it as audio in lhotse"
        columns: dict[str, Any] = {
            name: values[0] if len(set(map(str, values))) == 1 else " ".join(map(str, values))
            for name in ("text", "speaker", "language", "gender")
            if (values := [s[name] for s in supervisions if s.get(name) is not None])
        }
        texts = [str(s["text"]) for s in supervisions if s.get("text") is not None]
        columns |= {"text": " ".join(texts)} if texts else {}
        custom = [said["custom"] for said in (row, *supervisions) if said.get("custom")]
        columns |= {"custom": custom[0]} if len(custom) == 1 else {}
        columns |= {name: row.get(name) for name in ("start", "duration")}
        for said in supervisions:
            end = float_or_zero(said.get("start")) + float_or_zero(said.get("duration"))
            if float_or_zero(said.get("start")) < -OVERSHOOT or end > (
                float_or_zero(row.get("duration")) + OVERSHOOT
            ):
                recording = (
                    f"its supervision {said.get('id')!r} reaches beyond the cut, so that its text "
                    "says "
                    "more than can be heard; lhotse's trim_to_supervisions mends that"
                )
        yield built(url, number, row, recording, columns, options)


def built(
    url: str,
    number: int,
    row: Mapping[str, Any],
    recording: Any,
    columns: Mapping[str, Any],
    options: Options,
) -> Recording:
    """The row of a recording, or of the part of it that `row` states; `recording` is a reason where
    there is none.

    Raises:
        AudioError: The row's audio cannot be had; raised when it is read.
    """
    source = f"{url}#{number}"
    name = str(row.get("id") or source)
    try:
        if isinstance(recording, str):
            raise AudioError(recording)
        whole = row is recording
        segment = None if whole else segment_of(row, recording)
        file, channels = audio_source(recording, row.get("channel"), whole)
        source = resolve_path(url, file)
        place = named_file(url, source, options.remote)
        stated = parse_time(recording.get("duration"), "seconds")
        if segment and options.segments != "none":
            segment = Segment(
                segment.begin,
                length=segment.length,
                sample_rate=segment.sample_rate,
                channels=channels,
            )
            place, stated = FilePart(place, segment, source), None
            source += segment.fragment
        return Recording(name, source, columns, place, stated)
    except AudioError as problem:
        return Recording(name, source, columns, Nowhere(f"{url}#{number}: {problem}"))


def segment_of(row: Mapping[str, Any], recording: Mapping[str, Any]) -> Segment:
    """The part of its recording that a supervision or cut means.

    Raises:
        AudioError: It has no start or duration.
    """
    begin, length = (
        parse_time(row.get("start"), "seconds"),
        parse_time(row.get("duration"), "seconds"),
    )
    if begin is None or length is None:
        raise AudioError("has no start and duration")
    sample_rate = recording.get("sampling_rate")
    return Segment(begin, length=length, sample_rate=int(sample_rate) if sample_rate else None)


def audio_source(
    recording: Mapping[str, Any], channel: Any, whole: bool
) -> tuple[str, tuple[int, ...] | None]:
    """The file of a recording, and the channels of it that are asked for; None for all.

    Raises:
        AudioError: The audio is made by lhotse, has no such channel, or is no file.
    """
    if recording.get("transforms"):
        raise AudioError("its recording is transformed by lhotse (speed, rate …); save it as audio")
    sources = recording.get("sources") or []
    wanted = channel if isinstance(channel, list) else [channel]
    everything = [c for source in sources for c in source.get("channels") or []]
    if whole or channel is None or len(everything) == 1:
        wanted = everything  # a lone channel is meant, whatever its number: RTTM counts from 1
    holding = [s for s in sources if set(wanted) <= set(s.get("channels") or [])]
    if not holding:
        raise AudioError(
            f"asks for channel {', '.join(map(str, wanted))} of a recording whose files have "
            f"{'; '.join(str(s.get('channels')) for s in sources)}"
        )
    source = holding[0]
    if (kind := source.get("type")) not in ("file", "url"):
        command = str(source.get("source")).split()[:1] if kind == "command" else []
        never = f" ({command[0]} …), and commands are never run" if command else ""
        raise AudioError(
            f"its audio is of the type {kind!r}{never}: only files and addresses are read"
        )
    numbers = source.get("channels") or []
    chosen = tuple(numbers.index(c) for c in wanted)
    return str(source.get("source")), None if len(chosen) == len(numbers) else chosen


def recordings_beside(url: str) -> str:
    """The manifest with the recordings of these supervisions, by lhotse's names.

    Raises:
        XCodec2Error: There is none.
    """
    folder, slash, name = url.rpartition("/")
    near = f"{folder}{slash}{name.replace('supervisions', 'recordings')}"
    if near == url or not exists(near):
        raise XCodec2Error(
            f"{url}: holds lhotse's supervisions, whose recordings are looked for in {near}; put "
            "them there, or give the cuts (lhotse cut simple)"
        )
    return near


def float_or_zero(value: Any) -> float:
    """A number as it is, and 0 for anything else."""
    return float(value) if isinstance(value, (int, float)) else 0.0
