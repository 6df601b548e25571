"""Text manifests line by line, whatever their encoding, with the line in every complaint."""

from __future__ import annotations

import codecs
import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec

from xcodec2.corpus.tables import tell_doubled
from xcodec2.errors import XCodec2Error

MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@contextmanager
def text_file(url: str, encoding: str | None, newline: str | None = None) -> Iterator[Any]:
    """The file, uncompressed where its name says so. Raises XCodec2Error with the line that cannot
    be decoded.
    """
    try:
        with fsspec.open(
            url, "rt", encoding=encoding or "utf-8-sig", newline=newline, compression="infer"
        ) as file:
            yield file
    except UnicodeError as problem:
        raise XCodec2Error(undecodable(url, encoding, problem)) from problem


def undecodable(url: str, encoding: str | None, problem: UnicodeError) -> str:
    """The error's message for a text file that is not in the encoding expected: which line, and
    what to try.
    """
    with fsspec.open(url, "rb", compression="infer") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line[:2] in MARKS and not encoding:
                return f"{url}, line 1: is {MARKS[line[:2]]}, not UTF-8: give --encoding utf-16"
            try:
                line.decode(encoding or "utf-8")
            except UnicodeError as found:
                if encoding and codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
                    break  # whose lines do not end at the bytes that these were parted at
                byte = f"byte 0x{line[found.start]:02x}" if hasattr(found, "start") else str(found)
                return (
                    f"{url}, line {number}: not {encoding or 'UTF-8'} ({byte}); "
                    f"give its --encoding: latin-1, cp1252, utf-16, …"
                )
    return f"{url}: not {encoding or 'UTF-8'} ({problem}); give its --encoding"


def refuse_nul(text: str, url: str, number: int) -> None:
    """Stop at text that was read in the wrong encoding.

    Raises:
        XCodec2Error: The line holds a NUL character.
    """
    if "\0" in text:
        raise XCodec2Error(
            f"{url}, line {number}: holds NUL characters, as UTF-16 without a mark does when read "
            "as UTF-8: give --encoding utf-16-le or utf-16-be"
        )


def first_line(url: str, encoding: str | None) -> str:
    """The first line that is not empty, its line break left out."""
    with text_file(url, encoding) as file:
        for number, line in enumerate(file, 1):
            refuse_nul(line, url, number)
            if line.strip():
                return line.rstrip("\n")
    return ""


def numbered_lines(url: str, encoding: str | None) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not empty."""
    with text_file(url, encoding) as file:
        for number, line in enumerate(file, 1):
            refuse_nul(line, url, number)
            if line.strip():
                yield number, line.rstrip("\n")


def separated_rows(
    url: str, delimiter: str, encoding: str | None, header: list[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by line. `header`: of a file that has none itself. Between | nothing is quoted, as
    LJSpeech has it; else as Python's csv module does.

    Raises:
        XCodec2Error: A line has another number of fields, or cannot be parted.
    """
    csv.field_size_limit(sys.maxsize)  # the module's own 131,072 characters are less than a lyric
    quoting: Any = csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL
    with text_file(url, encoding, newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True, quoting=quoting)
        try:
            names = next(reader, []) if header is None else header
            refuse_nul(" ".join(names), url, 1)
            tell_doubled(url, [name for name in names if names.count(name) > 1])
            for fields in reader:
                if not fields:  # an empty line
                    continue
                if len(fields) != len(names):
                    raise XCodec2Error(
                        f"{url}, line {reader.line_num}: {len(fields)} fields where "
                        f"{'the first line' if header else 'the header'} has {len(names)}; "
                        'a field that holds a separator, a line break or a " must be quoted'
                    )
                yield reader.line_num, dict(zip(names, fields, strict=True))
        except csv.Error as problem:
            raise XCodec2Error(
                f"{url}, line {reader.line_num}: {problem}; JSON lines need no quoting"
            ) from problem


def json_rows(url: str, encoding: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line that is not empty.

    Raises:
        XCodec2Error: A line is no object of JSON.
    """
    for number, line in numbered_lines(url, encoding):
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
