"""What a SOURCE is: found out once, then read row by row in an order that is always the same."""

from __future__ import annotations

import os
import re
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import fsspec

from xcodec2.audio.suffixes import AUDIO_SUFFIXES
from xcodec2.corpus import tables
from xcodec2.corpus.manifest import (
    ID_COLUMNS,
    TEXT_KINDS,
    identity,
    pick,
    read_parquet,
    read_text_manifest,
    without,
)
from xcodec2.corpus.recording import DatasetCell, Recording, file_at
from xcodec2.corpus.tars import read_tar
from xcodec2.errors import XCodec2Error

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
SAVED_DATASET = (
    "dataset_dict.json",
    "state.json",
)  # what `datasets` writes into the folders that it saves
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def read_corpus(
    source: str | os.PathLike[str],
    *,
    audio_column: str | None = None,
    id_column: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    channel: int | None = None,
) -> Iterator[Recording]:
    """Recordings of `source`, lazily, in a fixed order, in memory that does not grow with their
    number.

    `source` is on any fsspec file system (a path, s3://, gs://, hf://, …) and is one of

    - an audio file, or a folder (searched to all depths) or glob of them; the id is the path below the folder;
    - a manifest .tsv, .csv, .jsonl (also .gz) or .parquet: paths in it are relative to it, its columns are carried
      along. A row whose `offset` is not 0 means a segment of its file: it cannot be loaded, and the error says so.
      The audio column is found by name (`audio`, `path`, …) or given; so is the id column (`id`, `key`, …),
      without one the id is the path as written;
    - Parquet files, one, a folder or a glob, that hold the audio themselves; without an id column: `file#row`;
    - WebDataset tars, one, a folder or a glob; the id is `tar/key`;
    - a data set: a folder saved by `datasets`, or a Hub id, with `subset` and `split` where it has several.

    `channel`: the one to take of each, from 0; None averages them. A warning counts the files of a
    folder that were left out, by suffix.

    Raises XCodec2Error for what is missing or mixed, and for an id that comes twice.
    """
    name = os.fspath(source)
    recordings = unique(expand(name, audio_column, id_column, subset, split), name)
    if channel is None:
        return recordings
    return (replace(recording, channel=channel) for recording in recordings)


def expand(
    source: str,
    audio_column: str | None,
    id_column: str | None,
    subset: str | None,
    split: str | None,
) -> Iterator[Recording]:
    fs, path = fsspec.url_to_fs(source)
    files: Iterator[str]
    if any(mark in path for mark in "*?[") and not fs.exists(path):
        root = re.split(r"[*?[]", path, maxsplit=1)[0].rpartition("/")[0]
        files = (file for file in sorted(fs.glob(path)) if "/." not in file[len(root) :])
    elif fs.isdir(path):
        if tables.is_local(fs) and any(os.path.isfile(f"{path}/{name}") for name in SAVED_DATASET):
            yield from read_dataset(path, audio_column, id_column, subset, split)
            return
        root, files = path.rstrip("/"), known_files(fs, path, source)
    elif fs.exists(path):
        root, files = path.rpartition("/")[0], iter([path])
    elif HUB_ID.fullmatch(source):
        yield from read_dataset(source, audio_column, id_column, subset, split)
        return
    else:
        raise XCodec2Error(f"{source}: no such file, folder or data set")
    empty = True
    for file in files:
        for recording in read_file(
            fs, file, file[len(root) :].lstrip("/"), audio_column, id_column
        ):
            empty = False
            yield recording
    if empty:
        raise XCodec2Error(
            f"{source}: holds no recordings; a folder is searched for {' '.join(sorted(AUDIO_SUFFIXES))}"
        )


def kind_of(path: str) -> str:
    """The suffix that says what a file is, in lower case, that of a compression left out."""
    stem, suffix = os.path.splitext(path.lower())
    return os.path.splitext(stem)[1] if suffix in COMPRESSED else suffix


def known_files(fs: Any, folder: str, source: str) -> Iterator[str]:
    """Audio files, tars or Parquet files of a folder, in order; hidden ones are left out. Raises
    when kinds are mixed.

    Text manifests beside the audio are left to be named themselves: read as well, they would double
    every row.
    """
    first = None
    left_out: Counter[str] = Counter()
    for parent, folders, files in fs.walk(folder, detail=False, on_error="raise"):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            suffix = kind_of(name)
            kind = "audio" if suffix in AUDIO_SUFFIXES else suffix
            if name.startswith("."):
                continue
            if kind not in ("audio", ".tar", ".parquet"):
                left_out[suffix] += 1
                continue
            first = first or kind
            if kind != first:
                raise XCodec2Error(
                    f"{source}: holds {first} and {kind} files; give a glob of the one to read"
                )
            yield f"{parent.rstrip('/')}/{name}"
    if left_out:
        warnings.warn(f"{source}: left out {counted(left_out)}: no suffix of audio", stacklevel=2)


def counted(suffixes: Counter[str]) -> str:
    """How many files have which suffix, in words."""
    kinds = [
        f"{count} {printable(suffix) or 'without a suffix'}"
        for suffix, count in sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    ]
    total = suffixes.total()
    return f"{total} file{'s' if total > 1 else ''} ({', '.join(kinds)})"


def read_file(
    fs: Any, path: str, name: str, audio_column: str | None, id_column: str | None
) -> Iterator[Recording]:
    """What one file holds. `name` is its path below the corpus' root."""
    url = path if tables.is_local(fs) else fs.unstrip_protocol(path)
    kind = kind_of(path)
    if kind in TEXT_KINDS:
        yield from read_text_manifest(url, kind, audio_column, id_column)
    elif kind == ".parquet":
        yield from read_parquet(url, name, audio_column, id_column)
    elif kind == ".tar":
        yield from read_tar(url, name.removesuffix(".tar"), AUDIO_SUFFIXES, audio_column, id_column)
    else:
        yield Recording(printable(name), printable(url), {}, file_at(url))


def printable(name: str) -> str:
    """File names may hold bytes that are no UTF-8; tables of text may not."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_dataset(
    name: str,
    audio_column: str | None,
    id_column: str | None,
    subset: str | None,
    split: str | None,
) -> Iterator[Recording]:
    """Rows of a data set that `datasets` opens.

    Without an id column a row is called `split#row`.
    """
    rows = tables.dataset(name, subset, split)
    cells = tuple(c for c, feature in rows.features.items() if type(feature).__name__ == "Audio")
    audio = pick(rows.column_names, audio_column, (*cells, "audio", "path", "file"), "audio", name)
    if audio is None:
        raise XCodec2Error(f"{name}: has no audio column, only {', '.join(rows.column_names)}")
    named = pick(rows.column_names, id_column, ID_COLUMNS, "id", name)
    called = split or str(rows.split or "row")
    light = rows.remove_columns([audio])
    for number in range(len(rows)):
        row = light[number] if light.column_names else {}
        cell = DatasetCell(name, subset, split, number, audio)
        yield Recording(
            identity(row, named, f"{called}#{number}"),
            f"{name}#{called}#{number}",
            without(row, named),
            cell,
        )


def unique(recordings: Iterator[Recording], source: str) -> Iterator[Recording]:
    """Pass them on; raise at an id that was there before. Those seen lie in SQLite's temporary
    file, not in memory.
    """
    # a reader that is left half-way may be cleared away by another thread than began it
    with closing(sqlite3.connect("", check_same_thread=False)) as seen:
        seen.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, source TEXT) WITHOUT ROWID")
        for recording in recordings:
            try:
                seen.execute("INSERT INTO ids VALUES (?, ?)", (recording.id, recording.source))
            except sqlite3.IntegrityError as problem:
                (other,) = seen.execute(
                    "SELECT source FROM ids WHERE id = ?", (recording.id,)
                ).fetchone()
                raise XCodec2Error(
                    f"{source}: two recordings have the id {recording.id!r}: {other} and {recording.source}; "
                    "make them differ, or name another column as the id"
                ) from problem
            yield recording
