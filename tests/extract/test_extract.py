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

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from extraction import recording, rows
from hints import install_hint
from tiny import random_model, speech

from xcodec2 import Codes, XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.codec import constants
from xcodec2.codec.inference import batches
from xcodec2.codec.inference.passes import inference
from xcodec2.codec.quantizer import Quantized
from xcodec2.corpus import Recording
from xcodec2.extract import encoding, extract, run
from xcodec2.extract.plan import Plan, unit_groups

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


def test_rounding_moves_latents_far_less_than_the_distance_that_counts_as_near(one_thread):
    model = XCodec2Model.from_pretrained("nano").eval()
    clip = torch.cat([speech(), speech().flip(0)])
    waveforms = [clip[300 * n : 300 * n + 4_000 + 900 * (n * 7 % 11)] for n in range(12)]

    def bounded(given: list[torch.Tensor]) -> torch.Tensor:
        rows, lengths = batches.collate(model, given)
        with inference(model):
            return model.quantize(model.encode_features(rows, lengths).latent).bounded

    for alone, row in zip(waveforms, bounded(waveforms), strict=True):
        one = bounded([alone])[0]
        frames = model.config.frames(len(alone))
        apart = (one[:frames] - row[:frames]).abs().max()
        assert apart < constants.TOLERANCE / 5  # 2.7e-6 with PyTorch 2.6, less with newer ones


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
    assert "the part 0.25-1.5 ends beyond the end of the file, which has 0.500 s" in result.output
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
        r"b\.m4a: reading \.m4a needs av: " + install_hint("media"), str(result.exception)
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
