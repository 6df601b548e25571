"""The data set of tokens: Parquet shards that are there whole or not at all, on any file system."""

from __future__ import annotations

import fcntl
import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import fsspec

from xcodec2.corpus.extraction import SHARD
from xcodec2.corpus.tables import is_local, open_parquet, readable, require_extract
from xcodec2.errors import XCodec2Error
from xcodec2.extract.encoding import Outcome
from xcodec2.extract.plan import Plan, Unit, typed_cell
from xcodec2.files import replacing

TEMPORARY = re.compile(r"\.xcodec2-[0-9a-f]{16}\.tmp")
CODES_LEAF = "codes.list.element"  # by its own name alone the column would be passed over
ARROW_TYPES = {"boolean": "bool_", "integer": "int64", "number": "float64", "text": "string"}


class Store:
    """The folder or bucket that an extraction writes to."""

    def __init__(self, out: str) -> None:
        self.fs, path = fsspec.url_to_fs(out)
        self.path = path.rstrip("/")
        self.local = is_local(self.fs)
        self.shards = f"{self.path}/data"

    def exists(self) -> bool:
        """Whether the place is there."""
        return bool(self.fs.exists(self.path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time on a local disk; elsewhere two are harmless, since equal units give
        equal shards.

        Raises:
            XCodec2Error: Another extraction is writing there, or nobody can.
        """
        if not self.local:
            yield
            return
        try:
            os.makedirs(self.shards, exist_ok=True)
            lock = open(f"{self.path}/.lock", "w")  # noqa: SIM115
        except OSError as problem:
            raise XCodec2Error(f"{self.path}: cannot be written ({problem.strerror})") from problem
        with lock:
            try:
                fcntl.flock(
                    lock, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # the kernel lets go of it even at kill -9
            except BlockingIOError as problem:
                raise XCodec2Error(
                    f"{self.path}: another extraction is writing there; wait for it"
                ) from problem
            except OSError:
                pass  # some network disks know no locks
            for folder in (self.path, self.shards):
                for name in os.listdir(folder):
                    if TEMPORARY.fullmatch(name):  # what a killed run left
                        os.remove(f"{folder}/{name}")
            yield

    def keys(self) -> set[str]:
        """Keys of the units whose shard is there."""
        self.fs.invalidate_cache()
        if not self.fs.exists(self.shards):
            return set()
        names = [entry.rpartition("/")[2] for entry in self.fs.ls(self.shards, detail=False)]
        return {match[1] for name in names if (match := SHARD.fullmatch(name))}

    def shard(self, key: str) -> str:
        """The path of a unit's shard."""
        return f"{self.shards}/codes-{key}.parquet"

    def read(self, key: str, columns: list[str]) -> Any:
        """Columns of a finished shard, as a pyarrow.Table. Raises XCodec2Error."""
        path = self.shard(key)
        with readable(path), open_parquet(self.fs, path) as file:
            return file.read(columns=columns, use_threads=False)

    def write(self, path: str, content: bytes) -> None:
        """Whole or not at all: temporary file and rename on a disk, a single upload elsewhere.

        Raises:
            XCodec2Error: It cannot be written.
        """
        try:
            if not self.local:
                self.fs.pipe_file(path, content)
                return
            with replacing(path, XCodec2Error) as file:
                file.write(content)
                file.flush()
                os.fsync(
                    file.fileno()
                )  # a rename may otherwise outlive its content when the power goes
        except OSError as problem:
            raise XCodec2Error(f"{path}: cannot be written ({problem})") from problem

    def remove(self, keys: Sequence[str]) -> None:
        """Delete shards."""
        for key in keys:
            self.fs.rm_file(self.shard(key))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        self.write(f"{self.path}/{name}", text.encode())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """An object in the folder; None when there is none.

        Raises:
            XCodec2Error: The file is damaged.
        """
        path = f"{self.path}/{name}"
        if not self.fs.exists(path):
            return None
        try:
            content = json.loads(self.fs.cat_file(path))
        except ValueError as problem:
            raise XCodec2Error(f"{path}: damaged ({problem}); choose another OUT") from problem
        return content if isinstance(content, dict) else None


def unit_table(
    unit: Unit,
    outcomes: Sequence[Outcome],
    plan: Plan,
    metadata: Mapping[str, str],
    codebook_size: int,
) -> Any:
    """A unit's rows in the order of the source; every shard of a plan has the same schema."""
    pa = require_extract("pyarrow")
    code = pa.uint16() if codebook_size <= 1 << 16 else pa.uint32()
    carried = [(new, old, plan.columns[new]) for old, new in sorted(plan.names.items())]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("source", pa.string()),
            ("codes", pa.list_(code)),
            ("num_samples", pa.int64()),
            ("sample_rate", pa.int32()),
            ("duration", pa.float64()),
            ("error", pa.string()),
            *((new, getattr(pa, ARROW_TYPES[kind])()) for new, _, kind in carried),
        ],
        metadata=dict(metadata),
    )
    known = [outcome if outcome.codes is not None else None for outcome in outcomes]
    columns = {
        "id": [r.id for r in unit.recordings],
        "source": [r.source for r in unit.recordings],
        "codes": [o.codes if o else None for o in known],
        "num_samples": [o.num_samples if o else None for o in known],
        "sample_rate": [o.sample_rate if o else None for o in known],
        "duration": [o.num_samples / o.sample_rate if o else None for o in known],
        "error": [o.error for o in outcomes],
        **{
            new: [typed_cell(r.columns.get(old), kind) for r in unit.recordings]
            for new, old, kind in carried
        },
    }
    return pa.table(columns, schema=schema)


def parquet(rows: Any) -> bytes:
    """A shard. Tokens are nearly random: a dictionary of them costs more than it saves, and as
    streams of bytes, two of which are zeros and vanish, they take 2.0 bytes each; Arrow's own
    choice takes 2.3 in a shard of a thousand rows and 4 in one of forty.
    """
    content = io.BytesIO()
    require_extract("pyarrow.parquet").write_table(
        rows,
        content,
        compression="zstd",
        use_dictionary=[name for name in rows.column_names if name != "codes"],
        use_byte_stream_split=[CODES_LEAF],
    )
    return content.getvalue()
