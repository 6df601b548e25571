"""Tables that hold audio in their cells: the last one opened stays open, since rows are mostly read
in order.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from xcodec2 import extras
from xcodec2.errors import XCodec2Error


def is_local(fs: Any) -> bool:
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
    parquet = require("pyarrow.parquet")
    fs, path = fsspec.url_to_fs(url)
    try:
        return parquet.ParquetFile(fs.open(path, "rb"))
    except (OSError, ValueError) as problem:  # pyarrow's own errors are of both families
        raise XCodec2Error(f"{url}: not a readable Parquet file ({problem})") from problem


@functools.lru_cache(maxsize=1)
def row_group(url: str, index: int, column: str) -> Any:
    """One column of one row group: what a Parquet reader has to fetch for a single cell anyway."""
    with parquet_file(url) as file:
        return file.read_row_group(index, columns=[column])[column]


@functools.lru_cache(maxsize=1)
def dataset(name: str, subset: str | None, split: str | None) -> Any:
    """A data set saved by `datasets`, or one of the Hub, its audio left undecoded.

    Raises XCodec2Error.
    """
    datasets = require("datasets")
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


def require(module: str) -> Any:
    """A library of the extra `extract`, or MissingExtraError."""
    return extras.require(module, extra="extract", purpose="a data set")
