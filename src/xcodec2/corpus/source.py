"""What a SOURCE is: found out once, then read row by row in an order that is always the same."""

from __future__ import annotations

import os
import re
import sqlite3
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import fsspec

from xcodec2.audio.suffixes import AUDIO_SUFFIXES
from xcodec2.corpus import tables
from xcodec2.corpus.extraction import IDENTITY, recorded_source
from xcodec2.corpus.kaldi import read_kaldi
from xcodec2.corpus.lists import TEXT_KINDS, read_text_manifest
from xcodec2.corpus.manifest import embedded_audio, named_row, pick, read_parquet
from xcodec2.corpus.options import Options
from xcodec2.corpus.parts import on_channel
from xcodec2.corpus.recording import DatasetCell, Recording, file_at, utf8_name
from xcodec2.corpus.tars import read_tar
from xcodec2.corpus.times import Times
from xcodec2.errors import XCodec2Error

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
SAVED_DATASET = (
    "dataset_dict.json",
    "state.json",
)  # what `datasets` writes into the folders that it saves
REPORT = {"report.html", "rows.parquet"}  # what an evaluation writes into its folder
DATASET_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


def read_corpus(
    source: str | os.PathLike[str],
    *,
    audio_column: str | None = None,
    id_column: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    encoding: str | None = None,
    segments: str = "auto",
    remote: bool = True,
    channel: int | None = None,
) -> Iterator[Recording]:
    """Recordings of `source`, lazily, in a fixed order, in memory that does not grow with their
    number.

    `source` is on any fsspec file system (a path, s3://, gs://, hf://, …) and is one of

    - an audio file, or a folder (searched to all depths) or glob of them; the id is the path below
      the folder;
    - a manifest: .tsv, .csv, .jsonl (also .gz), .parquet, a .txt list of paths, LJSpeech's
      metadata.csv, lhotse's recordings, supervisions or cuts: paths in it are relative to it, its
      columns are carried along. The audio column is found by name (`audio`, `path`, …) or given; so
      is the id column (`id`, `key`, …), without one the id is the path as written. A row that says
      where its part of the file starts (`start` and `end`, `offset` and `duration`, …) is that
      part;
    - a folder with Kaldi's wav.scp, or the wav.scp;
    - Parquet files, one, a folder or a glob, that hold the audio themselves; without an id column:
      `file#row`;
    - a folder of tokens that `xcodec2 extract` wrote: the recordings that they were made of;
    - WebDataset tars, one, a folder or a glob; the id is `tar/key`;
    - a data set: a folder saved by `datasets`, or a Hub id, with `subset` and `split` where it has
      several.

    A warning counts the files of a folder that were left out, by suffix.

    Args:
        source: a path or URL.
        audio_column: of a manifest or data set, where its name does not tell.
        id_column: whose values name the recordings.
        subset: of a Hugging Face data set.
        split: of a Hugging Face data set.
        encoding: of text manifests, UTF-8 when not given.
        segments: the unit of columns such as `start` whose names do not tell it: "seconds",
            "milliseconds", "samples", or "auto", which finds it out; "none" reads whole files.
        remote: whether a manifest may name URLs. One from a stranger can name http:// and file://
            addresses; with False these become recordings that cannot be read.
        channel: the one to take of each, from 0; None averages them. Rows that name channels
            themselves keep those.

    Raises:
        XCodec2Error: for what is missing or mixed, and for an id that comes twice.
    """
    name = os.fspath(source)
    options = Options(audio_column, id_column, subset, split, encoding, segments, remote)
    recordings = unique(expand(name, options), name)
    return recordings if channel is None else (on_channel(r, channel) for r in recordings)


def expand(source: str, options: Options) -> Iterator[Recording]:
    """The recordings of one source: of a folder, a glob, a table, an archive or a data set.

    Raises:
        XCodec2Error: It holds none, or cannot be read.
    """
    source, options = behind_extractions(source, options)
    fs, path = fsspec.url_to_fs(source)
    files: Iterator[str]
    if any(mark in path for mark in "*?[") and not fs.exists(path):
        root = re.split(r"[*?[]", path, maxsplit=1)[0].rpartition("/")[0]
        files = (
            file
            for file in sorted(fs.glob(path))
            if "/." not in file[len(root) :] and not is_tokens(fs, file)
        )
    elif fs.isdir(path):
        if tables.is_local(fs) and any(os.path.isfile(f"{path}/{name}") for name in SAVED_DATASET):
            yield from read_dataset(path, options)
            return
        if fs.exists(f"{path.rstrip('/')}/wav.scp"):
            yield from read_file(fs, f"{path.rstrip('/')}/wav.scp", "wav.scp", options)
            return
        root, files = path.rstrip("/"), known_files(fs, path, source)
    elif fs.exists(path):
        root, files = path.rpartition("/")[0], iter([path])
    elif DATASET_ID.fullmatch(source):
        yield from read_dataset(source, options)
        return
    else:
        raise XCodec2Error(f"{source}: no such file, folder or data set")
    empty = True
    for file in files:
        for recording in read_file(fs, file, file[len(root) :].lstrip("/"), options):
            empty = False
            yield recording
    if empty:
        raise XCodec2Error(
            f"{source}: holds no recordings; a folder is searched for "
            f"{' '.join(sorted(AUDIO_SUFFIXES))}"
            f"{manifests_in(fs, path)}"
        )


def behind_extractions(source: str, options: Options) -> tuple[str, Options]:
    """The corpus that a folder of tokens was made of, and how it was read; others as they are.

    Raises:
        XCodec2Error: That corpus cannot be read from here.
    """
    passed = [source]
    while "*" not in source and (found := recorded_source(*fsspec.url_to_fs(source))):
        source = found["source"]
        if options == Options():
            given = found.get("reading")
            texts = {field.name for field in fields(options)} - {"remote"}
            kinds = dict.fromkeys(texts, str) | {"remote": bool}
            if isinstance(given, dict) and all(
                isinstance(value, kinds.get(name, ())) for name, value in given.items()
            ):
                options = replace(options, **given)
        fs, path = fsspec.url_to_fs(source)
        there = (
            fs.exists(path) or any(mark in path for mark in "*?[") or DATASET_ID.fullmatch(source)
        )
        if source in passed or not there or ("://" in source and not options.remote):
            raise XCodec2Error(
                f"{passed[-1]}: its tokens were made of {source}, which cannot be read from here; "
                "name the recordings themselves"
            )
        passed.append(source)
    return source, options


def manifests_in(fs: Any, path: str) -> str:
    """A hint, where a folder holds manifests: they are read when they are named themselves."""
    if not fs.isdir(path):
        return ""
    names = sorted(entry.rpartition("/")[2] for entry in fs.ls(path, detail=False))
    found = [name for name in names if kind_of(name) in TEXT_KINDS]
    return f"; name one of its manifests: {', '.join(found[:5])}" if found else ""


def kind_of(path: str) -> str:
    """The suffix that says what a file is, in lower case, that of a compression left out."""
    stem, suffix = os.path.splitext(path.lower())
    return os.path.splitext(stem)[1] if suffix in COMPRESSED else suffix


def known_files(fs: Any, folder: str, source: str) -> Iterator[str]:
    """Audio files, tars or Parquet files of a folder, in order; hidden ones are left out. Raises
    when kinds are mixed.

    Text manifests beside the audio are left to be named themselves: read as well, they would double
    every row. So are the folders that extractions and evaluations have written to: they hold tokens
    and rows, and may well lie below the audio.

    Raises:
        XCodec2Error: It holds files of several kinds.
    """
    first = None
    left_out: Counter[str] = Counter()
    for parent, folders, files in fs.walk(folder, detail=False, on_error="raise"):
        made_here = IDENTITY in files or REPORT.issubset(files)
        if made_here and parent.rstrip("/") != folder.rstrip("/"):
            folders[:] = []
            continue
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
        f"{count} {utf8_name(suffix) or 'without a suffix'}"
        for suffix, count in sorted(suffixes.items(), key=lambda item: (-item[1], item[0]))
    ]
    total = suffixes.total()
    return f"{total} file{'s' if total > 1 else ''} ({', '.join(kinds)})"


def is_tokens(fs: Any, path: str) -> bool:
    """Whether a file is a shard that an extraction has written."""
    data, _, name = path.rpartition("/")
    return bool(
        name.endswith(".parquet")
        and data.endswith("/data")
        and fs.exists(f"{data.rpartition('/')[0]}/{IDENTITY}")
    )


def read_file(fs: Any, path: str, name: str, options: Options) -> Iterator[Recording]:
    """What one file holds. `name` is its path below the corpus' root."""
    url = path if tables.is_local(fs) else fs.unstrip_protocol(path)
    kind = kind_of(path)
    if kind in TEXT_KINDS:
        yield from read_text_manifest(url, kind, options)
    elif kind == ".parquet":
        yield from read_parquet(url, name, options)
    elif kind == ".tar":
        yield from read_tar(url, name.removesuffix(".tar"), AUDIO_SUFFIXES, options)
    elif kind == ".scp":
        yield from read_kaldi(url, options)
    else:
        yield Recording(utf8_name(name), utf8_name(url), {}, file_at(url))


def read_dataset(name: str, options: Options) -> Iterator[Recording]:
    """Rows of a data set that `datasets` opens.

    Without an id column a row is called `split#row`.

    Raises:
        XCodec2Error: No column holds audio.
    """
    subset, split = options.subset, options.split
    rows = tables.dataset(name, subset, split)
    cells = tuple(c for c, feature in rows.features.items() if type(feature).__name__ == "Audio")
    known = (*cells, "audio", "path", "file")
    audio = pick(rows.column_names, options.audio_column, known, "audio", name)
    if audio is None:
        raise XCodec2Error(f"{name}: has no audio column, only {', '.join(rows.column_names)}")
    called = split or str(rows.split or "row")
    light = rows.remove_columns([audio])
    times = Times(options.segments, lambda: light)
    for number in range(len(rows)):
        row = light[number] if light.column_names else {}
        cell = DatasetCell(name, subset, split, number, audio, options.remote)
        source = f"{name}#{called}#{number}"
        place, duration = embedded_audio(cell, row, times, source)
        yield named_row(name, row, f"{called}#{number}", source, place, options, duration)


def unique(recordings: Iterator[Recording], source: str) -> Iterator[Recording]:
    """Pass them on; raise at an id that was there before, unless it was made up here. Those seen
    lie in SQLite's temporary file, not in memory.

    Raises:
        XCodec2Error: Two recordings have one id.
    """
    # a reader that is left half-way may be cleared away by another thread than began it
    with closing(sqlite3.connect("", check_same_thread=False)) as seen:
        seen.execute(
            "CREATE TABLE ids (id TEXT PRIMARY KEY, source TEXT, times INTEGER) WITHOUT ROWID"
        )
        for recording in recordings:
            if not recording.id.isascii() and utf8_name(recording.id) != recording.id:
                recording = replace(recording, id=utf8_name(recording.id))
            if not is_new(seen, recording):
                if recording.second_id is None:
                    (other,) = seen.execute(
                        "SELECT source FROM ids WHERE id = ?", (recording.id,)
                    ).fetchone()
                    raise XCodec2Error(
                        f"{source}: two recordings have the id {recording.id!r}: {other} and "
                        f"{recording.source}; "
                        "make them differ, or name another column as the id"
                    )
                recording = numbered(seen, recording, utf8_name(recording.second_id))
            yield recording


def is_new(seen: sqlite3.Connection, recording: Recording) -> bool:
    """Note the id of a recording; False when it was there before."""
    values = (recording.id, recording.source)
    return seen.execute("INSERT OR IGNORE INTO ids VALUES (?, ?, 1)", values).rowcount > 0


def numbered(seen: sqlite3.Connection, recording: Recording, name: str) -> Recording:
    """The recording with `name` as its id, or `name#2`, `name#3`, … in the order of the rows."""
    found = replace(recording, id=name)
    while not is_new(seen, found):
        seen.execute("UPDATE ids SET times = times + 1 WHERE id = ?", (name,))
        (times,) = seen.execute("SELECT times FROM ids WHERE id = ?", (name,)).fetchone()
        found = replace(recording, id=f"{name}#{times}")
    return found
