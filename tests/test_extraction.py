"""An extraction's folder opened as it is: from any file system, whatever lies beside the shards."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xcodec2.errors import XCodec2Error
from xcodec2.extract import open_extraction

FACTS = {
    "xcodec2.model": "nano",
    "xcodec2.weights_hash": "0123",
    "xcodec2.frame_rate": "50",
    "xcodec2.codebook_size": "65536",
}


def write_shard(path: Path, ids: list[str], **more: list) -> None:
    """As `xcodec2 extract` does; an id that begins with "bad" is a row with an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bad = [id.startswith("bad") for id in ids]
    table = pa.table(
        {
            "id": ids,
            "source": [f"/corpus/{id}.wav" for id in ids],
            "codes": pa.array(
                [None if b else list(range(n + 3)) for n, b in enumerate(bad)],
                pa.list_(pa.uint16()),
            ),
            "num_samples": pa.array([None if b else 960 for b in bad], pa.int64()),
            "sample_rate": pa.array([None if b else 16_000 for b in bad], pa.int32()),
            "duration": pa.array([None if b else 0.06 for b in bad], pa.float64()),
            "error": ["damaged" if b else None for b in bad],
            **more,
        }
    )
    pq.write_table(table.replace_schema_metadata(FACTS), path)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """An extraction with all that lies beside the shards, and some that should not."""
    out = tmp_path / "tokens"
    write_shard(out / "data" / "codes-00000000000000aa.parquet", ["a", "b"])
    write_shard(out / "data" / "codes-00000000000000bb.parquet", ["c", "bad"])
    (out / "README.md").write_text("---\nconfigs: []\n---\n")
    (out / "summary.json").write_text(json.dumps({"shards": 2, "rows": 4}))
    (out / "extraction.json").write_text(json.dumps({"source": "/corpus"}))
    (out / ".lock").touch()
    (out / "data" / ".xcodec2-0123456789abcdef.tmp").write_bytes(b"half a shard")
    (out / "notes.parquet").write_bytes(b"PAR1 but no more")
    return out


def ids(source: object) -> list[str]:
    return [row["id"] for shard in open_extraction(source).shards() for row in shard.rows(["id"])]


def test_every_way_to_name_an_extraction_gives_its_shards(tokens, monkeypatch):
    whole = ["a", "b", "c", "bad"]
    (shard, _) = sorted((tokens / "data").glob("*.parquet"))
    memory = fsspec.filesystem("memory")
    memory.put(str(tokens), "/bucket/tokens", recursive=True)
    monkeypatch.chdir(tokens.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (tokens, f"{tokens}/", "tokens", tokens / "data", tokens.as_uri()):
            assert ids(source) == whole
        for url in ("memory://bucket/tokens", "memory://bucket/tokens/data/"):
            assert ids(url) == whole
        assert (
            ids(f"{tokens}/data/*.parquet") == ids("memory://bucket/tokens/data/codes-*") == whole
        )
        assert ids(shard) == ["a", "b"]


def test_parquet_of_other_origin_is_taken_below_its_folder(tmp_path):
    write_shard(tmp_path / "mine" / "one.parquet", ["a"])
    write_shard(tmp_path / "mine" / "deep" / "two.parquet", ["b"])
    write_shard(tmp_path / "mine" / "_delta_log" / "x.parquet", ["c"])
    write_shard(tmp_path / "mine" / ".cache" / "x.parquet", ["d"])
    (tmp_path / "mine" / "README.md").write_text("mine")
    found = open_extraction(tmp_path / "mine")
    assert sorted(ids(tmp_path / "mine")) == ["a", "b"]
    assert found.count_rows() == 2
    assert found.facts["weights_hash"] == "0123"


def test_what_is_no_extraction_is_refused_in_one_sentence(tokens, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("nothing else")
    (tmp_path / "text.parquet").write_text("PAR1 not at all")
    for source, reason in {
        tmp_path / "empty": "holds no Parquet",
        tmp_path / "missing": "no such file or folder",
        "memory://bucket/missing": "no such file or folder",
        "nosuchprotocol://x/y": "cannot be opened .*nosuchprotocol",
        tmp_path / "text.parquet": "text.parquet: not a readable Parquet file",
    }.items():
        with pytest.raises(XCodec2Error, match=reason):
            open_extraction(source)
    with pytest.raises(XCodec2Error, match=r"has no column 'text'; it has id, source, codes"):
        open_extraction(tokens, ["id", "codes", "text"])


def test_an_extraction_that_was_stopped_is_opened_with_a_warning(tokens):
    (tokens / "data" / "codes-00000000000000bb.parquet").unlink()
    with pytest.warns(UserWarning, match=r"not finished \(1 of 2 shards"):
        assert ids(tokens) == ["a", "b"]
    (tokens / "summary.json").unlink()
    with pytest.warns(UserWarning, match=r"not finished \(1 shards"):
        assert ids(tokens) == ["a", "b"]


def test_a_damaged_shard_is_named(tokens):
    path = tokens / "data" / "codes-00000000000000bb.parquet"
    content = bytearray(path.read_bytes())
    content[4:300] = bytes(296)  # the footer stays
    path.write_bytes(content)
    for read in (lambda shard: list(shard.rows()), lambda shard: shard.table()):
        with pytest.raises(XCodec2Error, match=r"00bb\.parquet: not a readable Parquet"):
            [read(shard) for shard in open_extraction(tokens).shards()]


def test_a_row_is_loaded_by_its_id(tokens):
    codes = open_extraction(tokens).load("b")
    assert codes.codes.tolist() == [0, 1, 2, 3]
    assert (codes.num_samples, codes.sample_rate) == (960, 16_000)
    assert (codes.model, codes.weights_hash, codes.frame_rate) == ("nano", "0123", 50)
    with pytest.raises(XCodec2Error, match="'bad' has no codes: damaged"):
        open_extraction(tokens).load("bad")
    with pytest.raises(XCodec2Error, match="has no row with the id 'z'"):
        open_extraction(tokens).load("z")
