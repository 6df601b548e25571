"""A data set of tokens in other forms: a tree of .npy files, or WebDataset tars."""

from __future__ import annotations

import functools
import io
import json
import os
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np

from xcodec2.corpus.tables import require
from xcodec2.errors import XCodec2Error
from xcodec2.extract.store import Store


def export(source: str, out: str, to: str) -> dict[str, int]:
    """Write the rows of the data set `source` that have codes to the folder `out`; how many there
    were.

    npy: `ID.npy` each, uint16. webdataset: a tar for each shard, with `KEY.npy` and `KEY.json`,
    which holds the other columns; KEY is the id with dots made `_`, since there the first dot ends
    a key. Files that are there already are kept: they come whole. Raises XCodec2Error.
    """
    tokens, target = Store(source), Store(out)
    keys = sorted(tokens.keys())
    if not keys:
        raise XCodec2Error(f"{source}: holds no data set of tokens (data/codes-….parquet)")
    write: Callable[[Store, str, Any], None] = {"npy": write_npy, "webdataset": write_tar}[to]
    counts = {"rows": 0, "left_out": 0}
    for key in keys:
        with tokens.fs.open(tokens.shard(key), "rb") as file:
            rows = require("pyarrow.parquet").read_table(file)
        good = rows.filter(rows["error"].is_null())
        write(target, key, good)
        counts["rows"] += len(good)
        counts["left_out"] += len(rows) - len(good)
    return counts


def write_npy(target: Store, key: str, rows: Any) -> None:
    for name, codes in zip(rows["id"].to_pylist(), rows["codes"], strict=True):
        if {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            raise XCodec2Error(
                f"the id {name!r} is no file name below a folder; export to webdataset"
            )
        put(target, f"{target.path}/{name}.npy", functools.partial(npy, codes))


def write_tar(target: Store, key: str, rows: Any) -> None:
    put(target, f"{target.path}/codes-{key}.tar", functools.partial(tar, rows))


def put(target: Store, path: str, content: Callable[[], bytes]) -> None:
    if target.fs.exists(path):
        return
    if target.local:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    target.write(path, content())


def tar(rows: Any) -> bytes:
    """One sample a row, in order."""
    content, seen = io.BytesIO(), set()
    with tarfile.open(fileobj=content, mode="w") as archive:
        described = rows.drop_columns(["codes", "error"]).to_pylist()
        for codes, row in zip(rows["codes"], described, strict=True):
            key = row["id"].replace(".", "_")
            if key in seen:
                raise XCodec2Error(
                    f"two ids are {key!r} without dots; WebDataset cannot tell them apart"
                )
            seen.add(key)
            add(archive, f"{key}.npy", npy(codes))
            add(archive, f"{key}.json", json.dumps(row, ensure_ascii=False).encode())
    return content.getvalue()


def npy(codes: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, codes.values.to_numpy(zero_copy_only=False))
    return content.getvalue()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
