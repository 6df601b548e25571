"""Exports: every row of an extraction that has codes, under a name that cannot do harm."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import unicodedata
import warnings
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from extraction import write_shard
from paths import ROOT

from xcodec2.errors import XCodec2Error
from xcodec2.extract.export import export_rows
from xcodec2.extract.names import clean, key

LONG = "Überlänge " * 40
BAD = [
    "../x",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/../../../x",
    "..\\x",
    "C:\\x",
    "CON",
    "nul.txt",
    "x/AUX/y",
    "new\nline",
    "tab\tand\x1b[31mred",
    "nul\0byte",
    "\u202egpj.exe",
    LONG,
    LONG + "2",
    "/".join(["deep"] * 400),
    "s3://bucket/key.wav",
    "ends in a dot.",
    "ends in a space ",
    "__meta__/x",
    "....",
    "a//b",
    '*?|<>"',
]
COLLIDING = [
    "Ab",
    "ab",
    "a.b",
    "a_b",
    "é",
    unicodedata.normalize("NFD", "é"),
    "ß",
    "ss",
    "f",
    "f.npy/g",
]
GOOD = ["fine", "sub/fine", "fine.wav", "tar/key", "file.parquet#7", "naïve 語 ☺", "train#3"]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    write_shard(tmp_path / "tokens" / "data" / "codes-00000000000000aa.parquet", GOOD + BAD)
    write_shard(
        tmp_path / "tokens" / "data" / "codes-00000000000000bb.parquet", [*COLLIDING, "bad one"]
    )
    return tmp_path / "tokens"


def contents(folder: Path) -> dict[str, list[int]]:
    return {
        path.relative_to(folder).as_posix(): np.load(path).tolist()
        for path in folder.rglob("*.npy")
        if path.is_file()
    }


def samples(folder: Path) -> dict[str, dict]:
    """Key → what the tars hold for it, split as the webdataset library splits names."""
    found: dict[str, dict] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                name, suffix = re.fullmatch(
                    r"((?:.*/|)[^.]+)[.]([^/]*)", member.name, re.DOTALL
                ).groups()
                content = archive.extractfile(member).read()
                value = (
                    json.loads(content)
                    if suffix == "json"
                    else np.load(io.BytesIO(content)).tolist()
                )
                assert suffix not in found.setdefault(name, {})
                found[name][suffix] = value
    return found


def portable(name: str) -> bool:
    """Whether every file system takes it, and none leaves the folder for it."""
    parts = name.split("/")
    return (
        all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
        and len(name.encode()) < 1024
        and not any(ord(c) < 32 or c in '\x7f\\:*?"<>|\u202e' for c in name)
        and not any(
            re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", part) for part in parts
        )
    )


def apart(names: list[str]) -> bool:
    return len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)


def test_npy_has_every_row_below_its_folder(tokens, tmp_path):
    before = set(tmp_path.rglob("*"))
    with pytest.warns(
        UserWarning, match=r"named otherwise.*: \d+, listed in renamed\.jsonl \(id '../x'"
    ):
        counts = export_rows(str(tokens), str(tmp_path / "out"), "npy")
    written = contents(tmp_path / "out")
    everything = GOOD + BAD + COLLIDING
    assert counts["rows"] == len(written) == len(everything)
    assert (counts["left_out"], counts["refused"]) == (1, 0)
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(tmp_path / "out") for path in new)
    assert all(map(portable, written))
    assert apart(list(written))
    lines = (tmp_path / "out" / "renamed.jsonl").read_text().splitlines()
    renamed = {entry["id"]: entry["file"] for entry in map(json.loads, lines)}
    assert len(renamed) == counts["renamed"] == len(lines)
    assert not set(GOOD) & set(renamed)
    expected = {id: n + 3 for ids in (GOOD + BAD, COLLIDING) for n, id in enumerate(ids)}
    for id, length in expected.items():
        assert len(written[renamed.get(id, f"{id}.npy")]) == length


def test_webdataset_has_every_row_under_a_key_of_its_own(tokens, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = export_rows(str(tokens), str(tmp_path / "out"), "webdataset")
    found = samples(tmp_path / "out")
    assert counts["rows"] == len(found) == len(GOOD + BAD + COLLIDING)
    assert {sample["json"]["id"] for sample in found.values()} == {*GOOD, *BAD, *COLLIDING}
    assert all(set(sample) == {"npy", "json"} for sample in found.values())
    assert all(map(portable, found))
    assert apart(list(found))
    assert found["sub/fine"]["npy"] == [0, 1, 2, 3]
    assert found["fine_wav"]["json"]["id"] == "fine.wav"
    # the pattern of members that the webdataset library passes over
    assert not any(re.match(r"__[^/]*__($|/)", name) for name in found)


def test_names_that_a_file_system_takes_are_kept():
    assert all(clean(id) == id for id in GOOD)
    assert clean("../x") == "__/x"
    assert clean("/data/a.wav") == "data/a.wav"
    assert clean("s3://b/k.wav") == "s3_/b/k.wav"
    assert key("a.b/c.wav") == "a_b/c_wav"
    assert clean(LONG) != clean(LONG + "2")


def test_a_second_run_keeps_what_is_there(tokens, tmp_path):
    for form in ("npy", "webdataset"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = export_rows(str(tokens), str(tmp_path / form), form)
            times = {path: path.stat().st_mtime_ns for path in (tmp_path / form).rglob("*.[nt]*")}
            (gone, *_) = sorted(path for path in times if path.is_file())
            gone.unlink()
            assert export_rows(str(tokens), str(tmp_path / form), form) == first
        assert gone.is_file()
        changed = [p for p, t in times.items() if p.is_file() and p.stat().st_mtime_ns != t]
        assert changed == [gone]


def test_one_name_that_the_disk_refuses_is_one_refusal(tokens, tmp_path):
    (tmp_path / "out" / "fine.npy").mkdir(parents=True)  # a folder of that name, say
    (tmp_path / "out" / "sub").write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match=r"could not be written: 2, listed in refused\.jsonl"):
        counts = export_rows(str(tokens), str(tmp_path / "out"), "npy")
    refused = [json.loads(line) for line in (tmp_path / "out" / "refused.jsonl").open()]
    assert [entry["id"] for entry in refused] == ["fine", "sub/fine"]
    assert counts["rows"] == len(GOOD + BAD + COLLIDING) - counts["refused"]


def test_a_place_that_cannot_be_written_is_one_error(tokens, tmp_path):
    with pytest.raises(XCodec2Error, match="cannot be written"):
        export_rows(str(tokens), "/proc/nowhere", "npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(XCodec2Error, match="holds no Parquet"):
        export_rows(str(tmp_path / "empty"), str(tmp_path / "o"), "npy")


def test_urls_are_read_and_written(tokens, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.put(str(tokens), "/exports/tokens", recursive=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = export_rows("memory://exports/tokens", "memory://exports/npy", "npy")
        export_rows("memory://exports/tokens", str(tmp_path / "tars"), "webdataset")
    found = [path for path in memory.find("/exports/npy") if path.endswith(".npy")]
    assert len(found) == counts["rows"] == len(samples(tmp_path / "tars"))


def sparse(n: int, at: dict[int, object]) -> list:
    return [at.get(row) for row in range(n)]


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_what_webdataset_export_writes(streaming, tmp_path):
    """Columns that are null in the first rows, in a whole shard, everywhere."""
    datasets = pytest.importorskip("datasets")
    n = 12
    never = pa.array([None] * n, pa.string())
    shard = tmp_path / "tokens" / "data" / "codes-{}.parquet"
    write_shard(
        Path(str(shard).format("0" * 16)),
        [f"a{i}" for i in range(n)],
        text=pa.array(sparse(n, {9: "late"}), pa.string()),
        number=pa.array(sparse(n, {10: 1.5}), pa.float64()),
        other=pa.array([None] * n, pa.int64()),
        never=never,
    )
    write_shard(
        Path(str(shard).format("1" * 16)),
        [f"b{i}" for i in range(n)],
        text=pa.array(sparse(n, {0: "there"}), pa.string()),
        number=pa.array([None] * n, pa.float64()),
        other=pa.array(sparse(n, {7: 7}), pa.int64()),
        never=never,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_rows(str(tmp_path / "tokens"), str(tmp_path / "tars"), "webdataset")
    loaded = datasets.load_dataset(
        "webdataset",
        data_files=str(tmp_path / "tars" / "*.tar"),
        split="train",
        streaming=streaming,
        **({} if streaming else {"cache_dir": str(tmp_path / "cache")}),
    )
    rows = {row["json"]["id"]: row for row in loaded}
    assert len(rows) == 2 * n
    values = {
        (id, name): row["json"][name]
        for id, row in rows.items()
        for name in ("text", "number", "other")
        if row["json"][name] is not None
    }
    assert values == {
        ("a9", "text"): "late",
        ("a10", "number"): 1.5,
        ("b0", "text"): "there",
        ("b7", "other"): 7,
    }
    assert list(rows["b3"]["npy"]) == list(range(6))


def test_the_command_tells_what_it_renamed_and_exits_well(tokens, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "xcodec2.cli", "export", tokens, tmp_path / "out", "--to", "npy"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(GOOD + BAD + COLLIDING)} rows written, 1 with an error left out\n"
    assert done.stderr.startswith("xcodec2: warning: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.strip().isprintable()
