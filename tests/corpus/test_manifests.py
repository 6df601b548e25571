"""What people hand us: lists, pipes, other encodings, addresses, tars."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifests import SOUND, lengths, reason, texts, wav

from xcodec2.corpus import read_corpus
from xcodec2.errors import AudioError, XCodec2Error

# ---- lists ---------------------------------------------------------------------------------------


def test_lists_of_paths(folder):
    paths = ["wavs/LJ001-0001.wav", str(folder / "wavs" / "LJ001-0002.wav"), "wavs/no.wav"]
    (folder / "list.txt").write_text("\n".join(paths) + "\n\n")
    *good, bad = read_corpus(folder / "list.txt")
    assert {r.id: r.load().num_samples for r in good} == {paths[0]: 1_000, paths[1]: 2_000}
    assert "no such file" in reason(bad).lower()
    (folder / "list.lst").write_bytes(b"wavs/LJ001-0001.wav\tsaid, in it\r\na.wav\tmore\r\n")
    assert texts(folder / "list.lst") == {"wavs/LJ001-0001.wav": "said, in it", "a.wav": "more"}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.txt", "train.list"])
def test_ljspeech_pipes(folder, name):
    (folder / name).write_text(
        'LJ001-0001|Dr. "Who said|Doctor "Who said\nLJ001-0002|he, and 2|he, and two\n'
    )
    found = list(read_corpus(folder / name))
    assert lengths(folder / name) == {"LJ001-0001": 1_000, "LJ001-0002": 2_000}
    assert [r.columns["text"] for r in found] == ['Dr. "Who said', "he, and 2"]
    assert [r.columns["normalized_text"] for r in found] == ['Doctor "Who said', "he, and two"]


def test_pipes_with_paths_and_with_a_header(folder):
    (folder / "filelist.txt").write_text("wavs/LJ001-0001.wav|one\nwavs/LJ001-0002.wav|two\n")
    assert texts(folder / "filelist.txt") == {
        "wavs/LJ001-0001.wav": "one",
        "wavs/LJ001-0002.wav": "two",
    }
    assert list(lengths(folder / "filelist.txt").values()) == [1_000, 2_000]
    (folder / "coqui.csv").write_text('audio_file|text|speaker\na.wav|says "x|S\n')
    assert texts(folder / "coqui.csv") == {"a.wav": 'says "x'}
    (folder / "excel.csv").write_text("Path;Text\na.wav;one, two\n")
    assert [r.columns["Text"] for r in read_corpus(folder / "excel.csv")] == ["one, two"]


def test_audiofolder(folder):
    (folder / "metadata.csv").write_text(
        "file_name,transcription\nwavs/LJ001-0001.wav,x\na.wav,y\n"
    )
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "wavs/LJ001-0001.wav", "transcription": "x"}\n'
        '{"file_name": "a.wav", "transcription": "y"}\n'
    )
    for name in ("metadata.csv", "metadata.jsonl"):
        assert lengths(folder / name) == {"wavs/LJ001-0001.wav": 1_000, "a.wav": 40_000}


def test_lists_of_wav2vec(folder):
    (folder / "train.tsv").write_text(
        f"{folder}/wavs\nLJ001-0001.wav\t1000\nLJ001-0002.wav\t9000\n"
    )
    good, bad = read_corpus(folder / "train.tsv")
    assert good.load().num_samples == 1_000
    assert "said to be 9000" in reason(bad)


@pytest.mark.parametrize(
    ("header", "id"),
    [("ID,Path", "x"), ("Utt-ID,Audio Path", "x"), ("uttId,fileName", "x"), ("Key,FILE_NAME", "x")],
)
def test_names_of_columns_whatever_their_case(folder, header, id):
    (folder / "m.csv").write_text(f"{header}\nx,a.wav\n")
    assert lengths(folder / "m.csv") == {id: 40_000}
    audio = header.partition(",")[2]
    assert lengths(folder / "m.csv", audio_column=audio.upper()) == {id: 40_000}


def test_long_fields(folder):
    (folder / "m.csv").write_text(f'path,text\na.wav,"{"x" * 1_000_000}"\n')
    assert [len(text) for text in texts(folder / "m.csv").values()] == [1_000_000]


def test_a_folder_with_nothing_but_manifests_says_so(folder, tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "cuts.jsonl.gz").touch()
    with pytest.raises(XCodec2Error, match=r"name one of its manifests: cuts.jsonl.gz"):
        list(read_corpus(tmp_path / "lists"))


# ---- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "encoding", "message"),
    [
        ("m.csv", "path,text\na.wav,été\n", "latin-1", r"m.csv, line 2: not UTF-8 \(byte 0xe9\)"),
        ("m.tsv", "path\ttext\n\na.wav\tété\n", "cp1252", r"m.tsv, line 3: not UTF-8"),
        ("m.csv", "path,text\na.wav,été\n", "utf-16", r"m.csv, line 1: is utf-16, not UTF-8"),
        ("m.csv", "path,text\na.wav,no\n", "utf-16-le", r"m.csv, line 1: holds NUL"),
        ("m.jsonl", '{"path": "a.wav", "text": "été"}\n', "latin-1", "m.jsonl, line 1: not UTF-8"),
        ("m.txt", "a.wav\té\n", "latin-1", "m.txt, line 1: not UTF-8"),
        ("m.csv", "a|été\n", "latin-1", "m.csv, line 1: not UTF-8"),
    ],
)
def test_encodings_are_refused_with_the_line_or_read(folder, name, content, encoding, message):
    (folder / name).write_bytes(content.encode(encoding))
    with pytest.raises(XCodec2Error, match=f"{message}.*--encoding"):
        list(read_corpus(folder / name))
    (text,) = texts(folder / name, encoding=encoding).values()
    assert text in ("été", "no", "é")
    (folder / f"{name}.gz").write_bytes(gzip.compress(content.encode(encoding)))
    with pytest.raises(XCodec2Error, match="line"):
        list(read_corpus(folder / f"{name}.gz"))


def test_encodings_that_do_not_fit_or_do_not_exist(folder):
    (folder / "m.csv").write_text("path,text\na.wav,été\n")
    with pytest.raises(XCodec2Error, match="line 2: not ascii"):
        list(read_corpus(folder / "m.csv", encoding="ascii"))
    with pytest.raises(XCodec2Error, match="'klingon' is no encoding"):
        read_corpus(folder / "m.csv", encoding="klingon")


# ---- addresses, tokens beside audio --------------------------------------------------------------


def test_addresses_of_a_manifest_can_be_refused(folder):
    paths = ["a.wav", f"file://{folder}/a.wav", "http://127.0.0.1:9/x.wav", "memory://x.wav"]
    (folder / "m.csv").write_text("path\n" + "\n".join(paths) + "\n")
    (folder / "wav.scp").write_text(f"x file://{folder}/a.wav\n")
    assert reason_or_length(next(read_corpus(folder / "wav.scp"))) == 40_000
    good, *bad = read_corpus(folder / "m.csv", remote=False)
    assert good.load().num_samples == 40_000
    for recording in [*bad, next(read_corpus(folder / "wav.scp", remote=False))]:
        assert "is an address, which --no-remote refuses" in reason(recording)
    assert reason_or_length(list(read_corpus(folder / "m.csv"))[1]) == 40_000


def reason_or_length(recording) -> object:
    return recording.load().num_samples


def test_addresses_in_the_cells_of_tables_can_be_refused(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"audio": {"bytes": None, "path": path}} for path in (f"file://{folder}/a.wav", "a.wav")
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "m.parquet")
    bad, good = read_corpus(folder / "m.parquet", remote=False)
    assert "--no-remote" in reason(bad)
    assert good.load().num_samples == 40_000


def test_tokens_below_the_audio_are_left_out(folder):
    for out in ("tok", "wavs/deep/tok"):
        (folder / out / "data").mkdir(parents=True)
        (folder / out / "extraction.json").write_text("{}")
        (folder / out / "data" / "codes-0.parquet").touch()
    expected = {"a.wav", "two.wav", "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav"}
    assert set(lengths(folder)) == expected
    assert set(lengths(f"{folder}/**/*.[wp]a*")) == expected
    (folder / "tok" / "data" / "x.wav").touch()  # of the folder itself, everything is read
    assert [r.id for r in read_corpus(folder / "tok" / "data" / "x.wav")] == ["x.wav"]


# ---- tars ----------------------------------------------------------------------------------------


def packed(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_odd_samples_of_a_tar_cost_a_row_each(folder):
    sound = wav(SOUND[:500])
    tar = packed(
        folder / "t.tar",
        [
            ("./._good.wav", b"resource fork"),
            ("./.DS_Store", b"x"),
            ("__MACOSX/d/._good.wav", b"x"),
            ("./good.wav", sound),
            ("./good.txt", "été".encode()),
            ("./d/latin.wav", sound),
            ("./d/latin.txt", "été".encode("latin-1")),
            ("two.near.wav", sound),
            ("two.far.wav", sound),
            ("twice.wav", sound),
            ("twice.wav", sound),
            ("torn.wav", sound),
            ("json.json", b"{"),
            ("json.wav", sound),
            ("torn.txt", b"too late"),
            ("README", b"no sample"),
            ("last.json", b'{"speaker": 1}'),
            ("last.WAV", sound),
        ],
    )
    found = {r.id: r for r in read_corpus(tar)}
    names = ["good", "d/latin", "two", "twice", "torn", "json", "README", "last"]
    assert list(found) == [f"t/{name}" for name in names]
    assert {i for i in found if i in ("t/good", "t/last")} == {
        i for i, r in found.items() if not fails(r)
    }
    assert found["t/good"].columns == {"text": "été"}
    for name, why in {
        "d/latin": "its .txt cannot be read",
        "two": "has the audio members near.wav, far.wav",
        "twice": "holds .wav twice",
        "torn": "do not stand together",
        "json": "its .json cannot be read",
        "README": "has no audio member",
    }.items():
        assert why in reason(found[f"t/{name}"])
    assert texts(tar, encoding="latin-1")["t/d/latin"] == "été"


def fails(recording) -> bool:
    try:
        recording.load()
    except AudioError:
        return True
    return False


@pytest.mark.parametrize("part", [{}, {"start": 0.0, "end": 0.01}])
def test_members_that_are_no_audio_are_called_by_archive_and_name(folder, part):
    """Warnings, too; and so are the cells of tables and files on other file systems."""
    both = np.stack([SOUND[:500], -SOUND[:500]], 1)
    said = json.dumps(part).encode()
    tar = packed(
        folder / "t.tar",
        [("a.wav", b"no audio"), ("a.json", said), ("d/b.wav", wav(both)), ("d/b.json", said)],
    )
    bad, opposite = read_corpus(tar)
    assert reason(bad).startswith(f"{tar}::a.wav: not audio"), reason(bad)
    with pytest.warns(UserWarning, match=re.escape(f"{tar}::d/b.wav: the average of its 2")):
        opposite.load()
    table = folder / "t.parquet"
    pq.write_table(pa.Table.from_pylist([{"audio": b"no audio", **part}]), table)
    (cell,) = read_corpus(table)
    assert reason(cell).startswith(f"{table}#0: not audio")
    memory = fsspec.filesystem("memory")
    try:
        memory.pipe("/bad/a.wav", b"no audio")
        memory.pipe("/bad/m.jsonl", json.dumps({"path": "a.wav", **part}).encode())
        (remote,) = read_corpus("memory://bad/m.jsonl")
        assert re.search(r"bad/a\.wav: not audio", reason(remote))
    finally:
        memory.rm("/", recursive=True)


def test_names_with_dots_keep_their_texts(folder):
    """The first dot ends a key of WebDataset's; what follows tells what belongs to what."""
    sound = wav(SOUND[:500])
    tar = packed(
        folder / "t.tar",
        [
            ("d/1.5_a.wav", sound),
            ("d/1.5_a.txt", b"one"),
            ("d/1.5_a.json", b'{"speaker": "s"}'),
            ("b.near.wav", sound),
            ("b.far.txt", b"of another member"),
            ("b.json", b'{"text": "of all"}'),
        ],
    )
    first, second = read_corpus(tar)
    assert (first.id, first.columns) == ("t/d/1", {"text": "one", "speaker": "s"})
    assert (second.id, second.columns) == ("t/b", {"text": "of all"})


def test_links_in_a_tar_are_rows_with_a_reason(folder):
    tar = folder / "t.tar"
    with tarfile.open(tar, "w") as archive:
        kinds = {"a": tarfile.REGTYPE, "b": tarfile.LNKTYPE, "c": tarfile.SYMTYPE}
        for name, kind in kinds.items():
            info = tarfile.TarInfo(f"{name}.wav")
            info.type, info.linkname = kind, "" if name == "a" else "a.wav"
            info.size = len(wav(SOUND[:500])) if name == "a" else 0
            archive.addfile(info, io.BytesIO(wav(SOUND[:500])))
    whole, *links = read_corpus(tar)
    assert whole.load().num_samples == 500
    assert [r.id for r in links] == ["t/b", "t/c"]
    assert all("is a link to a.wav, and holds nothing" in reason(r) for r in links)


def test_tars_that_were_laid_one_behind_another(folder):
    """As `cat` does; tar itself stops at the end of the first one."""
    parts = [packed(folder / f"{n}.tar", [(f"{n}.wav", wav(SOUND[:n]))]) for n in (300, 500)]
    both = b"".join(part.read_bytes() for part in parts)
    (folder / "both.tar").write_bytes(both)
    assert lengths(folder / "both.tar") == {"both/300": 300, "both/500": 500}
    (folder / "both.tar").write_bytes(parts[0].read_bytes() + b"a remark")
    assert lengths(folder / "both.tar") == {"both/300": 300}
    (folder / "both.tar").write_bytes(both[: 10_240 + 700])
    with pytest.raises(XCodec2Error, match="damaged, cut short"):
        lengths(folder / "both.tar")


def test_names_in_tars_that_are_not_utf8(folder):
    tar = packed(folder / "t.tar", [("\udcff.wav", wav(SOUND[:500]))])
    assert lengths(tar) == {"t/\\udcff": 500}


def test_an_id_missing_in_one_sample_costs_its_row(folder):
    members = [("a.json", b'{"name": "x"}'), ("b.json", b"{}")]
    members = [(n, c) for j in members for n, c in (j, (j[0][0] + ".wav", wav(SOUND[:500])))]
    tar = packed(folder / "t.tar", members)
    good, bad = read_corpus(tar, id_column="name")
    assert (good.id, good.load().num_samples) == ("x", 500)
    assert (bad.id, "has no 'name' for the id" in reason(bad)) == ("t/b", True)
