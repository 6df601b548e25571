"""An extraction opened for reading: the shards alone, whatever lies beside them."""

from __future__ import annotations

import functools
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec

from xcodec2.corpus.tables import is_local, open_parquet, readable
from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2.codes import Codes

SHARD = re.compile(r"codes-([0-9a-f]{16})\.parquet")
IDENTITY, SUMMARY = "extraction.json", "summary.json"  # beside the folder of shards
BATCH_ROWS = 256


def open_extraction(
    source: str | os.PathLike[str], columns: Sequence[str] = ("id", "codes")
) -> Extraction:
    """The shards of `source`, in the order of their names.

    Args:
        source: On any fsspec file system (a path, s3://, gs://, hf://, memory://, …): the folder
            that `xcodec2 extract` wrote (README.md, the JSON files and anything else beside the
            shards are passed over), its folder `data`, one shard, or a glob. A folder of other
            Parquet files is taken with all that are below it, hidden ones left out.
        columns: Names that must be there; the first shard is asked.

    Returns:
        The extraction. Nothing is kept open. One that was stopped before its end is opened with
        a warning, since rows are missing.

    Raises:
        XCodec2Error: when there is no such place, no Parquet in it, the first shard is damaged, or
            one of `columns` is missing.
    """
    name = os.fspath(source)
    try:
        fs, path = fsspec.url_to_fs(name)
        fs.invalidate_cache()
        paths = shard_paths(fs, path)
        home = identity_beside(fs, path)
    except XCodec2Error:
        raise
    except Exception as problem:  # every file system has errors of its own
        said = " ".join(str(problem).split())
        raise XCodec2Error(f"{name}: cannot be opened ({said})") from problem
    if paths is None:
        raise XCodec2Error(f"{name}: no such file or folder")
    if not paths:
        raise XCodec2Error(f"{name}: holds no Parquet; `xcodec2 extract SOURCE {name}` writes it")
    found = Extraction(name, fs, tuple(paths), home)
    for column in columns:
        if column not in found.columns:
            there = ", ".join(found.columns) or "none"
            raise XCodec2Error(f"{name}: has no column {column!r}; it has {there}")
    found.warn_if_unfinished()
    return found


@dataclass(frozen=True)
class Extraction:
    """A data set of tokens.

    Attributes:
        name: As it was opened.
        fs: The fsspec file system that it is on.
        paths: Of its shards, sorted.
        home: The folder of extraction.json; None for Parquet of other origin.
    """

    name: str
    fs: Any
    paths: tuple[str, ...]
    home: str | None = None

    @functools.cached_property
    def columns(self) -> list[str]:
        """Names of the columns, as the first shard has them."""
        return self._first[0]

    @functools.cached_property
    def facts(self) -> dict[str, str]:
        """What the first shard says of the codec; see `Shard.facts`."""
        return self._first[1]

    @functools.cached_property
    def _first(self) -> tuple[list[str], dict[str, str]]:
        with self.open_shard(self.paths[0]) as shard:
            return shard.columns, shard.facts

    def count_rows(self) -> int:
        """Rows of all shards, those with errors included; reads each shard's footer."""
        return sum(shard.num_rows for shard in self.shards())

    def shards(self) -> Iterator[Shard]:
        """Each shard in turn, open until the next one is asked for."""
        for path in self.paths:
            with self.open_shard(path) as shard:
                yield shard

    @contextmanager
    def open_shard(self, path: str) -> Iterator[Shard]:
        """Open one shard, for as long as the block lasts.

        Args:
            path: One of `paths`.

        Raises:
            XCodec2Error: It cannot be read.
        """
        name = path if is_local(self.fs) else self.fs.unstrip_protocol(path)
        with readable(name):
            file = open_parquet(self.fs, path)
        try:
            yield Shard(name, file)
        finally:
            file.close(force=True)

    def load(self, id: str) -> Codes:
        """The codes of one row, as `Codes.load` gives those of a file.

        Args:
            id: Of the row.

        Raises:
            XCodec2Error: When there is no such row, or it holds an error and no codes.
        """
        for shard in self.shards():
            if (row := shard.find(id)) is not None:
                if row.get("error") or not row["codes"]:
                    why = row.get("error") or "the row is empty"
                    raise XCodec2Error(f"{self.name}: the row {id!r} has no codes: {why}")
                return shard.codes(row)
        raise XCodec2Error(f"{self.name}: has no row with the id {id!r}")

    def warn_if_unfinished(self) -> None:
        """Rows that are not there yet are told, as far as the folder knows."""
        if self.home is None:
            return
        summary = read_json_or_empty(self.fs, f"{self.home}/{SUMMARY}")
        expected = summary.get("shards")
        if expected == len(self.paths):
            return
        count = f"{len(self.paths)} of {expected}" if expected else f"{len(self.paths)}"
        warnings.warn(
            f"{self.name}: the extraction is not finished ({count} shards are there); "
            "run the same `xcodec2 extract` again for the rows that are missing",
            stacklevel=3,
        )


class Shard:
    """One Parquet file of an extraction, open."""

    def __init__(self, name: str, file: Any) -> None:
        self.name, self.file = name, file

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.file.schema_arrow.names)

    @property
    def num_rows(self) -> int:
        """How many rows there are, those with errors included."""
        return int(self.file.metadata.num_rows)

    @property
    def facts(self) -> dict[str, str]:
        """model, weights_hash, version, frame_rate, codebook_size and frames of the codec, as far
        as the file says them.
        """
        said = self.file.schema_arrow.metadata or {}
        return {
            key.decode().removeprefix("xcodec2."): value.decode()
            for key, value in said.items()
            if key.startswith(b"xcodec2.")
        }

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Read the whole shard.

        Args:
            columns: Names; None reads all.

        Returns:
            A pyarrow.Table.

        Raises:
            XCodec2Error: The shard is damaged or lacks a column.
        """
        with readable(self.name):
            return self.file.read(columns=self.present(columns), use_threads=False)

    def rows(
        self, columns: Sequence[str] | None = None, batch_size: int = BATCH_ROWS
    ) -> Iterator[dict[str, Any]]:
        """Rows in order.

        Args:
            columns: Names; None reads all.
            batch_size: Rows in memory at a time.

        Yields:
            Each row as a dictionary.

        Raises:
            XCodec2Error: The shard is damaged or lacks a column.
        """
        with readable(self.name):
            batches = self.file.iter_batches(
                batch_size, columns=self.present(columns), use_threads=False
            )
        while True:
            with readable(self.name):
                batch = next(batches, None)
            if batch is None:
                return
            yield from batch.to_pylist()

    def find(self, id: str) -> dict[str, Any] | None:
        """Look up a row; only the column of ids is read to find it.

        Args:
            id: Of the row.

        Returns:
            The row as a dictionary; None when it is not in this shard.
        """
        ids = [str(value) for value in self.table(["id"])["id"].to_pylist()]
        return self.table().slice(ids.index(id), 1).to_pylist()[0] if id in ids else None

    def codes(self, row: dict[str, Any]) -> Codes:
        """The codes of a row, with what the shard says of the codec.

        Args:
            row: As `rows` and `find` give it.

        Raises:
            CodesError: The row holds no codes.
        """
        from xcodec2.codes import Codes

        facts = self.facts
        return Codes(
            row["codes"],
            num_samples=row.get("num_samples"),
            sample_rate=row.get("sample_rate"),
            frame_rate=int(float(facts.get("frame_rate", 50))),
            codebook_size=int(facts.get("codebook_size", 65_536)),
            model=facts.get("model"),
            weights_hash=facts.get("weights_hash"),
        )

    def present(self, columns: Sequence[str] | None) -> list[str] | None:
        """`columns`, all of which this shard has; the first shard was not asked for the others.

        Raises:
            XCodec2Error: This shard lacks one of them.
        """
        missing = [column for column in columns or () if column not in self.columns]
        if missing:
            there = ", ".join(self.columns) or "none"
            raise XCodec2Error(f"{self.name}: has no column {missing[0]!r}; it has {there}")
        return list(columns) if columns is not None else None


def shard_paths(fs: Any, path: str) -> list[str] | None:
    """The Parquet files that `path` means, sorted; None when nothing is there."""
    if any(mark in path for mark in "*?[") and not fs.exists(path):
        return sorted(fs.glob(path))
    if fs.isfile(path):
        return [path]
    if not fs.isdir(path):
        return None
    folder = path.rstrip("/")
    for place in (f"{folder}/data", folder):
        if fs.isdir(place):
            files = fs.ls(place, detail=False)
            shards = [file for file in files if SHARD.fullmatch(file.rpartition("/")[2])]
            if shards:
                return sorted(shards)
    return sorted(
        file for file in fs.find(folder) if file.endswith(".parquet") and not hidden(file, folder)
    )


def hidden(file: str, folder: str) -> bool:
    """Names that begin with a dot or `_`, which readers of Parquet folders leave out."""
    return any(part.startswith((".", "_")) for part in file[len(folder) :].split("/"))


def identity_beside(fs: Any, path: str) -> str | None:
    """The folder with extraction.json when `path` means a whole extraction."""
    folder = path.rstrip("/")
    for home in (folder, folder.rpartition("/")[0] if folder.endswith("/data") else ""):
        if home and fs.isfile(f"{home}/{IDENTITY}"):
            return home
    return None


def recorded_source(fs: Any, path: str) -> dict[str, Any] | None:
    """What an extraction's folder, or its `data`, says of the corpus it was made of: `source`, and
    under `reading` the options of `read_corpus` that were given. None for any other place.
    """
    home = identity_beside(fs, path)
    found = read_json_or_empty(fs, f"{home}/{IDENTITY}") if home else {}
    return found if isinstance(found.get("source"), str) else None


def read_json_or_empty(fs: Any, path: str) -> dict[str, Any]:
    """An object of JSON; empty when it is missing or damaged: it only describes."""
    try:
        content = json.loads(fs.cat_file(path))
    except Exception:  # every file system has errors of its own
        return {}
    return content if isinstance(content, dict) else {}
