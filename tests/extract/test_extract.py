"""Extraction: every row once, the same in every way of running, whole shards or none."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from click.testing import CliRunner
from extraction import Inline, make_corpus, recording, rows
from tiny import random_model, speech

from xcodec2 import Codes, XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.codec.quantizer import Quantized
from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.extract import encoding, extract, open_extraction, run
from xcodec2.extract.plan import Plan, Unit, unit_groups


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"), 20, 0.2, 0.8)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Inline:
    threads = torch.get_num_threads()
    engine = Inline()
    monkeypatch.setattr(run, "start", engine.start)
    yield engine
    torch.set_num_threads(threads)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- codes ---------------------------------------------------------------------------------------


def test_codes_depend_on_no_batch(one_thread):
    model = XCodec2Model.from_pretrained("nano").eval()
    clip = torch.cat([speech(), speech().flip(0)])
    waveforms = [clip[400 * n : 400 * n + 4_000 + 700 * (n * 7 % 11)] for n in range(16)]
    expected = [model.encode(waveform, 16_000).codes for waveform in waveforms]
    for budget in (5, 30):
        found = encoding.encode_exactly(model, waveforms, budget)
        assert all(torch.equal(a.int(), b) for a, b in zip(found, expected, strict=True))
    reversed_order = encoding.encode_exactly(model, waveforms[::-1], 20)[::-1]
    assert all(torch.equal(a.int(), b) for a, b in zip(reversed_order, expected, strict=True))


def test_rows_near_an_edge_are_encoded_alone(monkeypatch):
    model = random_model()
    waveforms = [speech()[:n] for n in (8_000, 9_000, 10_000)]
    single = []
    monkeypatch.setattr(encoding, "alone", lambda model, waveform: single.append(len(waveform)))
    for tolerance, expected in ((-1.0, []), (1.0, [8_000, 9_000, 10_000])):
        monkeypatch.setattr(encoding, "TOLERANCE", tolerance)
        encoding.encode_exactly(model, waveforms, 30)
        assert single == expected
    edges = torch.tensor([[0.49999, 0.1], [-1.5001, 0.0], [0.2, 0.0], [float("nan"), 0.0]])
    margin = Quantized(edges, edges, edges, bounded=edges).margin
    assert (margin > 1e-3).tolist() == [False, False, True, False]


def test_a_row_that_cannot_be_encoded_does_not_spoil_its_batch():
    model = random_model()
    loud = torch.full((8_000,), 1e38)
    found = encoding.encode_exactly(model, [speech()[:8_000], loud, speech()[:9_000]], 30)
    assert [type(codes) for codes in found] == [torch.Tensor, str, torch.Tensor]
    assert "too loud" in found[1]


# ---- processes -----------------------------------------------------------------------------------


def command(manifest: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "xcodec2.cli",
        "extract",
        str(manifest),
        str(out),
        "--rows",
        "4",
        *more,
    ]


def test_a_killed_run_goes_on_and_equals_an_uninterrupted_one(manifest, tmp_path, inline):
    """The real command with its processes is killed hard in mid-run and run again; the other is the
    plain engine.
    """
    out = tmp_path / "killed"
    process = subprocess.Popen(command(manifest, out, "--workers", "1"), start_new_session=True)
    try:
        deadline = time.monotonic() + 200
        while len(list(out.glob("data/*.parquet"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [child for thread in threads for child in thread.read_text().split()]
        assert children
    finally:
        os.kill(process.pid, signal.SIGKILL)  # the driver alone: its children must go by themselves
        process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("data/*.parquet")}
    assert 2 <= len(before) < 7
    (out / "data" / ".xcodec2-0123456789abcdef.tmp").write_bytes(b"half a shard")
    summary = extract(manifest, out, rows=4)
    assert {name: (out / "data" / name).stat().st_mtime_ns for name in before} == before
    assert not list(out.glob("data/.xcodec2*"))
    extract(manifest, tmp_path / "whole", rows=7, batch_seconds=3)
    assert rows(out) == rows(tmp_path / "whole")
    assert summary["rows"] == len(rows(out)) == 23
    assert summary["real_time_factor"] == 1 / summary["times_real_time"]
    deadline = time.monotonic() + 60
    while alive := [pid for pid in children if is_running(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def is_running(pid: str) -> bool:
    """A child that has ended can stay listed, as a zombie, for as long as nobody asks for its exit
    code.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


# ---- the plan ------------------------------------------------------------------------------------


def recordings(count: int) -> list[Recording]:
    return [recording(f"id{n}", None) for n in range(count)]


def test_units_hold_every_row_once_and_change_only_where_the_source_does():
    items = recordings(2000)
    whole = list(unit_groups(items, 50))
    assert [r for group in whole for r in group] == items
    assert max(map(len, whole)) <= 100
    assert 30 < 2000 / len(whole) < 75
    changed = list(unit_groups([*items[:700], recording("more", None), *items[700:]], 50))
    same = {group[0].id for group in whole if group in changed}
    assert len(whole) - len(same) <= 3
    assert [len(group) for group in unit_groups(items[:3], 1)] == [1, 1, 1]


def test_columns_get_one_type_for_all_rows():
    values = [
        {"a": 1, "b": True, "c": 1, "d": "x", "e": None, "codes": "theirs", "f": [1, "ü"]},
        {"a": 2, "b": False, "c": 0.5, "d": 3, "new": 1 << 70, "codes": "theirs", "f": {"k": None}},
    ]
    items = [Recording(str(n), "s", row, None) for n, row in enumerate(values)]
    with Plan(items, 1, {}) as plan:
        assert plan.columns == {
            "a": "integer",
            "b": "boolean",
            "c": "number",
            "d": "text",
            "e": "text",
            "manifest_codes": "text",
            "f": "text",
            "new": "text",
        }
        units = list(plan)
        nothing = [encoding.Outcome(None, error="x")]
        first, second = (
            run.unit_table(unit, nothing, plan, {}, 65_536).to_pylist()[0] for unit in units
        )
    assert (first["c"], first["d"], first["e"], first["f"]) == (1.0, "x", None, '[1, "ü"]')
    assert (second["d"], second["f"], second["manifest_codes"]) == ("3", '{"k": null}', "theirs")
    assert second["new"] == str(1 << 70)


@pytest.mark.parametrize("change", ["identity", "text", "source", "column"])
def test_keys_follow_the_content(change):
    def key(identity: str = "a", text: str = "t", source: str = "s", column: str = "text") -> str:
        with Plan(
            [Recording("id", source, {column: text}, None)], 10, {"weights_hash": identity}
        ) as plan:
            return next(iter(plan)).key

    assert key() == key()
    assert key() != key(**{change: "other"})


# ---- the command ---------------------------------------------------------------------------------


def test_the_command(manifest, tmp_path, inline):
    out = tmp_path / "out"
    result = CliRunner().invoke(xcodec2, ["extract", str(manifest), str(out), "--rows", "20"])
    assert result.exit_code == 0, result.output
    printed = json.loads(re.search(r"^\{.*^\}", result.stdout, re.DOTALL | re.MULTILINE)[0])
    assert (printed["rows"], printed["errors"]) == (23, 3)
    bad = CliRunner().invoke(xcodec2, ["extract", str(manifest), str(out), "--address", "auto"])
    assert bad.exit_code == 2
    (tmp_path / "b.flac").write_bytes(b"fLaC")
    none = CliRunner().invoke(
        xcodec2, ["extract", str(tmp_path / "b.flac"), str(tmp_path / "none")]
    )
    assert none.exit_code == 1
    assert "none of 1 recordings could be encoded" in none.output


def test_a_reason_is_told_with_its_numbers(tmp_path, inline):
    """Equal reasons count together, and one of them is there as it was."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 16_000)
    lines = [{"path": "a.wav", "start": 0.25, "end": n + 1.5} for n in range(3)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = CliRunner().invoke(xcodec2, ["extract", f"{tmp_path}/m.jsonl", f"{tmp_path}/out"])
    assert result.exit_code == 1
    assert "the part 0.25-1.5 ends beyond the end of the file, which has 0.500 s" in result.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    ((reason, count),) = summary["errors_by_reason"].items()
    assert (count, "N-N ends beyond" in reason) == (3, True)
    assert "a.wav#0.25-1.5s: the part 0.25-1.5 ends beyond" in summary["error_examples"][reason]


@pytest.mark.parametrize("command", [["extract"], ["evaluate", "--out"]])
def test_a_missing_decoder_is_told_before_any_work(tmp_path, monkeypatch, command, inline):
    """One line that names the extra, and not an error for each of the files."""
    folder = tmp_path / "films"
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.zeros(8_000), 16_000)
    (folder / "b.m4a").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    verb, *option = command
    result = CliRunner().invoke(xcodec2, [verb, str(folder), *option, str(tmp_path / "out")])
    assert result.exit_code == 1
    assert re.search(
        r"b\.m4a: reading \.m4a needs av: run `pip install .*media", str(result.exception)
    )
    assert not (tmp_path / "out").exists()
    missing = CliRunner().invoke(xcodec2, ["extract", str(folder / "no"), str(tmp_path / "out")])
    assert (missing.exit_code, (tmp_path / "out").exists()) == (1, False)


def test_exports(manifest, tmp_path, inline):
    out = tmp_path / "out"
    extract(manifest, out, rows=10)
    good = {name: row for name, row in rows(out).items() if not row["error"]}
    for form in ("npy", "webdataset"):
        result = CliRunner().invoke(
            xcodec2, ["export", str(out), str(tmp_path / form), "--to", form]
        )
        assert result.exit_code == 0, result.output
    arrays = {path.stem: np.load(path) for path in (tmp_path / "npy").rglob("*.npy")}
    assert {name: codes.tolist() for name, codes in arrays.items()} == {
        n: row["codes"] for n, row in good.items()
    }
    assert Codes.load(tmp_path / "npy" / "u3.npy").codes.tolist() == good["u3"]["codes"]
    tars = sorted((tmp_path / "webdataset").glob("*.tar"))
    assert len(tars) == len(list((out / "data").iterdir()))
    import tarfile

    found = {}
    for path in tars:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member).read()
                key, _, suffix = member.name.partition(".")
                value = (
                    np.load(io.BytesIO(content)).tolist()
                    if suffix == "npy"
                    else json.loads(content)
                )
                found.setdefault(key, {})[suffix] = value
    assert {key: sample["npy"] for key, sample in found.items()} == {
        n: row["codes"] for n, row in good.items()
    }
    assert found["u3"]["json"] == {
        k: v for k, v in good["u3"].items() if k not in ("codes", "error")
    }
