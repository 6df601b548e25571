"""A data set of tokens in other forms: a tree of .npy files, or WebDataset tars."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from xcodec2.corpus.extraction import Extraction, Shard, open_extraction
from xcodec2.errors import XCodec2Error
from xcodec2.extract.names import Names, clean, key
from xcodec2.extract.store import Store

LEADING_ROWS = 5  # from which `datasets` takes the types of a WebDataset
OWN = ("codes", "error")  # columns that are not told beside the codes
# what a file system says of one name, and not of the whole place
OF_ONE_NAME = {
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.EILSEQ,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ELOOP,
}


def export_rows(source: str, out: str, to: str) -> dict[str, int]:
    """Write the rows of the data set `source` that have codes to the folder `out`.

    npy: `ID.npy` each, uint16. webdataset: a tar for each shard, with `KEY.npy` and `KEY.json`,
    which holds the other columns; KEY is the id with dots made `_`, since there the first dot ends
    a key. An id that cannot name a file (`../x`, `/abs`, `CON`, one that differs from another in
    case alone, …) names it as nearly as can be; `renamed.jsonl` lists these. A row that cannot be
    written is listed in `refused.jsonl`. Both are told in a warning. Files that are there already
    are kept: they come whole.

    Args:
        source: what `open_extraction` opens.
        out: a folder on any file system.
        to: "npy" or "webdataset".

    Returns:
        Numbers of `rows` written, `left_out` for their errors, `renamed` and `refused`.

    Raises:
        XCodec2Error: when `source` holds no tokens, or `out` cannot be written.
    """
    tokens, target = open_extraction(source), Store(out)
    writer = NpyWriter(target, tokens) if to == "npy" else TarWriter(target, tokens)
    left_out = 0
    with writer.names:
        for shard in tokens.shards():
            rows = with_codes(shard.table())
            left_out += shard.num_rows - len(rows)
            writer.write(shard, rows)
    return {"left_out": left_out, **writer.finish()}


def with_codes(table: Any) -> Any:
    """The rows that hold codes and no error."""
    import pyarrow.compute as pc

    good = pc.is_valid(table["codes"])
    if "error" in table.column_names:
        good = pc.and_(good, pc.is_null(table["error"]))
    return table.filter(good)


class Listing:
    """Rows that something is to be said of, in a file of JSON lines."""

    def __init__(self, name: str, what: str) -> None:
        self.name, self.what = name, what
        self.count, self.first = 0, ""
        self.spool = tempfile.TemporaryFile()  # noqa: SIM115  # nameless; closed by report()

    def add(self, **entry: str) -> None:
        """Note one row."""
        self.first = self.first or ", ".join(f"{name} {value!a}" for name, value in entry.items())
        self.spool.write(f"{json.dumps(entry)}\n".encode())
        self.count += 1

    def report(self, target: Store) -> None:
        """The file, and one warning, when there are any."""
        with self.spool:
            if not self.count:
                return
            self.spool.seek(0)
            if target.local:
                os.makedirs(target.path, exist_ok=True)
            target.write(f"{target.path}/{self.name}", self.spool.read())
        more = ", …" if self.count > 1 else ""
        warnings.warn(
            f"{self.what}: {self.count}, listed in {self.name} ({self.first}{more})",
            stacklevel=4,
        )


class NpyWriter:
    """A file a row."""

    def __init__(self, target: Store, tokens: Extraction) -> None:
        self.target, self.names = target, Names(clean)
        self.rows = 0
        self.renamed = Listing(
            "renamed.jsonl", "rows named otherwise than their ids, which cannot be file names"
        )
        self.refused = Listing("refused.jsonl", "rows that could not be written")

    def write(self, shard: Shard, rows: Any) -> None:
        """A file for each row; rows whose file cannot be written are listed.

        Args:
            shard: Where the rows come from.
            rows: A table with `id` and `codes`.

        Raises:
            XCodec2Error: The disk is full, say: no matter of one name.
        """
        for id, codes in zip(map(str, rows["id"].to_pylist()), rows["codes"], strict=True):
            name = self.names.name(id)
            try:
                put(self.target, f"{name}.npy", functools.partial(npy, codes))
            except XCodec2Error as problem:
                if getattr(problem.__cause__, "errno", None) not in OF_ONE_NAME:
                    raise
                self.refused.add(id=id, reason=str(problem))
                continue
            self.rows += 1
            if name != id:
                self.renamed.add(id=id, file=f"{name}.npy")

    def finish(self) -> dict[str, int]:
        """Write the lists; how many rows were written, renamed and refused."""
        for listing in (self.renamed, self.refused):
            listing.report(self.target)
        return {
            "rows": self.rows,
            "renamed": self.renamed.count,
            "refused": self.refused.count,
        }


class TarWriter:
    """A tar a shard, that `datasets` reads, too.

    It takes the types from the first rows of the first tar, and can cast nothing to a column that
    is null in all of them. So these are rows that between them hold a value of every column, if
    need be from other shards, and columns that are null throughout are left out.
    """

    def __init__(self, target: Store, tokens: Extraction) -> None:
        self.target, self.names = target, Names(key)
        self.rows = 0
        self.leading, self.empty = leading_rows(tokens)
        self.begun = False

    def write(self, shard: Shard, rows: Any) -> None:
        """One tar for a shard's rows.

        Args:
            shard: Where the rows come from, after which the tar is called.
            rows: A table with all columns.

        Raises:
            XCodec2Error: The tar cannot be written.
        """
        import pyarrow as pa

        mine = np.ones(len(rows), bool)
        mine[[row for name, row, _ in self.leading if name == shard.name]] = False
        parts = [rows.filter(pa.array(mine))]
        if not self.begun:
            parts = [row for *_, row in self.leading] + parts
        rows = pa.concat_tables(parts, promote_options="default")
        if not len(rows):
            return
        self.begun = True
        stem = shard.name.rpartition("/")[2].removesuffix(".parquet")
        keys = [self.names.name(str(id)) for id in rows["id"].to_pylist()]
        put(self.target, f"{stem}.tar", functools.partial(self.tar, keys, rows))
        self.rows += len(rows)

    def tar(self, keys: list[str], rows: Any) -> bytes:
        """One sample a row, in order."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            left_out = [name for name in rows.column_names if name in (*OWN, *self.empty)]
            described = rows.drop_columns(left_out).to_pylist()
            for name, codes, row in zip(keys, rows["codes"], described, strict=True):
                add(archive, f"{name}.npy", npy(codes))
                add(
                    archive,
                    f"{name}.json",
                    json.dumps(row, ensure_ascii=False, default=str).encode(),
                )
        return content.getvalue()

    def finish(self) -> dict[str, int]:
        """How many rows were written, renamed and refused."""
        return {"rows": self.rows, "renamed": 0, "refused": 0}


Leading = tuple[str, int, Any]  # shard, row among those with codes, the row as a table


def leading_rows(tokens: Extraction) -> tuple[list[Leading], set[str]]:
    """Few rows that between them have a value in every column, and the columns that have none at
    all; LEADING_ROWS of them wherever that can be.
    """
    missing = [name for name in tokens.columns if name not in OWN]
    chosen: list[Leading] = []
    for shard in tokens.shards():
        wanted = [name for name in missing if may_hold(shard, name)]
        rows = with_codes(shard.table()) if wanted else None
        while rows is not None and len(rows) and wanted:
            filled = sum(rows[name].is_valid().to_numpy().astype(int) for name in wanted)
            best = int(np.argmax(filled))  # the first one of equals
            if not filled[best]:
                break
            chosen.append((shard.name, best, rows.slice(best, 1)))
            found = {name for name in wanted if rows[name][best].is_valid}
            wanted = [name for name in wanted if name not in found]
            missing = [name for name in missing if name not in found]
        if not missing:
            break
    if len(chosen) > LEADING_ROWS:
        warnings.warn(
            f"{tokens.name}: no {LEADING_ROWS} rows have a value in every column, from which "
            "`datasets` would take the types; give it the features, or stream",
            stacklevel=4,
        )
    return chosen, set(missing)


def may_hold(shard: Shard, column: str) -> bool:
    """False when the file's statistics say that the column is null throughout."""
    metadata = shard.file.metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            if chunk.path_in_schema.split(".")[0] == column.split(".")[0]:
                known = chunk.statistics
                if known is None or not known.has_null_count or known.num_values:
                    return True
    return False


def put(target: Store, name: str, content: Callable[[], bytes]) -> None:
    """Write a file, unless it is there already.

    Raises:
        XCodec2Error: It cannot be written.
    """
    path = f"{target.path}/{name}"
    try:
        if target.fs.isfile(path):
            return
        if target.local:
            if os.path.isdir(path):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as problem:
        raise XCodec2Error(f"{path}: cannot be written ({problem.strerror})") from problem
    target.write(path, content())


def npy(codes: Any) -> bytes:
    """Codes as the content of a .npy file."""
    content = io.BytesIO()
    np.save(content, codes.values.to_numpy(zero_copy_only=False))
    return content.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a member into a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
