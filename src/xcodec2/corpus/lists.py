"""Text manifests by their form: with a header, JSON lines, lists of paths, LJSpeech's pipes, the
lists of fairseq.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import fsspec

from xcodec2.corpus import lhotse
from xcodec2.corpus.manifest import AUDIO_COLUMNS, match, read_rows
from xcodec2.corpus.options import Options
from xcodec2.corpus.recording import Recording
from xcodec2.corpus.tables import beside
from xcodec2.corpus.text import first_line, json_rows, numbered_lines, separated_rows
from xcodec2.errors import XCodec2Error

JSON_KINDS = (".jsonl", ".ndjson", ".json")
DELIMITERS = {".tsv": "\t", ".csv": ","}
LIST_KINDS = (".txt", ".lst", ".list")
TEXT_KINDS = (*DELIMITERS, *JSON_KINDS, *LIST_KINDS)
# Where LJSpeech's audio lies, and where else people put it.
NAMED_PATHS = ("wavs/{}.wav", "{}", "{}.wav", "wavs/{}.flac", "{}.flac", "wavs/{}")
Rows = Iterator[tuple[int, dict[str, Any]]]


def read_text_manifest(url: str, kind: str, options: Options) -> Iterator[Recording]:
    """What a text manifest of any form holds; `kind` is its suffix."""
    if kind in JSON_KINDS:
        rows: Callable[[], Rows] = partial(json_rows, url, options.encoding)
        _, first = next(rows(), (0, {}))
        known = options.audio_column or match(tuple(first), AUDIO_COLUMNS)
        if not known and (reader := lhotse.reader_of(first)):
            yield from reader(url, options)
            return
    else:
        rows = form_of(url, kind, options)
    yield from read_rows(url, rows, options)


def form_of(url: str, kind: str, options: Options) -> Callable[[], Rows]:
    """How the rows are parted, as the first line tells."""
    first = first_line(url, options.encoding)
    known = (options.audio_column,) if options.audio_column else AUDIO_COLUMNS
    usual = DELIMITERS.get(kind)
    for delimiter in dict.fromkeys(d for d in (usual, "\t", "|", ";", ",") if d):
        header = fields_of(first, delimiter)
        if match(tuple(header), known) is not None and (usual or len(header) > 1):
            return partial(separated_rows, url, delimiter, options.encoding)
    if "|" in first:
        return partial(piped_rows, url, options, len(first.split("|")))
    if kind == ".tsv" and "\t" not in first and (rows := fairseq_rows(url, first, options)):
        return rows
    if usual:
        return partial(separated_rows, url, usual, options.encoding)
    return partial(listed_rows, url, options.encoding)


def fields_of(line: str, delimiter: str) -> list[str]:
    """The fields of a line; none where it is not whole."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:  # a field that goes on in the next line, or another delimiter
        return []


def listed_rows(url: str, encoding: str | None) -> Rows:
    """One path a line, and after a tab its text where there is one."""
    for number, line in numbered_lines(url, encoding):
        path, tab, text = line.partition("\t")
        yield number, {"path": path.strip()} | ({"text": text} if tab else {})


def piped_rows(url: str, options: Options, count: int) -> Rows:
    """LJSpeech's `id|text|normalized text`, or `path|text`, without a header."""
    names = ["id", "text", "normalized_text"][:count]
    header = [*names, *(f"field_{n}" for n in range(4, count + 1))]
    pattern = None
    for number, row in separated_rows(url, "|", options.encoding, header):
        if pattern is None:
            pattern = pattern_of(url, row["id"])
        yield number, {"path": pattern.format(row["id"])} | row


def pattern_of(url: str, name: str) -> str:
    """Where the audio of the first row is found; its name may have braces."""
    for pattern in NAMED_PATHS:
        fs, path = fsspec.url_to_fs(beside(url, pattern.format(name)))
        if fs.exists(path):
            return pattern
    return NAMED_PATHS["." in name]


def fairseq_rows(url: str, root: str, options: Options) -> Callable[[], Rows] | None:
    """The lists of wav2vec: a folder in the first line, then a path and its number of samples."""
    found = numbered_lines(url, options.encoding)
    next(found, None)
    second = next(found, (0, ""))[1].split("\t")
    if len(second) != 2 or not second[1].strip().isdigit():
        return None

    def rows() -> Rows:
        listed = numbered_lines(url, options.encoding)
        next(listed)
        for number, line in listed:
            path, tab, count = line.partition("\t")
            if not tab or not count.strip().isdigit():
                raise XCodec2Error(f"{url}, line {number}: not a path and its number of samples")
            yield number, {"path": f"{root.rstrip('/')}/{path}", "duration_samples": int(count)}

    return rows
