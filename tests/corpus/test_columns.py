"""What a corpus says beside its audio keeps its meaning in the tokens, or its loss is told."""

from __future__ import annotations

import datetime
import uuid
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import ASSETS

from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.extract import run
from xcodec2.extract.encoding import Outcome
from xcodec2.extract.plan import Plan

AUDIO = (ASSETS / "demo.flac").read_bytes()
ID = uuid.UUID("6f1b6a4e-6d2c-4f0e-9a51-3f6f0f6f0f6f")


def tokens(source: Any) -> pa.Table:
    """The table that an extraction of `source` writes, without encoding anything."""
    recordings = read_corpus(source) if isinstance(source, (str, Path)) else source
    with Plan(recordings, 1000, {}) as plan:
        (unit,) = plan
        return run.unit_table(
            unit, [Outcome(None, error="x")] * len(unit.recordings), plan, {}, 65_536
        )


def carried(source: Any) -> dict[str, list]:
    own = ("id", "source", "codes", "num_samples", "sample_rate", "duration", "error")
    return tokens(source).drop_columns(list(own)).to_pydict()


def parquet(path: Path, **columns: Any) -> Path:
    rows = len(next(iter(columns.values()))) if columns else 2
    audio = pa.array([{"bytes": AUDIO, "path": None}] * rows)
    pq.write_table(pa.table({"audio": audio, **columns}), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])],
)
def test_audio_that_is_the_only_column_is_not_carried_along(kind, tmp_path):
    cell = AUDIO if not pa.types.is_struct(kind) else {"bytes": AUDIO, "path": None}
    pq.write_table(
        pa.table({"audio": pa.array([cell] * 5, kind)}), tmp_path / "a.parquet", row_group_size=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tokens(tmp_path / "a.parquet")
    assert found["id"].to_pylist() == [f"a.parquet#{n}" for n in range(5)]
    assert found.column_names[-1] == "error"
    assert found.nbytes < 2000
    assert {len(r.open()) for r in read_corpus(tmp_path / "a.parquet")} == {len(AUDIO)}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([Decimal("1.50"), None, Decimal("-0.07")]), [1.5, None, -0.07]),
        (pa.array([Decimal(5), Decimal(-7)], pa.decimal128(38, 0)), [5, -7]),
        (pa.array([Decimal("0.123456789012345678901")]), ["0.123456789012345678901"]),
        (pa.array([Decimal("2.5")], pa.decimal256(50, 3)), [2.5]),
        (pa.array([datetime.date(2024, 2, 29)]), ["2024-02-29"]),
        (pa.array([86_400_000], pa.date64()), ["1970-01-02"]),
        (pa.array([datetime.datetime(2024, 2, 29, 12, 30)]), ["2024-02-29T12:30:00"]),
        (pa.array([0], pa.timestamp("ms", "Europe/Berlin")), ["1970-01-01T01:00:00+01:00"]),
        (pa.array([10**9], pa.timestamp("ns")), ["1970-01-01T00:00:01"]),
        (pa.array([10**9 + 1], pa.timestamp("ns")), ["1970-01-01T00:00:01.000000001"]),
        (pa.array([10**9 + 1], pa.timestamp("ns", "UTC")), ["1970-01-01T00:00:01.000000001Z"]),
        (pa.array([datetime.time(1, 2, 3)]), ["01:02:03"]),
        (pa.array([10**9 + 1], pa.time64("ns")), ["00:00:01.000000001"]),
        (pa.array([1500], pa.duration("ms")), [1.5]),
        (pa.array([1], pa.duration("ns")), [1e-9]),
        (pa.array(np.array([1.5], np.float16)), [1.5]),
        (pa.array([[Decimal("1.5"), Decimal(2)]]), ["[1.5, 2.0]"]),
        (
            pa.array(
                [{"on": datetime.date(2024, 1, 1), "n": [1]}],
                pa.struct([("on", pa.date32()), ("n", pa.list_(pa.int64()))]),
            ),
            ['{"on": "2024-01-01", "n": [1]}'],
        ),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
def test_types_of_parquet_keep_their_meaning(column, expected, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = carried(parquet(tmp_path / "a.parquet", value=column)).values()
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


def test_a_uuid_of_parquet_keeps_its_meaning(tmp_path):
    column = pa.array([ID.bytes], pa.uuid())
    assert carried(parquet(tmp_path / "a.parquet", value=column))["value"] == [str(ID)]


def test_what_duckdb_and_pandas_write_keeps_its_meaning(tmp_path):
    duckdb, pandas = pytest.importorskip("duckdb"), pytest.importorskip("pandas")
    duckdb.sql(
        "COPY (SELECT 'x.wav' AS path, 1.5 AS price, sum(2)::HUGEINT AS total, DATE '2024-02-29' "
        "AS day, "
        f"TIMESTAMP '2024-02-29 12:00:00' AS moment, TIME '01:02:03' AS clock, UUID '{ID}' AS key, "
        f"'x'::BLOB AS raw) TO '{tmp_path}/duck.parquet' (FORMAT parquet)"
    )
    with pytest.warns(UserWarning, match="bytes cannot be carried along; without raw"):
        assert carried(tmp_path / "duck.parquet") == {
            "path": ["x.wav"],
            "price": [1.5],
            "total": [2],
            "day": ["2024-02-29"],
            "moment": ["2024-02-29T12:00:00"],
            "clock": ["01:02:03"],
        }
    frame = pandas.DataFrame({"path": ["x.wav"], "when": pandas.to_datetime(["2024-02-29 12:00"])})
    frame.to_parquet(tmp_path / "pandas.parquet")
    assert carried(tmp_path / "pandas.parquet")["when"] == ["2024-02-29T12:00:00"]


def test_bytes_are_left_out_and_told(tmp_path):
    path = parquet(
        tmp_path / "a.parquet",
        raw=pa.array([b"a", None]),
        fixed=pa.array([b"ab", b"cd"], pa.binary(2)),
        nested=pa.array([{"image": b"x", "n": 1}, {"image": None, "n": 2}]),
        text=["t", "u"],
    )
    with pytest.warns(UserWarning, match="bytes cannot be carried along") as told:
        found = carried(path)
    assert found == {
        "nested": ['{"image": null, "n": 1}', '{"image": null, "n": 2}'],
        "text": ["t", "u"],
    }
    said = " ".join(str(warning.message) for warning in told)
    assert "without raw, fixed" in said
    assert "without those of nested" in said
    items = [Recording("a", "s", {"raw": b"x", "n": np.int64(3), "v": np.ones(2)}, None)]
    with pytest.warns(UserWarning, match="without those of raw"):
        assert carried(items) == {"n": [3], "v": ["[1.0, 1.0]"]}


def test_an_unnamed_index_and_two_columns_of_one_name_are_told(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": ["x.wav", "y.wav"], "text": ["a", "b"]}, index=[3, 5])
    frame.to_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    pandas.read_csv(tmp_path / "a.csv").to_csv(tmp_path / "b.csv", index=False)
    for name in ("a.csv", "b.csv", "a.parquet"):
        with pytest.warns(UserWarning, match="pandas' unnamed index"):
            assert carried(tmp_path / name)["text"] == ["a", "b"]
    (tmp_path / "c.csv").write_text("path,text,text\nx.wav,a,b\n")
    twice = pa.table([["x.wav"], ["a"], ["b"]], names=["path", "text", "text"])
    pq.write_table(twice, tmp_path / "c.parquet")
    for name in ("c.csv", "c.parquet"):
        with pytest.warns(UserWarning, match="several columns are called 'text'; the last one"):
            assert carried(tmp_path / name) == {"path": ["x.wav"], "text": ["b"]}
    pq.write_table(pa.table([[AUDIO], [AUDIO]], names=["audio", "audio"]), tmp_path / "d.parquet")
    with pytest.raises(
        XCodec2Error, match="several columns are called 'audio', which has the audio"
    ):
        tokens(tmp_path / "d.parquet")


def test_keys_of_plain_columns_are_those_of_older_versions():
    """So that a data set begun by an older version goes on; columns once written wrong are new."""

    def key(columns: dict) -> str:
        with Plan([Recording("id", "s", columns, None)], 10, {"weights_hash": "a"}) as plan:
            return next(iter(plan)).key

    plain = {"text": "t", "n": 1, "x": 0.5, "b": True, "none": None, "list": [1, {"a": "ü"}]}
    assert key(plain) == KEY_OF_VERSION_0_1
    assert key({"day": "2024-02-29"}) != key({"day": datetime.date(2024, 2, 29)})


KEY_OF_VERSION_0_1 = "b2ef863f66a65e3d"
