#!/bin/sh
# DuckDB 1.5.6: a Parquet file of pyarrow's whose integers are BYTE_STREAM_SPLIT cannot be read.
#
# Parquet 2.11 allows the encoding for integers, and pyarrow 26.0.1 writes it; it makes codes a fifth
# smaller. DuckDB reads it of floats alone: any query that touches such a column fails, in the last
# release of its first major version as in 1.0. Another column of the same file is read. DuckDB 2.0.1
# reads all of it.
#
# Seen:
#   1.5.6 codes  BYTE_STREAM_SPLIT encoding is only supported for FLOAT or DOUBLE data
#   1.5.6 number BYTE_STREAM_SPLIT encoding is only supported for FLOAT or DOUBLE data
#   1.5.6 score  2 rows
#   1.5.6 name   2 rows
#   2.0.1        2 rows of each
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
cd "$work"
cat > read.py <<'PY'
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

codes = pa.array([np.arange(1000), np.arange(500)], pa.list_(pa.uint16()))
numbers, scores = pa.array([1, 2], pa.int32()), pa.array([0.5, 0.25], pa.float32())
table = pa.table({"codes": codes, "number": numbers, "score": scores, "name": ["a", "b"]})
split = ["codes.list.element", "number", "score"]
pq.write_table(table, "codes.parquet", use_dictionary=False, use_byte_stream_split=split)
assert pq.read_table("codes.parquet").equals(table)
for name in table.column_names:
    try:
        found = duckdb.sql(f"select {name} from 'codes.parquet'").fetchall()
        outcome = f"{len(found)} rows"
        assert found == [(value,) for value in table.column(name).to_pylist()]
    except duckdb.Error as problem:
        outcome = str(problem)
    print(duckdb.__version__, name, outcome)
    integers = name in ("codes", "number")
    refused = "only supported for FLOAT or DOUBLE" in outcome
    assert refused == (integers and sys.argv[1] == "1.5.6")
PY
for version in 1.5.6 2.0.1; do
    "$work/venv/bin/pip" install -q duckdb==$version pyarrow==26.0.1 numpy==2.4.6
    "$work/venv/bin/python" read.py $version
done
