"""Every kind of source gives its recordings once, in order, under ids that stay."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pickle
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sounds import encoded, tone

from xcodec2.corpus import read_corpus
from xcodec2.errors import AudioError, XCodec2Error

RATE = 8_000


def wav(samples: int) -> bytes:
    return encoded(tone(samples, RATE)[None], RATE, format="WAV")


def lengths(source: object, **how: str) -> dict[str, int]:
    """The samples of each recording, by id."""
    return {r.id: r.load().num_samples for r in read_corpus(source, **how)}


def described(source: object, **how: str) -> dict[str, dict]:
    return {recording.id: dict(recording.columns) for recording in read_corpus(source, **how)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Audio at two depths, files that are not audio, hidden files."""
    root = tmp_path / "corpus"
    for name, samples in {
        "b.wav": 200,
        "a/2.wav": 300,
        "a/1.WAV": 400,
        ".hidden.wav": 500,
        ".trash/x.wav": 9,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(wav(samples))
    (root / "notes.txt").write_text("not audio")
    return root


def test_folder_glob_and_file(folder):
    assert list(lengths(folder).items()) == [("b.wav", 200), ("a/1.WAV", 400), ("a/2.wav", 300)]
    assert lengths(f"{folder}/a/*") == {"1.WAV": 400, "2.wav": 300}
    assert lengths(f"{folder}/**/*.wav") == {"b.wav": 200, "a/2.wav": 300}
    assert lengths(folder / "b.wav") == {"b.wav": 200}
    assert [r.source for r in read_corpus(folder / "b.wav")] == [f"{folder}/b.wav"]


def test_a_folder_gives_all_that_encode_reads_and_counts_the_rest(folder):
    others = [
        "sph",
        "spx",
        "mov",
        "mkv",
        "mp2",
        "wv",
        "tta",
        "caf",
        "au",
        "snd",
        "opus",
        "wma",
        "ac3",
        "voc",
        "m4b",
        "Webm",
        "3gp",
        "ogv",
        "wv1",
        "w64",
    ]
    for suffix in others:
        (folder / f"x.{suffix}").write_bytes(b"")
    (folder / "a" / "more.TXT").touch()
    (folder / "a" / "README").touch()
    (folder / "a" / "headerless.pcm").touch()
    (folder / ".DS_Store").touch()
    with pytest.warns(UserWarning, match="left out") as caught:
        found = {recording.id for recording in read_corpus(folder)}
    assert found == {"b.wav", "a/1.WAV", "a/2.wav", *(f"x.{suffix}" for suffix in others)}
    assert [str(warning.message) for warning in caught] == [
        f"{folder}: left out 4 files (2 .txt, 1 without a suffix, 1 .pcm): no suffix of audio"
    ]


@pytest.mark.filterwarnings("error")
def test_what_is_not_left_out_is_not_spoken_of(folder):
    (folder / "notes.txt").unlink()
    assert len(list(read_corpus(folder))) == 3
    assert len(list(read_corpus(f"{folder}/a/*"))) == 2


def test_one_channel_of_every_recording(tmp_path):
    voice = tone(800, RATE)
    (tmp_path / "two.wav").write_bytes(encoded(np.stack([voice, -voice]), RATE, format="WAV"))
    (tmp_path / "one.wav").write_bytes(encoded(voice[None], RATE, format="WAV"))
    one, two = read_corpus(tmp_path, channel=1)
    assert two.load(RATE).waveform.max() > 0.4
    with pytest.raises(AudioError, match=r"one\.wav: has one channel, 0; there is no channel 1"):
        one.load(RATE)


def test_nothing_and_mixtures_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(XCodec2Error, match="holds no recordings"):
        list(read_corpus(tmp_path / "empty"))
    with pytest.raises(XCodec2Error, match="no such file"):
        list(read_corpus(tmp_path / "missing.tsv"))
    (folder / "z.tar").write_bytes(b"")
    with pytest.raises(XCodec2Error, match=r"holds audio and \.tar files; give a glob"):
        list(read_corpus(folder))


def test_text_manifests(folder):
    rows = [
        {"id": "one", "path": "b.wav", "text": 'says "two\nlines"', "speaker": "x"},
        {"id": "two", "path": "a/2.wav", "text": "ein\tTab", "speaker": ""},
        {"id": "none", "path": "", "text": "no audio", "speaker": "x"},
    ]
    for name, delimiter in (("m.tsv", "\t"), ("m.csv", ",")):
        with (folder / name).open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    (folder / "m.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    (folder / "m.jsonl.gz").write_bytes(gzip.compress((folder / "m.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet", row_group_size=2)
    for name in ("m.tsv", "m.csv", "m.jsonl", "m.jsonl.gz", "m.parquet"):
        found = list(read_corpus(folder / name))
        assert [r.id for r in found] == ["one", "two", "none"], name
        assert [r.load().num_samples for r in found[:2]] == [200, 300]
        assert found[1].source == f"{folder}/a/2.wav"
        assert [dict(r.columns) for r in found] == [
            {k: v for k, v in row.items() if k != "id"} for row in rows
        ]
        with pytest.raises(
            AudioError, match=r"m\..*#.*: (its column 'path' names no file|the audio cell is empty)"
        ):
            found[2].load()
    assert list(described(folder / "m.csv", id_column="text")) == [
        'says "two\nlines"',
        "ein\tTab",
        "no audio",
    ]


def test_columns_are_named_or_found(folder):
    (folder / "m.csv").write_text("audio_filepath,other\nb.wav,a/2.wav\n")
    assert lengths(folder / "m.csv") == {"b.wav": 200}
    assert lengths(folder / "m.csv", audio_column="other") == {"a/2.wav": 300}
    with pytest.raises(
        XCodec2Error, match="has no column 'sound' for the audio; it has audio_filepath, other"
    ):
        list(read_corpus(folder / "m.csv", audio_column="sound"))
    with pytest.raises(XCodec2Error, match="has no column 'name' for the id"):
        list(read_corpus(folder / "m.csv", id_column="name"))
    (folder / "n.csv").write_text("who,what\na,b\n")
    with pytest.raises(XCodec2Error, match="no column is called audio"):
        list(read_corpus(folder / "n.csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.tsv", 'path\ttext\nb.wav\t"open quote\na/2.wav\tx\n', "line 3: .*quoting"),
        ("m.tsv", "path\ttext\nb.wav\n", "line 2: 1 fields where the header has 2"),
        ("m.jsonl", '{"path": "b.wav"}\n{"path": \n', "line 2: not JSON"),
        ("m.jsonl", "[1]\n", "line 1: a list, not an object"),
        ("m.parquet", "PAR1 not", "not a readable Parquet file"),
    ],
)
def test_damaged_manifests_are_refused_with_the_line(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(XCodec2Error, match=message):
        list(read_corpus(folder / name))


def test_an_id_may_not_come_twice(folder):
    (folder / "m.csv").write_text("id,path\nx,b.wav\ny,a/2.wav\nx,a/2.wav\n")
    with pytest.raises(
        XCodec2Error, match=r"two recordings have the id 'x': .*/b.wav and .*/a/2.wav;"
    ):
        list(read_corpus(folder / "m.csv"))


def test_parquet_with_audio_inside(folder, tmp_path):
    audio = [{"bytes": wav(10 * n), "path": f"{n}.wav"} for n in range(1, 8)]
    audio.append({"bytes": None, "path": "b.wav"})
    table = pa.table({"text": [str(n) for n in range(8)], "audio": audio})
    (tmp_path / "shards").mkdir()
    shutil.copy(folder / "b.wav", tmp_path / "shards" / "b.wav.keep")
    pq.write_table(table.slice(0, 7), tmp_path / "shards" / "a.parquet", row_group_size=3)
    assert lengths(tmp_path / "shards") == {f"a.parquet#{n}": 10 * (n + 1) for n in range(7)}
    assert described(tmp_path / "shards")["a.parquet#4"] == {"text": "4"}
    pq.write_table(table.slice(7), folder / "by_path.parquet")
    assert lengths(folder / "by_path.parquet") == {"by_path.parquet#0": 200}
    arrays = pa.table({"audio": [{"array": [0.0, 0.5, -0.5], "sampling_rate": 16_000}]})
    pq.write_table(arrays, tmp_path / "arrays.parquet")
    (recording,) = read_corpus(tmp_path / "arrays.parquet")
    assert recording.load().waveform.tolist() == [0.0, 0.5, -0.5]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Two tars of the same keys, the second with a sample that has no audio."""
    root = tmp_path / "tars"
    root.mkdir()
    for shard in (0, 1):
        with tarfile.open(root / f"{shard:04}.tar", "w") as archive:
            for n in range(3):
                add(archive, f"d/{n}.json", json.dumps({"speaker": n}).encode())
                if (shard, n) != (1, 2):
                    add(archive, f"d/{n}.wav", wav(100 * (3 * shard + n + 1)))
                add(archive, f"d/{n}.txt", f" text {shard} {n}\n".encode())
    return root


def test_webdataset(tars):
    found = list(read_corpus(tars))
    assert [r.id for r in found] == [f"{s:04}/d/{n}" for s in (0, 1) for n in range(3)]
    assert [r.load().num_samples for r in found[:5]] == [100, 200, 300, 400, 500]
    assert found[4].source == f"{tars}/0001.tar::d/1.wav"
    assert dict(found[4].columns) == {"speaker": 1, "text": "text 1 1"}
    with pytest.raises(AudioError, match=r"0001.tar::d/2: has no audio member, only json, txt"):
        found[5].load()
    assert list(lengths(tars / "0000.tar")) == ["0000/d/0", "0000/d/1", "0000/d/2"]
    assert lengths(tars / "0000.tar", id_column="speaker") == {"0": 100, "1": 200, "2": 300}


def test_damaged_and_ambiguous_tars_are_refused(tars):
    whole = (tars / "0000.tar").read_bytes()
    for damaged in (whole[:3000], whole[:1500] + b"x" * 3000, gzip.compress(whole)):
        (tars / "0000.tar").write_bytes(damaged)
        with pytest.raises(XCodec2Error, match="damaged, cut short or compressed"):
            list(read_corpus(tars))
    with tarfile.open(tars / "0000.tar", "w") as archive:
        add(archive, "x.near.wav", wav(5))
        add(archive, "x.far.wav", wav(6))
    with pytest.raises(AudioError, match=r"has the audio members near.wav, far.wav; name one"):
        next(read_corpus(tars / "0000.tar")).load()
    assert lengths(tars / "0000.tar", audio_column="far.wav") == {"0000/x": 6}


def test_data_sets_saved_by_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {
        "audio": [{"bytes": wav(10 * n), "path": f"{n}.wav"} for n in (1, 2, 3)],
        "text": ["a", "b", "c"],
    }
    train = datasets.Dataset(pa.table(rows)).cast_column("audio", datasets.Audio())
    train.save_to_disk(str(tmp_path / "one"))
    assert lengths(tmp_path / "one") == {"row#0": 10, "row#1": 20, "row#2": 30}
    assert described(tmp_path / "one", id_column="text") == {"a": {}, "b": {}, "c": {}}
    both = datasets.DatasetDict({"train": train, "test": train.select([2])})
    both.save_to_disk(str(tmp_path / "two"))
    assert lengths(tmp_path / "two", split="test") == {"test#0": 30}
    with pytest.raises(XCodec2Error, match="has the splits train, test; name one"):
        list(read_corpus(tmp_path / "two"))
    train.to_parquet(tmp_path / "train.parquet")
    assert lengths(tmp_path / "train.parquet") == {
        "train.parquet#0": 10,
        "train.parquet#1": 20,
        "train.parquet#2": 30,
    }


def test_other_file_systems(folder, tars):
    memory = fsspec.filesystem("memory")
    try:
        memory.put(str(folder), "/corpus", recursive=True)
        memory.put(str(tars / "0000.tar"), "/tars/0000.tar")
        memory.pipe("/corpus/m.csv", b"path,text\nb.wav,x\nmemory://corpus/a/2.wav,y\n")
        assert lengths("memory://corpus/a") == {"1.WAV": 400, "2.wav": 300}
        assert lengths("memory://corpus/**/*.wav") == {"a/2.wav": 300, "b.wav": 200}
        assert lengths("memory://corpus/m.csv") == {"b.wav": 200, "memory://corpus/a/2.wav": 300}
        assert lengths("memory://tars/*.tar") == {"0000/d/0": 100, "0000/d/1": 200, "0000/d/2": 300}
    finally:
        memory.rm("/", recursive=True)


def test_recordings_travel_and_failures_name_the_source(folder):
    (folder / "m.csv").write_text("path\nb.wav\ngone.wav\nm.csv\nmemory://gone.wav\n")
    good, *bad = pickle.loads(pickle.dumps(list(read_corpus(folder / "m.csv"))))
    assert good.load(16_000).waveform.shape == (400,)
    for recording in bad:
        with pytest.raises(AudioError, match=r"gone.wav|m.csv") as caught:
            recording.load()
        assert recording.source in str(caught.value)


def test_names_that_are_not_utf8(folder):
    os.rename(os.fsencode(folder / "b.wav"), os.fsencode(folder) + b"/\xff.wav")
    assert "\\udcff.wav" in lengths(folder)


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(rows: int) -> int:
        manifest = tmp_path / f"{rows}.tsv"
        manifest.write_text(
            "id\tpath\ttext\n" + "".join(f"{n}\t{n}.wav\t{'x' * 100}\n" for n in range(rows))
        )
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_corpus(manifest)) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported and cached at first use
    assert peak(10_000) < peak(1_000) + 100_000


def test_arrays_are_float32(tmp_path):
    pq.write_table(
        pa.table({"audio": [{"array": np.ones(4), "sampling_rate": 16_000}]}),
        tmp_path / "a.parquet",
    )
    (recording,) = read_corpus(tmp_path / "a.parquet")
    array, rate = recording.open()
    assert array.dtype == np.float32
    assert rate == 16_000
