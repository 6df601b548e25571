"""Manifests: TSV, CSV, JSON lines, lists and Parquet, one row a recording or a part of one."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from xcodec2.corpus.options import Options
from xcodec2.corpus.parts import FilePart
from xcodec2.corpus.recording import Nowhere, ParquetCell, Place, Recording, TarMember, named_file
from xcodec2.corpus.segments import Segment, Time
from xcodec2.corpus.tables import beside, light_rows, parquet_file
from xcodec2.corpus.times import Times, name_words
from xcodec2.errors import AudioError, XCodec2Error

AUDIO_COLUMNS = (
    "audio",
    "path",
    "audio_path",
    "audio_filepath",
    "audio_file",
    "file_path",
    "filepath",
    "file",
    "wav",
    "file_name",
    "filename",
    "audio_filename",
    "audio_file_path",
    "wav_path",
    "wav_file",
    "wav_filename",
)
ID_COLUMNS = ("id", "utt_id", "utterance_id", "key", "uid", "segment_id")
ROWS_AT_ONCE = 1024
SLICE = re.compile(r"(.+):(\d+):(-1|\d+)")
# Numbers of other kinds in its place, as seconds are, or one alone.
NEAR_SLICE = re.compile(r"(.+?\.\w+)((?::[+-]?\d*\.?\d+(?:e-?\d+)?s?|:-){1,2})", re.IGNORECASE)
# Files that hold files: what `path:offset:length` counts in them is bytes.
HOLDERS = frozenset({".zip", ".tar", ".ark", ".bin", ".dat", ""})


def pick(
    columns: Any, given: str | None, known: tuple[str, ...], what: str, url: str
) -> str | None:
    """The column `given` by name, which must be there, or the first of the `known` ones, whatever
    their case; None where there is none.

    Raises:
        XCodec2Error: `given` is not there.
    """
    names = tuple(columns)
    found = match(names, (given,) if given is not None else known)
    if given is not None and found is None:
        raise XCodec2Error(
            f"{url}: has no column {given!r} for the {what}; it has {', '.join(map(str, columns))}"
        )
    return found


@functools.lru_cache(maxsize=256)
def match(columns: tuple[str, ...], known: tuple[str, ...]) -> str | None:
    """The column that one of the known names is meant by: spelled so, in another case, or in
    another style.
    """
    exact = next((name for name in known if name in columns), None)
    if exact is not None:
        return exact
    for spelled in (str.casefold, lambda name: "_".join(name_words(name))):
        names = {spelled(name): name for name in reversed(columns)}
        if (found := next((n for n in known if spelled(n) in names), None)) is not None:
            return names[spelled(found)]
    return None


def audio_column(columns: Any, url: str, options: Options, also: tuple[str, ...] = ()) -> str:
    """The column with the audio.

    Raises:
        XCodec2Error: None is named so, or the one that was asked for is missing.
    """
    found = pick(columns, options.audio_column, also + AUDIO_COLUMNS, "audio", url)
    if found is None:
        raise XCodec2Error(
            f"{url}: no column is called {', '.join(AUDIO_COLUMNS)}; name the one with the audio"
        )
    return found


def read_rows(
    url: str, rows: Callable[[], Iterator[tuple[int, dict[str, Any]]]], options: Options
) -> Iterator[Recording]:
    """Recordings of a text manifest; `rows` reads it from its start."""
    times = Times(options.segments, lambda: (row for _, row in rows()))
    for number, row in rows():
        audio = audio_column(row, url, options)
        path = row[audio]
        if isinstance(path, dict):  # Hugging Face's struct in words
            path = path.get("path")
        if isinstance(path, str) and path:
            yield located(url, number, row, path, times, options)
        else:
            source = f"{url}#{number}"
            where = Nowhere(f"{source}: its column {audio!r} names no file")
            yield named_row(url, row, source, source, where, options)


def located(
    url: str, number: int, row: dict[str, Any], path: str, times: Times, options: Options
) -> Recording:
    """The recording at `path`, as written in the manifest, or the part of it that the row means.

    Raises:
        AudioError: Path and columns both name a part of the file.
    """
    file, slice_ = sliced(url, path)
    source, name, duration, second = beside(url, path), path, None, None
    place: Place = named_file(url, file, options.remote)
    try:
        if not slice_ and is_near_slice(url, path):
            raise AudioError(
                f"there is no file {path!r}; a part of a file is PATH:OFFSET:LENGTH in samples, "
                "whole numbers, and seconds are columns: start and end, or offset and duration"
            )
        segment, duration = times.of(row)
        if slice_ and holds_files(file):
            place = place if isinstance(place, Nowhere) else TarMember(beside(url, file), *slice_)
        elif slice_ and segment:
            raise AudioError("both its path and its columns name a part of the file")
        elif slice_:
            begin, length = (Time(Fraction(n), "samples", str(n)) for n in slice_)
            place = FilePart(place, Segment(begin, length=length), source)
    except AudioError as problem:
        where = Nowhere(f"{url}#{number}: {problem}")
        return named_row(url, row, f"{path}#{number}", f"{url}#{number}", where, options)
    if slice_:
        second = path
    if segment:
        place, second = FilePart(place, segment, source), f"{path}#{segment.label}"
        # Rows from 0 to a duration are whole files in most manifests, and always had their names.
        if segment.begin.value or segment.end:
            source, name = source + segment.fragment, second
        elif times.unit:
            source += segment.fragment
    return named_row(url, row, name, source, place, options, duration, second)


def named_row(
    url: str,
    row: dict[str, Any],
    name: str,
    source: str,
    place: Place,
    options: Options,
    duration: Time | None = None,
    second: str | None = None,
) -> Recording:
    """The recording of a row, which takes its id from a column, or else has `name`, or `second`
    where another row has that.
    """
    named = pick(row, options.id_column, ID_COLUMNS, "id", url)
    given = identity(row, named, "")
    return Recording(
        given or name,
        source,
        without(row, named),
        place,
        duration,
        second_id=None if given else second,
    )


def sliced(url: str, path: str) -> tuple[str, tuple[int, int] | None]:
    """`path:offset:length` in its parts, unless a file is called so."""
    found = SLICE.fullmatch(path)
    if not found or ("://" not in url + path and os.path.exists(beside(url, path))):
        return path, None
    return found[1], (int(found[2]), int(found[3]))


def is_near_slice(url: str, path: str) -> bool:
    """Whether a path seems to name a part of a file, in a form that is not read, and no file."""
    if "://" in url + path or not NEAR_SLICE.fullmatch(path):
        return False
    return not os.path.exists(beside(url, path))


def holds_files(path: str) -> bool:
    """Whether a path is that of an archive or a table, by its suffix."""
    return os.path.splitext(path.lower())[1] in HOLDERS


def read_parquet(url: str, name: str, options: Options) -> Iterator[Recording]:
    """Rows of a Parquet file whose audio column holds paths, bytes, or Hugging Face's struct.

    Only the other columns are read here. Without an id column a row is called `name#row`.

    Raises:
        XCodec2Error: The file cannot be read, or has no one audio column.
    """
    with parquet_file(url) as file:
        schema = file.schema_arrow
        audio = audio_column(schema.names, url, options, audio_cells(schema))
        if len(schema.get_all_field_indices(audio)) > 1:
            raise XCodec2Error(f"{url}: several columns are called {audio!r}, which has the audio")
        paths = str(schema.field(audio).type) in ("string", "large_string", "string_view")
        columns = [column for column in schema.names if paths or column != audio]
        times = Times(options.segments, lambda: (row for *_, row in parquet_rows(url, columns)))
        for number, (group, position, row) in enumerate(parquet_rows(url, columns)):
            if paths and row[audio]:
                yield located(url, number, row, row[audio], times, options)
                continue
            source = f"{url}#{number}"
            cell: Place = ParquetCell(url, group, position, audio, options.remote)
            place, duration = embedded_audio(cell, row, times, source)
            yield named_row(url, row, f"{name}#{number}", source, place, options, duration)


def parquet_rows(url: str, columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Row group, position within it, and row."""
    with parquet_file(url) as file:
        for group in range(file.num_row_groups):
            for position, row in enumerate(light_rows(file, group, columns, url, ROWS_AT_ONCE)):
                yield group, position, row


def embedded_audio(
    cell: Place, row: Mapping[str, Any], times: Times, source: str
) -> tuple[Place, Time | None]:
    """The place of a row whose audio lies in the table: the part of it that the row means, unless
    that has been cut out before.
    """
    try:
        segment, duration = times.of(row, embedded=True)
    except AudioError as problem:
        return Nowhere(f"{source}: {problem}"), None
    return (FilePart(cell, segment, source) if segment else cell), duration


def audio_cells(schema: Any) -> tuple[str, ...]:
    """Columns that hold audio by their type: structs with bytes, or with an array and its rate."""
    found = []
    for field in schema:
        parts = (
            {child.name for child in field.type} if str(field.type).startswith("struct") else set()
        )
        if {"bytes", "path"} <= parts or {"array", "sampling_rate"} <= parts:
            found.append(field.name)
    return tuple(found)


def identity(row: Mapping[str, Any], column: str | None, otherwise: str) -> str:
    """The cell as text, or `otherwise` where it is empty or there is no such column."""
    value = row[column] if column is not None else None
    return otherwise if value is None or value == "" else str(value)


def without(row: Mapping[str, Any], column: str | None) -> dict[str, Any]:
    """The row but for a column."""
    return {name: value for name, value in row.items() if name != column}
