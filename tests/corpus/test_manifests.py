"""What people hand us: lists, pipes, Kaldi's folders, lhotse's and NeMo's manifests, other
encodings.
"""

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
import soundfile

from xcodec2.audio import load_audio
from xcodec2.corpus import read_corpus
from xcodec2.errors import AudioError, XCodec2Error

RATE = 8_000
SOUND = (np.arange(5 * RATE) / (5 * RATE) - 0.5).astype(np.float32)


def wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, subtype="FLOAT", format="WAV")
    return content.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "wavs").mkdir()
    (tmp_path / "a.wav").write_bytes(wav(SOUND))
    (tmp_path / "two.wav").write_bytes(wav(np.stack([SOUND, -SOUND], 1)))
    for n in (1, 2):
        (tmp_path / "wavs" / f"LJ001-000{n}.wav").write_bytes(wav(SOUND[: 1_000 * n]))
    return tmp_path


def lengths(source: object, **how: object) -> dict[str, int]:
    return {r.id: r.load().num_samples for r in read_corpus(source, **how)}


def texts(source: object, **how: object) -> dict[str, object]:
    return {r.id: r.columns.get("text") for r in read_corpus(source, **how)}


def reason(recording) -> str:
    with pytest.raises(AudioError) as caught:
        recording.load()
    return str(caught.value)


def is_part(recording, begin: int, end: int, sign: int = 1) -> bool:
    expected = load_audio(sign * SOUND[begin:end], RATE)
    return bool((recording.load().waveform == expected.waveform).all())


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


# ---- Kaldi ---------------------------------------------------------------------------------------


@pytest.fixture
def kaldi(folder: Path) -> Path:
    root = folder / "data" / "train"
    root.mkdir(parents=True)
    files = {
        "wav.scp": f"""rec1 {folder}/a.wav
rec2 {folder}/two.wav 8000
rec3 sph2pipe -f wav -p /corpus/x.sph |
rec4 ../../a.wav
rec5 {folder}/a.wav 16000
rec6 wav.ark:123
""",
        "segments": """u1 rec1 1.0 2.5
u2 rec2 0.1 0.29 1
u3 rec3 0 1
u4 rec4 4.5 -1
u5 rec9 0 1
u6 rec1 4.0 5.5
u7 rec5 0.0 1.0
u8 rec6 0 1
u9 rec2 0.5 1.0
""",
        "text": "u1 one two\nu2 DREI  VIER\nu4\n",
        "utt2spk": "u1 S1\nu2 S2\n",
        "spk2gender": "S1 f\n",
    }
    for name, content in files.items():
        (root / name).write_text(content)
    return root


def test_kaldi_with_segments(kaldi, folder):
    for source in (kaldi, kaldi / "wav.scp"):
        u1, u2, u3, u4, u5, u6, u7, u8, u9 = read_corpus(source)
        assert is_part(u1, 8_000, 20_000)
        assert is_part(u2, 800, 2_320, sign=-1)  # its second channel
        assert is_part(u4, 36_000, 40_000)
        assert not u9.load().waveform.any()  # both channels, which are opposite
        assert "output of a command (sph2pipe …)" in reason(u3)
        assert "rec9 is not in" in reason(u5)
        assert "ends beyond the end of the file" in reason(u6)
        assert "is at 8000 Hz, but the part 0.0-1.0 is stated for 16000 Hz" in reason(u7)
        assert "Kaldi archive" in reason(u8)
    assert u1.source == f"{folder}/a.wav#1.0-2.5s"
    assert u1.columns == {
        "text": "one two",
        "speaker": "S1",
        "gender": "f",
        "recording": "rec1",
        "start": 1.0,
        "end": 2.5,
    }
    assert [u2.columns["text"], u4.columns["text"]] == ["DREI  VIER", ""]


def test_kaldi_without_segments(kaldi):
    (kaldi / "segments").unlink()
    (kaldi / "text").write_text("rec1 whole\n")
    (kaldi / "utt2dur").write_text("rec1 5.0\nrec4 4.0\n")
    rec1, rec2, rec3, rec4, rec5, _ = read_corpus(kaldi)
    assert is_part(rec1, 0, 40_000)
    assert (rec1.id, rec1.columns["text"]) == ("rec1", "whole")
    assert rec2.load().num_samples == 40_000
    assert "command" in reason(rec3)
    assert "said to be 4.0" in reason(rec4)
    assert "16000 Hz" in reason(rec5)


def test_kaldi_paths_are_from_the_folder_or_from_here(kaldi, folder, monkeypatch):
    (kaldi / "wav.scp").write_text("rec1 wavs/LJ001-0001.wav\n")
    (kaldi / "segments").unlink()
    monkeypatch.chdir(folder)
    assert lengths(kaldi) == {"rec1": 1_000}
    (kaldi / "wav.scp").write_text("rec1\nrec1 x.wav\n")
    with pytest.raises(XCodec2Error, match=r"wav.scp: holds 'rec1' twice"):
        list(read_corpus(kaldi))
    (kaldi / "wav.scp").write_text("rec1 a.wav\n")
    (kaldi / "segments").write_text("u1 rec1 0\n")
    with pytest.raises(XCodec2Error, match=r"segments, line 1: 3 fields"):
        list(read_corpus(kaldi))


# ---- lhotse, NeMo --------------------------------------------------------------------------------

# as lhotse 1.33.0 writes them
RECORDINGS = [
    {"id": name, "sources": [{"type": "file", "channels": list(range(n)), "source": f"{name}.wav"}]}
    | {"sampling_rate": 8000, "num_samples": 40000, "duration": 5.0, "channel_ids": list(range(n))}
    for name, n in {"a": 1, "two": 2}.items()
]
SUPERVISIONS = [
    {"id": "a-1", "recording_id": "a", "start": 1.0, "duration": 0.5, "channel": 0}
    | {"text": "first words", "language": "en", "speaker": "S1"},
    {"id": "a-2", "recording_id": "a", "start": 2.25, "duration": 1.1003, "channel": 1}
    | {"text": "more words", "speaker": "S2", "custom": {"snr": 12.5}},
    {"id": "two-1", "recording_id": "two", "start": 0.5, "duration": 0.25, "channel": 1}
    | {"text": "right side", "speaker": "S3"},
]
BAD_SUPERVISIONS = [
    {"id": "far", "recording_id": "a", "start": 4.0, "duration": 1.2, "channel": 0},
    {"id": "lost", "recording_id": "b", "start": 4.0, "duration": 1.2, "channel": 0},
    {"id": "third", "recording_id": "two", "start": 0.0, "duration": 1.0, "channel": 2},
]


def write_lines(path: Path, rows: list[dict]) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", ["jsonl.gz", "jsonl"])
def test_lhotse_recordings_and_supervisions(folder, suffix):
    write_lines(folder / f"x_recordings_dev.{suffix}", RECORDINGS)
    assert lengths(folder / f"x_recordings_dev.{suffix}") == {"a": 40_000, "two": 40_000}
    write_lines(folder / f"x_supervisions_dev.{suffix}", SUPERVISIONS + BAD_SUPERVISIONS)
    first, more, right, far, lost, third = read_corpus(folder / f"x_supervisions_dev.{suffix}")
    assert is_part(first, 8_000, 12_000)
    assert is_part(more, 18_000, 18_000 + 8_802)  # lhotse, too, rounds 8802.4 to 8,802
    assert is_part(right, 4_000, 6_000, sign=-1)
    assert first.columns == {
        "text": "first words",
        "speaker": "S1",
        "language": "en",
        "recording_id": "a",
        "start": 1.0,
        "duration": 0.5,
    }
    assert more.columns["custom"] == {"snr": 12.5}
    assert "ends beyond the end of the file" in reason(far)
    assert "its recording 'b' is not in" in reason(lost)
    assert "asks for channel 2 of a recording whose files have [0, 1]" in reason(third)
    (folder / f"x_recordings_dev.{suffix}").unlink()
    with pytest.raises(
        XCodec2Error, match=r"whose recordings are looked for in .*x_recordings_dev"
    ):
        list(read_corpus(folder / f"x_supervisions_dev.{suffix}"))


def cut(supervision: dict, **more: object) -> dict:
    (recording,) = (r for r in RECORDINGS if r["id"] == supervision["recording_id"])
    place = {name: supervision[name] for name in ("id", "start", "duration", "channel")}
    return (
        place | {"supervisions": [supervision | {"start": 0.0}], "recording": recording} | more
    ) | {"type": more.get("type", "MonoCut")}


def test_lhotse_cuts(folder):
    moved = json.loads(json.dumps(RECORDINGS[0])) | {"transforms": [{"name": "Speed"}]}
    command = {"type": "command", "channels": [0], "source": "sox x.sph -t wav -"}
    long = SUPERVISIONS[0] | {"start": 0.0, "duration": 2.0}
    both = [SUPERVISIONS[0] | {"start": 0.0, "duration": 0.2}]
    both.append(both[0] | {"start": 0.2, "text": "and more"})
    cuts = [
        *(cut(s) for s in SUPERVISIONS),
        cut(SUPERVISIONS[0], id="sp", recording=moved),
        cut(SUPERVISIONS[0], id="cmd", recording=RECORDINGS[0] | {"sources": [command]}),
        cut(SUPERVISIONS[0], id="long", supervisions=[long]),
        cut(SUPERVISIONS[0], id="both", supervisions=both),
        cut(SUPERVISIONS[2], id="multi", channel=[0, 1], type="MultiCut"),
        {"id": "mixed", "tracks": [], "type": "MixedCut"},
    ]
    write_lines(folder / "cuts.jsonl.gz", cuts)
    found = {r.id: r for r in read_corpus(folder / "cuts.jsonl.gz")}
    assert is_part(found["a-1"], 8_000, 12_000)
    assert is_part(found["two-1"], 4_000, 6_000, sign=-1)
    assert found["a-2"].columns["text"] == "more words"
    assert found["a-2"].columns["custom"] == {"snr": 12.5}
    assert found["both"].columns["text"] == "first words and more"
    assert not found["multi"].load().waveform.any()
    assert "transformed by lhotse" in reason(found["sp"])
    assert "(sox …)" in reason(found["cmd"])
    assert "text says more than can be heard" in reason(found["long"])
    assert "MixedCut" in reason(found["mixed"])


def test_nemo(folder):
    rows = [
        {"audio_filepath": "a.wav", "duration": 5.0, "text": "whole"},
        {"audio_filepath": "a.wav", "offset": 0.5, "duration": 0.25, "text": "part"},
        {"audio_filepath": "a.wav", "offset": 4.5, "duration": 1.0, "text": "too far"},
        {"audio_filepath": "two.wav", "duration": 2.5, "text": "where?"},
    ]
    write_lines(folder / "train_manifest.json", rows)
    whole, part, far, cut = read_corpus(folder / "train_manifest.json")
    assert is_part(whole, 0, 40_000)
    assert is_part(part, 4_000, 6_000)
    assert "beyond" in reason(far)
    assert "for a part of it, say where it starts" in reason(cut)


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


def test_remote_kaldi(folder):
    memory = fsspec.filesystem("memory")
    try:
        memory.pipe("/k/wav.scp", b"rec a.wav\n")
        memory.pipe("/k/segments", b"u rec 1.0 2.0\n")
        memory.pipe("/k/a.wav", wav(SOUND))
        (recording,) = read_corpus("memory://k")
        assert is_part(recording, 8_000, 16_000)
    finally:
        memory.rm("/", recursive=True)
