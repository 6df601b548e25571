#!/bin/sh
# pyarrow 26.0.1: write_table(use_byte_stream_split=["codes"]) on a list column does nothing, silently.
#
# The names are those of Parquet's leaves, not of the table's columns: for a list<uint16> called
# "codes" that is "codes.list.element". The column's own name is taken without an error or a warning
# (as is a name that no column has), and the file has PLAIN. use_dictionary's names
# are matched in the same way: use_dictionary=["codes"] gives the list no dictionary, either.
# use_byte_stream_split=True is no way out: it raises at the first column of text.
#
# Seen, for 200,000 random uint16 codes, with zstd and without dictionaries:
#   codes               PLAIN              2.49 bytes a code
#   nonsense            PLAIN              2.49 bytes a code
#   codes.list.element  BYTE_STREAM_SPLIT  2.01 bytes a code
#   True                OSError: BYTE_STREAM_SPLIT only supports ...
#   dictionary of codes                no RLE_DICTIONARY
#   dictionary of codes.list.element   RLE_DICTIONARY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

codes = np.random.default_rng(0).integers(0, 65536, (400, 500)).astype(np.uint16)
table = pa.table({"id": [str(n) for n in range(400)], "codes": pa.array(list(codes), pa.list_(pa.uint16()))})


def written(**options):
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", **options)
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    assert column.path_in_schema == "codes.list.element"
    return set(column.encodings), column.total_compressed_size / codes.size


sizes = {}
for name in ("codes", "nonsense", "codes.list.element"):
    encodings, sizes[name] = written(use_dictionary=False, use_byte_stream_split=[name])
    print(name, sorted(encodings), round(sizes[name], 2))
    assert ("BYTE_STREAM_SPLIT" in encodings) == (name == "codes.list.element")
assert sizes["codes"] == sizes["nonsense"] > 2.2
assert sizes["codes.list.element"] < 2.05
try:
    written(use_dictionary=False, use_byte_stream_split=True)
except OSError as problem:
    print("True", problem)
else:
    raise SystemExit("True is taken now")
for name in ("codes", "codes.list.element"):
    encodings, _ = written(use_dictionary=[name])
    print("dictionary of", name, sorted(encodings))
    assert ("RLE_DICTIONARY" in encodings) == (name == "codes.list.element")
PY
