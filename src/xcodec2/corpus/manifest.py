"""Manifests: TSV, CSV, JSON lines and Parquet, one row a recording."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any

import fsspec

from xcodec2.corpus.recording import Nowhere, ParquetCell, Place, Recording, file_at
from xcodec2.corpus.tables import beside, parquet_file
from xcodec2.errors import XCodec2Error

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
)
ID_COLUMNS = ("id", "utt_id", "utterance_id", "key", "uid", "segment_id")
TEXT_KINDS = {".tsv": "\t", ".csv": ",", ".jsonl": "", ".ndjson": "", ".json": ""}
ROWS_AT_ONCE = 1024
SEGMENTS = "means a segment that begins at its `offset`; whole files are read, so cut the segments out first"


def pick(
    columns: Any, given: str | None, known: tuple[str, ...], what: str, url: str
) -> str | None:
    """The column `given` by name, which must be there, or the first of the `known` ones; None where
    there is none.
    """
    if given is not None and given not in columns:
        raise XCodec2Error(
            f"{url}: has no column {given!r} for the {what}; it has {', '.join(columns)}"
        )
    return given or next((name for name in known if name in columns), None)


def read_text_manifest(
    url: str, kind: str, audio_column: str | None, id_column: str | None
) -> Iterator[Recording]:
    """TSV or CSV with a header line, quoted as Python's csv module does, or JSON objects, one a
    line.
    """
    rows = (
        json_rows(url)
        if kind in (".jsonl", ".ndjson", ".json")
        else separated_rows(url, TEXT_KINDS[kind])
    )
    for number, row in rows:
        audio = pick(row, audio_column, AUDIO_COLUMNS, "audio", url)
        if audio is None:
            raise XCodec2Error(
                f"{url}: no column is called {', '.join(AUDIO_COLUMNS)}; name the one with the audio"
            )
        named = pick(row, id_column, ID_COLUMNS, "id", url)
        path = row[audio]
        where: Place
        if starts_within(row):
            source = f"{url}#{number}"
            where = Nowhere(f"{source}: {SEGMENTS}")
        elif isinstance(path, str) and path:
            source = beside(url, path)
            where = file_at(source)
        else:
            source = f"{url}#{number}"
            where = Nowhere(f"{source}: its column {audio!r} names no file")
        yield Recording(identity(row, named, path or source), source, without(row, named), where)


def separated_rows(url: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with text_file(url, newline="") as file:
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(lines, [])
            for fields in lines:
                if len(fields) != len(header):
                    raise XCodec2Error(
                        f"{url}, line {lines.line_num}: {len(fields)} fields where the header has {len(header)}; "
                        'a field that holds a separator, a line break or a " must be quoted'
                    )
                yield lines.line_num, dict(zip(header, fields, strict=True))
        except csv.Error as problem:
            raise XCodec2Error(
                f"{url}, line {lines.line_num}: {problem}; JSON lines need no quoting"
            ) from problem


def starts_within(row: Mapping[str, Any]) -> bool:
    """Whether the row means a segment of its file, as NeMo's and lhotse's lists do; the whole file
    would be wrong.
    """
    try:
        return float(row.get("offset") or 0) != 0
    except (TypeError, ValueError):  # the column says something else
        return False


def json_rows(url: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with text_file(url) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as problem:
                raise XCodec2Error(
                    f"{url}, line {number}: not JSON ({problem}); one object a line is read"
                ) from problem
            if not isinstance(row, dict):
                raise XCodec2Error(
                    f"{url}, line {number}: a {type(row).__name__}, not an object of columns"
                )
            yield number, row


def text_file(url: str, newline: str | None = None) -> Any:
    return fsspec.open(url, "rt", encoding="utf-8-sig", newline=newline, compression="infer")


def read_parquet(
    url: str, name: str, audio_column: str | None, id_column: str | None
) -> Iterator[Recording]:
    """Rows of a Parquet file whose audio column holds paths, bytes, or Hugging Face's struct.

    Only the other columns are read here. Without an id column a row is called `name#row`.
    """
    with parquet_file(url) as file:
        schema = file.schema_arrow
        audio = pick(schema.names, audio_column, audio_cells(schema) + AUDIO_COLUMNS, "audio", url)
        if audio is None:
            raise XCodec2Error(
                f"{url}: no column is called {', '.join(AUDIO_COLUMNS)}; name the one with the audio"
            )
        named = pick(schema.names, id_column, ID_COLUMNS, "id", url)
        paths = str(schema.field(audio).type) in ("string", "large_string", "string_view")
        light = [column for column in schema.names if paths or column != audio]
        number = 0
        for group in range(file.num_row_groups):
            position = 0
            for batch in file.iter_batches(
                ROWS_AT_ONCE, row_groups=[group], columns=light or [schema.names[0]]
            ):
                for row in batch.to_pylist():
                    row_name = f"{name}#{number}"
                    where: Place = ParquetCell(url, group, position, audio)
                    source = f"{url}#{number}"
                    if starts_within(row):
                        where = Nowhere(f"{source}: {SEGMENTS}")
                    elif paths and row[audio]:
                        source = beside(url, row[audio])
                        where, row_name = file_at(source), row[audio]
                    yield Recording(
                        identity(row, named, row_name), source, without(row, named), where
                    )
                    number, position = number + 1, position + 1


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
    value = row[column] if column is not None else None
    return otherwise if value is None or value == "" else str(value)


def without(row: Mapping[str, Any], column: str | None) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != column}
