"""Tables that hold audio in their cells: the last one opened stays open, since rows are mostly read
in order.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from xcodec2 import extras
from xcodec2.errors import XCodec2Error

BINARY = ("binary", "large_binary", "fixed_size_binary")  # types of Arrow, as it writes them


def is_local(fs: Any) -> bool:
    """Whether a file system is this machine's."""
    return isinstance(fs, LocalFileSystem)


def beside(table: str, path: str) -> str:
    """`path` as written in `table`: a URL or an absolute path as it is, else relative to the
    table's folder.
    """
    if "://" in path or os.path.isabs(path):
        return path
    folder = table.rpartition("/")[0]
    return os.path.normpath(f"{folder}/{path}") if "://" not in table else f"{folder}/{path}"


def parquet_file(url: str) -> Any:
    """The file, its metadata read. Raises XCodec2Error."""
    with readable(url):
        return open_parquet(*fsspec.url_to_fs(url))


def open_parquet(fs: Any, path: str) -> Any:
    """The Parquet file `path` of `fs`; it is to be read with `use_threads=False`.

    Arrow's threads must hold nothing of Python's: they let go of it when they like, and one that
    does so while Python ends aborts the process. A local file is therefore opened by Arrow itself,
    and another one read in the caller's thread.
    """
    parquet = require_extract("pyarrow.parquet")
    if is_local(fs):
        # as bytes, since a file name need not be UTF-8
        return parquet.ParquetFile(require_extract("pyarrow").OSFile(os.fsencode(path)))
    return parquet.ParquetFile(fs.open(path, "rb"), pre_buffer=False)


def light_rows(
    file: Any, group: int, columns: Sequence[str], name: str, batch_size: int
) -> Iterator[dict[str, Any]]:
    """Rows of one row group with `columns` alone, in order; empty ones where there are none.

    Binary columns are left out, and of columns with one name all but the last; both are told.
    """
    schema = file.schema_arrow
    kept: list[str] = []
    binary: list[str] = []
    for column in dict.fromkeys(columns):
        field = schema.field(schema.get_all_field_indices(column)[-1])
        (binary if str(field.type).startswith(BINARY) else kept).append(column)
    if binary:
        warnings.warn(
            f"{name}: bytes cannot be carried along; without {', '.join(binary)}", stacklevel=2
        )
    tell_doubled(name, [c for c in columns if len(schema.get_all_field_indices(c)) > 1])
    if not kept:
        yield from ({} for _ in range(file.metadata.row_group(group).num_rows))
        return
    for batch in file.iter_batches(batch_size, row_groups=[group], columns=kept, use_threads=False):
        values = [
            plain_times(batch.column(batch.schema.get_all_field_indices(column)[-1])).to_pylist()
            for column in kept
        ]
        yield from (dict(zip(kept, row, strict=True)) for row in zip(*values, strict=True))


def tell_doubled(table: str, names: Sequence[str]) -> None:
    """Warn of columns that share a name: a row holds one value under it."""
    if names:
        said = ", ".join(repr(name) for name in dict.fromkeys(names))
        warnings.warn(
            f"{table}: several columns are called {said}; the last one is taken", stacklevel=2
        )


def plain_times(column: Any) -> Any:
    """Times in nanoseconds as what Python can hold: microseconds, else text; durations as seconds.

    Arrow needs pandas for the first and silently cuts times of day.
    """
    pa, pc = require_extract("pyarrow"), require_extract("pyarrow.compute")
    kind = column.type
    if pa.types.is_duration(kind):
        ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), float(ticks))
    if not (pa.types.is_timestamp(kind) or pa.types.is_time64(kind)) or kind.unit != "ns":
        return column
    timed = pa.types.is_timestamp(kind)
    try:
        return column.cast(pa.timestamp("us", kind.tz) if timed else pa.time64("us"))
    except pa.ArrowInvalid:
        text = column.cast(pa.string())
        return pc.replace_substring(text, " ", "T", max_replacements=1) if timed else text


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Whatever a file system or Parquet's reader raises, as one error that names the file.

    Raises:
        XCodec2Error: In place of what was raised within.
    """
    try:
        yield
    except XCodec2Error:
        raise
    except Exception as problem:
        said = " ".join(str(problem).split())
        raise XCodec2Error(f"{name}: not a readable Parquet file ({said})") from problem


@functools.lru_cache(maxsize=1)
def row_group(url: str, index: int, column: str) -> Any:
    """One column of one row group: what a Parquet reader has to fetch for a single cell anyway."""
    with parquet_file(url) as file:
        return file.read_row_group(index, columns=[column], use_threads=False)[column]


@functools.lru_cache(maxsize=1)
def dataset(name: str, subset: str | None, split: str | None) -> Any:
    """A data set saved by `datasets`, or one of the Hub, its audio left undecoded.

    Raises XCodec2Error.
    """
    datasets = require_extract("datasets")
    try:
        if os.path.isdir(name):
            found = datasets.load_from_disk(name)
        else:
            found = datasets.load_dataset(name, subset, split=split)
    except (OSError, ValueError) as problem:
        raise XCodec2Error(
            f"{name}: cannot be loaded as a data set ({' '.join(str(problem).split())})"
        ) from problem
    if isinstance(found, datasets.DatasetDict):
        wanted = split or (next(iter(found)) if len(found) == 1 else None)
        if wanted not in found:
            raise XCodec2Error(f"{name}: has the splits {', '.join(found)}; name one of them")
        found = found[wanted]
    for column, feature in found.features.items():
        if isinstance(feature, datasets.Audio):
            found = found.cast_column(column, datasets.Audio(decode=False))
    return found


def require_extract(module: str) -> Any:
    """A library of the extra `extract`, or MissingExtraError."""
    return extras.require(module, extra="extract", purpose="a data set")
