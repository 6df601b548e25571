#!/bin/sh
# pyarrow 26.0.1: Table.to_pylist() drops one of two columns with the same name, and what it makes of
# nanoseconds depends on pandas being installed, which the program need not import.
#
# - Parquet may hold two columns of one name. read_table refuses them, ParquetFile.read gives both
#   back, and to_pylist, which makes a dict of each row, keeps the last one's value without an error.
# - A time of day of 01:02:03.000000123 (time64[ns]) is a ValueError without pandas, whose message says
#   that pandas gives it with nanoseconds. With pandas it is datetime.time(1, 2, 3): no error, and the
#   nanoseconds are gone. Only a cast to time64[us] refuses to lose them in both.
# - A timestamp[ns] of that kind raises without pandas and is a pandas.Timestamp with it.
#
# Seen:
#   read_table: ArrowInvalid
#   columns read: ['text', 'text'] rows: [{'text': 'b'}]
#   without pandas: time ValueError, timestamp ValueError, cast ArrowInvalid
#   with pandas: time datetime.time(1, 2, 3), timestamp Timestamp, cast ArrowInvalid
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1
cd "$work"
cat > rows.py <<'PY'
import datetime
import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq

file = io.BytesIO()
pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), file)
try:
    pq.read_table(file)
except pa.ArrowInvalid:
    print("read_table: ArrowInvalid")
else:
    raise SystemExit("read_table takes two columns of one name")
read = pq.ParquetFile(file).read()
print("columns read:", read.column_names, "rows:", read.to_pylist())
assert read.column_names == ["text", "text"]
assert read.to_pylist() == [{"text": "b"}]

clock = pa.array([3_723_000_000_123], pa.time64("ns"))
moment = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))


def outcome(make):
    try:
        return make()
    except ValueError as problem:  # ArrowInvalid is one, too
        return type(problem).__name__


time = outcome(lambda: clock.to_pylist()[0])
stamp = outcome(lambda: moment.to_pylist()[0])
cast = outcome(lambda: clock.cast(pa.time64("us")))
stamp = stamp if isinstance(stamp, str) else type(stamp).__name__
print(f"{sys.argv[1]} pandas: time {time!r}, timestamp {stamp}, cast {cast}")
assert cast == "ArrowInvalid"
expected = {
    "without": ("ValueError", "ValueError"),
    "with": (datetime.time(1, 2, 3), "Timestamp"),
}
assert (time, stamp) == expected[sys.argv[1]]
PY
"$work/venv/bin/python" rows.py without
"$work/venv/bin/pip" install -q pandas==3.1.1
"$work/venv/bin/python" rows.py with
