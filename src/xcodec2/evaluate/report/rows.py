"""The per-file table as Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.metrics.metric import Columns
from xcodec2.extras import require
from xcodec2.files import replacing


def write_rows(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Columns,
    counts: Sequence[str],
    about: Mapping[str, Any],
) -> None:
    """Write one row per recording and system.

    It has id, source, content (SHA-256 of the samples at 16 kHz), system, seconds, bit_rate,
    metrics, codes, error, undefined (JSON) and, with `column_` before their names, the corpus' own
    columns as text.

    Args:
        path: Of the file.
        rows: As they were measured.
        columns: Of the metrics, by name.
        counts: Integers besides.
        about: Goes into the schema, as JSON.

    Raises:
        XCodec2Error: The file cannot be written.
    """
    pa = require("pyarrow", "pyarrow.parquet", extra="evaluate", purpose="a report")
    own = sorted({f"column_{name}" for row in rows for name in row["columns"]})
    fields = [
        *(pa.field(name, pa.string()) for name in ("id", "source", "content", "system")),
        *(pa.field(name, pa.float64()) for name in ("seconds", "bit_rate", *columns)),
        *(pa.field(name, pa.int64()) for name in counts),
        pa.field("codes", pa.list_(pa.int32())),
        *(pa.field(name, pa.string()) for name in ("error", "undefined", *own)),
    ]
    schema = pa.schema(fields, metadata={"xcodec2.evaluate": json.dumps(about)})
    table = pa.Table.from_pylist([flat(row) for row in rows], schema=schema)
    with replacing(path, XCodec2Error) as file:
        pa.parquet.write_table(table, file, compression="zstd")


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as Parquet takes it: nothing nested."""
    columns = {
        f"column_{name}": None if value is None else str(value)
        for name, value in row["columns"].items()
    }
    undefined = row.get("undefined")
    return {
        **row,
        **columns,
        "undefined": json.dumps(undefined, ensure_ascii=False) if undefined else None,
    }
