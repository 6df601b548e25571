"""Extraction of parts of files: each has its own codes, and each file is decoded once."""

from __future__ import annotations

import csv
import json
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from extraction import Inline, recording, rows
from paths import HELPERS
from tiny import ASSETS

from xcodec2 import XCodec2Model
from xcodec2.corpus import Recording, parts, read_corpus
from xcodec2.corpus.parts import FilePart
from xcodec2.corpus.segments import Segment, Time
from xcodec2.extract import extract, run
from xcodec2.extract.child import Died
from xcodec2.extract.plan import Plan
from xcodec2.extract.reading import read_ahead, readers

RATE = 16_000


@dataclass(frozen=True)
class Logged:
    """A file whose every opening leaves a line in `log`."""

    path: str
    log: str

    def read(self) -> str:
        with open(self.log, "a") as file:
            file.write(f"{self.path}\n")
        return self.path


@dataclass(frozen=True)
class CrashLogged(Logged):
    def read(self) -> str:
        super().read()
        os.abort()


def part(place: object, begin: int, length: int, name: str) -> Recording:
    times = [Time(Fraction(n), "samples", str(n)) for n in (begin, length)]
    return Recording(name, name, {}, FilePart(place, Segment(times[0], length=times[1])))


@pytest.fixture
def clip() -> np.ndarray:
    return soundfile.read(ASSETS / "demo.flac", dtype="float32")[0]


@pytest.fixture
def manifest(tmp_path: Path, clip: np.ndarray) -> Path:
    """Parts of three files in no order, and a whole file among them."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    soundfile.write(folder / "one.flac", clip, RATE)
    soundfile.write(folder / "two.wav", clip[::-1], RATE, subtype="FLOAT")
    soundfile.write(folder / "short.wav", clip[:4_000], RATE)
    table = [
        {"path": path, "start": n * 0.1, "end": n * 0.1 + 0.2 + n * 0.03, "text": f"{path} {n}"}
        for path in ("one.flac", "two.wav")
        for n in range(6)
    ]
    table.append({"path": "short.wav", "start": 0, "end": -1, "text": "whole"})
    table.append({"path": "short.wav", "start": 0.2, "end": 0.5, "text": "beyond"})
    random.Random(1).shuffle(table)
    with (folder / "m.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return folder / "m.csv"


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Inline:
    threads = torch.get_num_threads()
    engine = Inline()
    monkeypatch.setattr(run, "start", engine.start)
    yield engine
    torch.set_num_threads(threads)


def test_parts_have_their_own_codes_and_files_are_decoded_once(
    manifest, tmp_path, inline, clip, monkeypatch
):
    decoded = []

    class Counted(parts.DecodedFile):
        def __init__(self, place, *how):
            decoded.append(place.path)
            super().__init__(place, *how)

    monkeypatch.setattr(parts, "DecodedFile", Counted)
    inline.fail_after = 1
    with pytest.raises(KeyboardInterrupt):
        extract(manifest, tmp_path / "out", rows=3)
    inline.fail_after = None
    before = {path.name for path in (tmp_path / "out" / "data").iterdir()}
    assert len(before) == 1
    summary = extract(manifest, tmp_path / "out", rows=3)
    assert before < {path.name for path in (tmp_path / "out" / "data").iterdir()}
    found = rows(tmp_path / "out")
    assert set(found) == {one.id for one in read_corpus(manifest)}
    assert (summary["rows"], summary["errors"]) == (14, 1)
    assert "ends beyond the end of the file" in found["short.wav#0.2-0.5"]["error"]
    assert found["short.wav#0--1"]["num_samples"] == 4_000
    whole = {"one.flac": soundfile.read(manifest.parent / "one.flac", dtype="float32")[0]}
    whole["two.wav"] = clip[::-1].copy()
    model = XCodec2Model.from_pretrained("nano").eval()
    for row in found.values():
        if row["path"] in whole and row["error"] is None:
            begin, end = (round(RATE * float(row[name])) for name in ("start", "end"))
            path = row["path"]
            codes = model.encode(whole[path][begin:end], RATE)
            assert row["codes"] == codes.codes.tolist()
            assert row["num_samples"] == end - begin
    assert Counter(Path(path).name for path in decoded) == {
        "one.flac": 1,
        "two.wav": 1,
        "short.wav": 1,
    }
    extract(manifest, tmp_path / "other", rows=100, batch_seconds=2)
    assert rows(tmp_path / "other") == found


def test_ids_that_were_numbered_resume_and_grow(tmp_path, clip, inline):
    """Parts that begin together have ids by the order of the rows: a run that was stopped, or whose
    source has grown, ends as one from the start does.
    """
    soundfile.write(tmp_path / "one.flac", clip, RATE)
    table = [
        {
            "path": "one.flac",
            "offset": offset,
            "duration": round(0.2 + n * 0.05, 2),
            "text": f"{offset} {n}",
        }
        for offset in (0, 0.5)
        for n in range(3)
    ]
    table.insert(3, table[0] | {"text": "the same part"})
    table.append(table[-1] | {"text": "and again"})

    def run_over(lines: list[dict], out: str) -> dict[str, dict]:
        (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
        summary = extract(tmp_path / "m.jsonl", tmp_path / out, rows=2)
        assert (summary["rows"], summary["errors"]) == (len(lines), 0)
        return rows(tmp_path / out)

    inline.fail_after = 0
    with pytest.raises(KeyboardInterrupt):
        run_over(table, "out")
    inline.fail_after = None
    found = run_over(table, "out")
    assert {"one.flac", "one.flac#0+0.25", "one.flac#0+0.2", "one.flac#0.5+0.3#2"} < set(found)
    assert found["one.flac#0.5+0.3#2"]["text"] == "and again"
    for grown in (
        [*table, {"path": "one.flac", "offset": 0, "duration": 0.2, "text": "last"}],
        [{"path": "one.flac", "offset": 0, "duration": 0.3, "text": "first"}, *table],
    ):
        found = run_over(grown, "out")
        assert found == run_over(grown, f"new {len(grown)} {grown[0]['text']}")
        assert {row["text"] for row in found.values()} == {line["text"] for line in grown}


def test_parts_of_a_file_stay_in_one_unit(tmp_path):
    recordings = [
        part(Logged(f"{n % 3}.wav", ""), n, 100, f"{n}") for n in range(300)
    ]  # of three files in turn
    with Plan(iter(recordings), 10, {}) as plan:
        units = [{r.file.path for r in unit.recordings} for unit in plan]
        assert sum(len(unit.recordings) for unit in plan) == 300
    assert units == [{"0.wav"}, {"1.wav"}, {"2.wav"}]
    long = [part(Logged("x.wav", ""), n, 100, f"{n}") for n in range(300)]
    with Plan(iter(long), 10, {}) as plan:
        assert max(len(unit.recordings) for unit in plan) <= 100


class Reader:
    """Stands for a reading process: notes the files that it is asked for."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def ask(self, recording: Recording, seconds: float) -> tuple[np.ndarray, int, int, list[str]]:
        self.files.append(recording.file.path if recording.file else "")
        time.sleep(0.001 * (len(self.files) % 3))
        if recording.file and recording.file.path == "bad":
            raise Died("crashed with signal 6")
        return np.zeros(1, np.float32), 1, RATE, []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_file_stays_with_one_reader_until_it_is_done(count):
    names = ["a"] * 30 + ["bad"] * 5 + ["b"] * 30 + [""] * 10 + ["c"] * 30 + list("dddeee")
    recordings = [
        part(Logged(name, ""), n, 100, f"{n}") if name else recording(f"{n}", Logged("", ""))
        for n, name in enumerate(names)
    ]
    children = [Reader() for _ in range(count)]
    heard = list(read_ahead(recordings, children, 60))
    assert [h.source for h in heard] == [r.source for r in recordings]
    assert [h.error is not None for h in heard] == [name == "bad" for name in names]
    runs = [name for c in children for name, _ in groupby(file for file in c.files if file)]
    assert sorted(runs) == ["a", "b", "bad", "c", "d", "e"]
    assert sum(c.files.count("bad") for c in children) == 1


@pytest.mark.slow
def test_readers_decode_each_file_once(tmp_path, clip, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HELPERS), *sys.path]))
    for name in "abc":
        soundfile.write(tmp_path / f"{name}.wav", clip, RATE)
    log = tmp_path / "log"
    places = [Logged(str(tmp_path / f"{name}.wav"), str(log)) for name in "abc"]
    bad = CrashLogged(str(tmp_path / "a.wav"), str(log))
    recordings = [part(p, 100 * n, 500, f"{p.path} {n}") for p in places for n in range(30)]
    recordings[40:40] = [part(bad, 100 * n, 500, f"bad {n}") for n in range(5)]
    children = readers(2, RATE)
    try:
        heard = list(read_ahead(recordings, children, 60))
    finally:
        for child in children:
            child.stop()
    assert [h.source for h in heard] == [r.id for r in recordings]
    for one, item in zip(recordings, heard, strict=True):
        if one.id.startswith("bad"):
            assert "crashed with signal 6" in item.error
        else:
            assert (item.num_samples, item.error) == (500, None)
    opened = Counter(log.read_text().split())
    # the crash costs a reader, and with it one file that it had decoded, at most
    assert opened[str(tmp_path / "a.wav")] == 2
    assert opened[str(tmp_path / "c.wav")] == 1
    assert opened[str(tmp_path / "b.wav")] <= 2


def test_tokens_may_lie_below_their_source(manifest, inline):
    folder = manifest.parent
    manifest.unlink()
    first = extract(folder, folder / "tok")
    assert first["rows"] == 3
    assert extract(folder, folder / "tok") == first
    soundfile.write(folder / "new.wav", np.zeros(4_000), RATE)
    assert extract(folder, folder / "tok")["rows"] == 4


@pytest.mark.slow
def test_both_engines_give_the_same_parts(manifest, tmp_path):
    pytest.importorskip("ray")
    extract(manifest, tmp_path / "local", workers=2, rows=3)
    extract(manifest, tmp_path / "ray", engine="ray", workers=1, rows=3)
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    assert len(rows(tmp_path / "ray")) == 14
