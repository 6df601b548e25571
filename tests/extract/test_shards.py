"""The rows of a data set and its shards: each row once, and what is left of a run that stopped."""

from __future__ import annotations

import io
import json
import subprocess

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from extraction import make_corpus, recording, rows
from tiny import speech

from xcodec2 import XCodec2Model
from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.extract import encoding, extract, open_extraction, run
from xcodec2.extract.plan import Plan, Unit

# ---- rows and shards -----------------------------------------------------------------------------


def test_rows_hold_what_the_model_gives_and_the_manifest_says(
    manifest, tmp_path, inline, one_thread
):
    summary = extract(manifest, tmp_path / "out", rows=10)
    found = rows(tmp_path / "out")
    model = XCodec2Model.from_pretrained("nano").eval()
    for original in read_corpus(manifest):
        row = found[original.id]
        assert row["source"] == original.source
        assert (row["manifest_source"], row["text"]) == ("demo", original.columns["text"])
        if row["error"] is None:
            codes = model.encode(original.source)
            assert row["codes"] == codes.codes.tolist()
            assert (row["num_samples"], row["sample_rate"]) == (
                codes.num_samples,
                codes.sample_rate,
            )
            assert row["duration"] == codes.duration
        else:
            assert original.source in row["error"]
            assert row["codes"] is row["num_samples"] is row["duration"] is None
    assert {i for i, row in found.items() if row["error"]} == {
        "broken.flac",
        "cut.flac",
        "missing.flac",
    }
    good = [row for row in found.values() if not row["error"]]
    assert summary["tokens"] == sum(len(row["codes"]) for row in good)
    assert summary["hours"] == pytest.approx(sum(row["duration"] for row in good) / 3600)
    assert summary["codes_used"] == len({code for row in good for code in row["codes"]})
    assert summary["errors"] == 3 == sum(summary["errors_by_reason"].values())
    assert "no such file" in summary["errors_by_reason"]
    (schema, *others) = [
        pq.read_schema(path) for path in (tmp_path / "out" / "data").glob("*.parquet")
    ]
    assert others
    assert all(other.equals(schema, check_metadata=True) for other in others)
    assert str(schema.field("codes").type) == "list<element: uint16>"
    assert {k.decode(): v.decode() for k, v in schema.metadata.items()} == {
        "xcodec2.model": "nano",
        "xcodec2.weights_hash": model.weights_hash,
        "xcodec2.version": summary["version"],
        "xcodec2.frame_rate": "50",
        "xcodec2.codebook_size": "65536",
        "xcodec2.frames": "N//320 + 1 codes for N samples at 16000 Hz",
    }


def test_a_finished_run_is_skipped_and_a_grown_source_costs_what_is_new(tmp_path, inline):
    manifest = make_corpus(tmp_path / "corpus", 12, 0.2, 0.4)
    out = tmp_path / "out"
    first = extract(manifest, out, rows=3)
    done = set(inline.units)
    assert extract(manifest, out, rows=3) == first
    assert len(inline.units) == len(done)
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text(
        "".join([lines[0], lines[2], *lines[4:], "new\t00001.flac\tdemo\tnew text\t7\n"])
    )
    extract(manifest, out, rows=3)
    assert len(inline.units) < 2 * len(done)
    assert set(rows(out)) == {r.id for r in read_corpus(manifest)}
    assert {"u0", "u2"}.isdisjoint(rows(out))
    manifest.write_text(manifest.read_text().replace("text 5", "another text"))
    extract(manifest, out, rows=3)
    assert rows(out)["u5"]["text"] == "another text"


def test_errors_are_tried_again_when_asked(tmp_path, inline):
    manifest = make_corpus(tmp_path / "corpus", 4, 0.2, 0.3)
    extract(manifest, tmp_path / "out", rows=2)
    (manifest.parent / "missing.flac").write_bytes((manifest.parent / "00000.flac").read_bytes())
    assert extract(manifest, tmp_path / "out", rows=2)["errors"] == 3
    assert extract(manifest, tmp_path / "out", rows=2, retry_errors=True)["errors"] == 2
    assert rows(tmp_path / "out")["missing.flac"]["codes"] == rows(tmp_path / "out")["u0"]["codes"]


def test_a_place_with_other_tokens_is_left_alone(tmp_path, inline, tiny_folder):
    manifest = make_corpus(tmp_path / "corpus", 2, 0.2, 0.3, bad=False)
    extract(manifest, tmp_path / "out")
    before = rows(tmp_path / "out")
    with pytest.raises(
        XCodec2Error,
        match=r"holds tokens of the source .*manifest.tsv, not .*corpus; choose another",
    ):
        extract(manifest.parent, tmp_path / "out")
    with pytest.raises(XCodec2Error, match="holds tokens of the weights_hash"):
        extract(manifest, tmp_path / "out", model=str(tiny_folder))
    assert rows(tmp_path / "out") == before
    with (
        run.Store(str(tmp_path / "out")).locked(),
        pytest.raises(XCodec2Error, match="another extraction is writing"),
    ):
        extract(manifest, tmp_path / "out")


def test_one_channel_of_every_recording(tmp_path, inline, tiny_folder):
    voice = speech()[:8_000].numpy()
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", np.stack([voice, -voice], 1), 16_000)
    out = tmp_path / "out"
    extract(tmp_path / "in", out, model=str(tiny_folder), channel=1)
    model = XCodec2Model.from_pretrained(tiny_folder)
    expected = model.encode(tmp_path / "in" / "a.wav", channel=1).codes.tolist()
    assert rows(out)["a.wav"]["codes"] == expected != model.encode(np.zeros(8_000), 16_000).codes
    for other in (None, 0):
        with pytest.raises(XCodec2Error, match=f"of the channel 1, not {other}; choose another"):
            extract(tmp_path / "in", out, model=str(tiny_folder), channel=other)


def test_a_full_disk_stops_the_run_and_room_finishes_it(manifest, tmp_path, inline):
    """On a tmpfs of 20 kB; where mounting is not allowed this cannot be tested."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        with pytest.raises(XCodec2Error, match=r"cannot be written .*No space left"):
            extract(manifest, disk / "out", rows=4)
        shards = list((disk / "out" / "data").iterdir())
        assert shards
        for path in shards:
            assert pq.read_table(path).num_rows
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        done = len(inline.units)
        extract(manifest, disk / "out", rows=4)
        assert len(inline.units) - done < 7
        extract(manifest, tmp_path / "whole", rows=100)
        assert rows(disk / "out") == rows(tmp_path / "whole")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_datasets_duckdb_and_pandas_read_it(manifest, tmp_path, inline):
    import duckdb
    import pandas

    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    summary = extract(manifest, out, rows=10)
    loaded = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    expected = rows(out)
    assert {row["id"]: row for row in loaded} == expected
    assert str(loaded.features["codes"].feature.dtype) == "uint16"
    if int(duckdb.__version__.partition(".")[0]) >= 2:  # those before cannot decode the codes
        query = f"SELECT count(*), sum(len(codes)), count(error) FROM '{out}/data/*.parquet'"
        assert duckdb.sql(query).fetchall() == [(23, summary["tokens"], 3)]
    frame = pandas.read_parquet(out / "data").set_index("id")
    assert frame.loc["u3"]["codes"].tolist() == expected["u3"]["codes"]
    assert "23 rows" in (out / "README.md").read_text()
    assert json.loads((out / "summary.json").read_text()) == summary


def test_a_real_s3_server(manifest, tmp_path, inline, monkeypatch):
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        s3 = fsspec.filesystem("s3", skip_instance_cache=True)
        s3.mkdir("speech")
        s3.put(str(manifest.parent), "speech/corpus", recursive=True)
        inline.fail_after = 3
        with pytest.raises(KeyboardInterrupt):
            extract("s3://speech/corpus/manifest.tsv", "s3://speech/tokens", rows=4)
        inline.fail_after = None
        summary = extract("s3://speech/corpus/manifest.tsv", "s3://speech/tokens", rows=4)
        assert len(inline.units) == len(set(inline.units)) == summary["shards"]
        s3.get("speech/tokens", str(tmp_path / "got"), recursive=True)
    finally:
        server.stop()
    extract(manifest, tmp_path / "local", rows=10)
    there, here = rows(tmp_path / "got"), rows(tmp_path / "local")
    assert there.keys() == here.keys()
    for name, row in there.items():
        assert row["source"].startswith("s3://speech/corpus/")
        assert row["codes"] == here[name]["codes"]
        assert (row["error"] is None) == (here[name]["error"] is None)


def old_parquet(table) -> bytes:
    """As shards were written before 0.2: Arrow's own choice of encodings."""
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def test_a_data_set_of_an_older_version_goes_on_and_is_read_with_the_new_shards(
    manifest, tmp_path, inline, monkeypatch
):
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(run, "parquet", old_parquet)
        inline.fail_after = 3
        with pytest.raises(KeyboardInterrupt):
            extract(manifest, out, rows=4)
    old = {path: path.read_bytes() for path in (out / "data").glob("*.parquet")}
    assert len(old) == 3
    inline.fail_after = None
    summary = extract(manifest, out, rows=4)
    assert all(path.read_bytes() == content for path, content in old.items())
    assert len(inline.units) == summary["shards"] > len(old)
    encodings = {
        pq.ParquetFile(path).metadata.row_group(0).column(2).encodings
        for path in (out / "data").glob("*.parquet")
    }
    assert len(encodings) == 2
    extract(manifest, tmp_path / "whole", rows=100)
    assert rows(out) == rows(tmp_path / "whole")
    assert open_extraction(out).count_rows() == 23


@pytest.mark.parametrize(("dtype", "size"), [(np.uint16, 1 << 16), (np.uint32, 1 << 18)])
def test_codes_take_little_more_than_their_bits(dtype, size):
    codes = np.random.default_rng(0).integers(0, size, (40, 500)).astype(dtype)
    unit = Unit("k", [recording(f"id.{n}", None) for n in range(40)])
    outcomes = [encoding.Outcome(row, 160_000, 16_000) for row in codes]
    with Plan(unit.recordings, 10, {}) as plan:
        table = run.unit_table(unit, outcomes, plan, {}, size)
    written = io.BytesIO(run.parquet(table))
    column = pq.ParquetFile(written).metadata.row_group(0).column(2)
    assert column.path_in_schema == "codes.list.element"
    assert column.total_compressed_size / codes.size < np.log2(size) / 8 + 0.4
    assert pq.read_table(written)["codes"].to_pylist() == codes.tolist()
