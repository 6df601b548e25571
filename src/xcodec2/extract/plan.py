"""The work cut into units: runs of rows, each keyed by its content, that become one shard."""

from __future__ import annotations

import hashlib
import json
import pickle
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any

from xcodec2.corpus import Recording
from xcodec2.extract.columns import INT64, Carried

FORMAT = 1  # of the shards; a new one gives new keys
OWN_COLUMNS = ("id", "source", "codes", "num_samples", "sample_rate", "duration", "error")
PARTS_TOGETHER = 10  # times the rows of a unit: a longer file is decoded once for each so many


@dataclass(frozen=True)
class Unit:
    """Rows that are done or not done as a whole; `key` is a digest of all that decides their
    shard.
    """

    key: str
    recordings: list[Recording]


class Plan(AbstractContextManager["Plan"]):
    """All rows of a corpus, read once and kept in a temporary file, so that memory does not grow
    with their number.

    columns: name in the shards → type of every column that the corpus carries along: boolean,
    integer, number or text.
    """

    def __init__(
        self, recordings: Iterable[Recording], rows: int, identity: Mapping[str, Any]
    ) -> None:
        self.spool = tempfile.TemporaryFile()  # noqa: SIM115  # nameless, ours alone, closed by close()
        self.rows = self.units = 0
        self.identity = identity
        kinds: dict[str, set[str]] = {}
        carried = Carried()
        for group in unit_groups(gathered(recordings), rows):
            group = [carried.of(recording) for recording in group]
            for recording in group:
                for name, value in recording.columns.items():
                    kinds.setdefault(name, set()).update(kind(value))
            pickle.dump(group, self.spool)
            self.rows += len(group)
            self.units += 1
        carried.tell()
        self.changed = sorted(carried.changed)
        self.names = {name: shard_name(name, kinds) for name in kinds}
        self.columns = {
            self.names[name]: column_type(found) for name, found in sorted(kinds.items())
        }

    def __iter__(self) -> Iterator[Unit]:
        self.spool.seek(0)
        for _ in range(self.units):
            group = pickle.load(self.spool)
            after = self.spool.tell()
            yield Unit(self.key(group), group)
            self.spool.seek(after)  # two loops over one plan may take turns

    def key(self, group: list[Recording]) -> str:
        """16 hex digits over all that makes the shard what it is."""
        facts = [FORMAT, self.identity, self.columns]
        # dates were once written in quotation marks: columns of such types give other keys
        digest = hashlib.sha256(dump([*facts, self.changed] if self.changed else facts))
        for recording in group:
            digest.update(dump([recording.id, recording.source, dict(recording.columns)]))
        return digest.hexdigest()[:16]

    def __exit__(self, *_: object) -> None:
        self.spool.close()


def gathered(recordings: Iterable[Recording]) -> Iterator[Recording]:
    """The recordings that are files in their order, then the parts of each file together, so that
    it is decoded once. Parts wait in SQLite's temporary file.
    """
    with closing(sqlite3.connect("", check_same_thread=False)) as waiting:
        waiting.execute("CREATE TABLE files (name TEXT PRIMARY KEY, number INTEGER)")
        waiting.execute("CREATE TABLE parts (file INTEGER, number INTEGER, recording BLOB)")
        files = parts = 0
        for recording in recordings:
            if recording.file is None:
                yield recording
                continue
            name = repr(recording.file)
            added = waiting.execute("INSERT OR IGNORE INTO files VALUES (?, ?)", (name, files))
            files += added.rowcount
            row = (parts, pickle.dumps(recording), name)
            waiting.execute("INSERT INTO parts SELECT number, ?, ? FROM files WHERE name = ?", row)
            parts += 1
        if parts:
            in_order = "SELECT recording FROM parts ORDER BY file, number"
            yield from (pickle.loads(packed) for (packed,) in waiting.execute(in_order))


def unit_groups(recordings: Iterable[Recording], rows: int) -> Iterator[list[Recording]]:
    """Runs of rows/2 … 2·rows, `rows` on average, that end where the content says.

    A row that is added or removed then changes the unit that it is in, and not all that follow. The
    parts of one file stay together, up to PARTS_TOGETHER·rows of them.
    """
    group: list[Recording] = []
    due = False
    for recording in recordings:
        apart = not group or recording.file is None or recording.file != group[-1].file
        if due and (apart or len(group) >= PARTS_TOGETHER * rows):
            yield group
            group, due = [], False
        group.append(recording)
        ends = zlib.crc32(recording.id.encode()) % max(1, rows // 2) == 0
        due = due or (ends and len(group) >= rows // 2) or len(group) >= 2 * rows
    if group:
        yield group


def dump(value: Any) -> bytes:
    """JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, default=str).encode()


def kind(value: Any) -> list[str]:
    """The type that a column must have to hold this value; none for what is missing."""
    if value is None:
        return []
    if isinstance(value, bool):
        return ["boolean"]
    if isinstance(value, int):
        return ["integer" if value in INT64 else "text"]
    return ["number"] if isinstance(value, float) else ["text"]


def column_type(kinds: set[str]) -> str:
    """One type for all rows, since readers want the same one in every shard; text where values are
    of many kinds.
    """
    if len(kinds) == 1:
        return next(iter(kinds))
    return "number" if kinds == {"integer", "number"} else "text"


def shard_name(name: str, taken: Iterable[str]) -> str:
    """A column of the corpus whose name is one of ours is called manifest_NAME."""
    while name in OWN_COLUMNS:
        name = f"manifest_{name}"
        while name in taken:
            name += "_"
    return name


def typed_cell(value: Any, column: str) -> Any:
    """A value as its column's type."""
    if value is None or (isinstance(value, str) and column == "text"):
        return value
    if column == "number":
        return float(value)
    return json.dumps(value, ensure_ascii=False, default=str) if column == "text" else value
