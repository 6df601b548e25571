"""Manifests of toolkits: Kaldi's folders, lhotse's and NeMo's JSON lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import fsspec
import pytest
from manifests import SOUND, is_part, lengths, reason, wav

from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error

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
