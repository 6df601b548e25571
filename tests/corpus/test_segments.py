"""Rows that are parts of files: each gets exactly its own samples, or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from sounds import encoded

from xcodec2.audio import io as audio_io
from xcodec2.audio import load_audio
from xcodec2.corpus import read_corpus
from xcodec2.corpus.times import find_columns
from xcodec2.errors import AudioError, XCodec2Error

RATE = 8_000
# every sample is another one, so that a part tells where it was cut
SOUND = (np.arange(5 * RATE) / (5 * RATE) - 0.5).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A file of 5 s, one of two channels, one of 60 s."""
    soundfile.write(tmp_path / "a.wav", SOUND, RATE, subtype="FLOAT")
    both = np.stack([SOUND, -SOUND], 1)
    soundfile.write(tmp_path / "two.wav", both, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "long.wav", np.tile(SOUND, 12), RATE, subtype="FLOAT")
    return tmp_path


def rows(folder: Path, *table: dict, name: str = "m.jsonl", **how: object) -> list:
    (folder / name).write_text("\n".join(map(json.dumps, table)))
    return list(read_corpus(folder / name, **how))


def is_part(recording, begin: int, end: int) -> bool:
    """Whether it is bit for bit what the cut-out array gives."""
    expected = load_audio(SOUND[begin:end], RATE)
    found = recording.load()
    assert (found.num_samples, found.sample_rate) == (end - begin, RATE)
    return bool((found.waveform == expected.waveform).all())


@pytest.mark.parametrize(
    ("columns", "begin", "end"),
    [
        ({"start": 1.0, "end": 2.5}, 8_000, 20_000),
        ({"start": "1.0", "stop": "2.5"}, 8_000, 20_000),
        ({"offset": 1.5, "duration": 0.25}, 12_000, 14_000),
        ({"begin_time": 0.1, "end_time": 0.29}, 800, 2_320),
        ({"Start_Time": 0.1, "EndTime": 0.29}, 800, 2_320),
        ({"start": 16_000, "end": 32_000}, 16_000, 32_000),
        ({"start": 16_001, "stop": 32_007}, 16_001, 32_007),
        ({"offset": 0, "duration": 2.5}, 0, 20_000),
        ({"start": 1, "end": 3}, 8_000, 24_000),
        ({"start_ms": 250, "end_ms": 1250}, 2_000, 10_000),
        ({"start_sample": 100, "end_sample": 900}, 100, 900),
        ({"frame_offset": 100, "num_frames": 800}, 100, 900),
        ({"onset": 1.0, "offset": 2.0}, 8_000, 16_000),
        ({"start": "0:01.5", "end": "00:00:02,500"}, 12_000, 20_000),
        ({"start": "1,5", "end": "2,5"}, 12_000, 20_000),
        ({"startTime": "1.500s", "endTime": "2.500s"}, 12_000, 20_000),  # of Google's recognizer
        ({"start": "1500ms", "end": "2500 ms"}, 12_000, 20_000),
        # of pandas' timedelta
        ({"start": "0 days 00:00:01.5", "end": "0 days 00:00:02.500000"}, 12_000, 20_000),
        ({"t_start": 1.5, "t_end": 2.5}, 12_000, 20_000),
        ({"chunk_start": 1.5, "chunk_end": 2.5}, 12_000, 20_000),
        ({"vad_start": 1.5, "vad_end": 2.5}, 12_000, 20_000),
        ({"timestamp": [1.0, 2.0]}, 8_000, 16_000),
        ({"start": 1.5}, 12_000, 40_000),
        ({"offset": 1.5, "duration": None}, 12_000, 40_000),
        ({"start": 1.5, "end": -1}, 12_000, 40_000),
        ({"start": 1.0, "end": 2.0, "duration": 1.0}, 8_000, 16_000),
        ({"start": 1.0, "end": 2.0, "duration": 5.0}, 8_000, 16_000),
        ({"start": 1.0, "end": 2.0, "duration": "nan"}, 8_000, 16_000),
        ({"start": 16_000, "end": 24_000, "duration": 1.0}, 16_000, 24_000),
        ({"start": 8_000, "end": 16_000, "sampling_rate": 8_000}, 8_000, 16_000),
        ({"start": 1.0, "end": 2.0, "length": 12, "num_samples": 7}, 8_000, 16_000),
        ({"start": 1.0, "length": 0.5}, 8_000, 12_000),
        ({"start": 8_000, "num_samples": 100}, 8_000, 8_100),
        ({"start": 4.0, "end": 5.004}, 32_000, 40_000),
        ({"start": 4.0, "end": 4.996}, 32_000, 39_968),
        ({"start": 1.00006250, "end": 2.0}, 8_001, 16_000),  # half a sample is rounded up
        ({"start": 0.1 + 0.2, "duration": 0.7 - 0.1}, 2_400, 7_200),
    ],
)
def test_a_row_is_its_part_of_the_file(folder, columns, begin, end):
    (recording,) = rows(folder, {"path": "a.wav", "text": "said in the part"} | columns)
    assert is_part(recording, begin, end)
    assert recording.columns == {"path": "a.wav", "text": "said in the part"} | columns
    strings = {
        k: v if isinstance(v, str) else json.dumps(v)
        for k, v in columns.items()
        if v is not None and not isinstance(v, list)
    }
    if len(strings) == len(columns):
        content = "path\t" + "\t".join(strings) + "\na.wav\t" + "\t".join(strings.values()) + "\n"
        (folder / "m.tsv").write_text(content)
        assert is_part(next(read_corpus(folder / "m.tsv")), begin, end)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"start": 6.0, "end": 7.0}, r"begins beyond the end of the file, which has 5.000 s"),
        ({"start": 4.0, "end": 5.5}, "ends beyond the end"),
        ({"start": 39_000, "end": 41_000}, "ends beyond the end"),
        ({"start_sample": 39_000, "end_sample": 40_001}, "ends beyond the end"),
        ({"start": 12, "end": 15}, "beyond the end"),
        ({"start": 2.0, "end": 1.0}, "is empty"),
        ({"start": 2.0, "end": 2.0}, "is empty"),
        ({"offset": 1.5, "duration": 0}, "is empty; to the end of the file is a duration"),
        ({"start": -1.0, "end": 1.0}, "begins before the file"),
        ({"end": 2.0}, "where its part of the file ends, and not where it starts"),
        ({"start": 1.0, "end": 2.0, "duration": 3.0}, "is said to be 3.0"),
        ({"start": 1.0, "start_time": 2.0, "end": 3.0}, "contradict each other"),
        ({"start_frame": 10, "end_frame": 100}, "in a unit that is not known"),
        ({"start": "1,234", "end": "2,345"}, "'1,234' is no time"),
        ({"start": 8_000, "end": 9_000, "sample_rate": 16_000, "start_sample": 8_000}, "16000 Hz"),
        ({"duration": 2.0}, "said to be 2.0, but the file has 5.000 s"),
        ({"duration": 2}, "said to be 2, but the file has"),
        ({"duration": 60.0}, "said to be 60.0"),
        ({"offset": 0, "duration": 60.0}, "ends beyond"),
    ],
)
def test_a_part_that_cannot_be_is_a_row_with_a_reason(folder, columns, reason):
    good, bad = rows(folder, {"path": "a.wav"}, {"path": "a.wav", "id": "bad"} | columns)
    assert good.load().num_samples == 40_000
    with pytest.raises(AudioError, match=reason):
        bad.load()


@pytest.mark.parametrize(
    "columns",
    [
        {"duration": 5.0},
        {"duration": 4.98},
        {"duration": 5},
        {"duration": "5.00"},
        {"duration": 5_000},
        {"duration": 40_000},
        {"duration_ms": 5_000},
        {"offset": 0.0},
        {"offset": 0, "duration": 5.0},
        {"offset": 0, "duration": 0},
        {"offset": None, "duration": None},
        {"start": "n/a", "end": ""},
        {"start_time": "2024-05-01 10:00:00", "end_time": "2024-05-01 10:00:05"},
        {"start": "Paris", "stop": "Rome"},
        {"word_start": 1.0, "word_end": 2.0},
        {"n_frames": 500, "length": 12},
    ],
)
def test_columns_that_mean_the_whole_file(folder, columns):
    (recording,) = rows(folder, {"path": "a.wav"} | columns)
    assert (recording.id, recording.source) == ("a.wav", str(folder / "a.wav"))
    assert is_part(recording, 0, 40_000)


@pytest.mark.parametrize(
    "odd",
    [{"start": "x", "end": "y"}, {"start": "x"}, {"start": 1.0, "end": "later"}],
)
def test_words_among_times_are_a_row_with_a_reason(folder, odd):
    """Never the whole file, or all the rest of it, with the text of a part."""
    found = rows(
        folder, {"path": "a.wav", "id": "odd"} | odd, {"path": "a.wav", "start": 0.5, "end": 1.0}
    )
    with pytest.raises(AudioError, match=r"is no time.*--segments none"):
        found[0].load()
    assert is_part(found[1], 4_000, 8_000)


def test_two_rows_of_words_do_not_end_the_run(folder):
    odd = {"path": "a.wav", "offset": "x", "duration": 0.5}
    found = rows(folder, odd, odd, {"path": "a.wav", "offset": 0, "duration": 0.5})
    assert len({recording.id for recording in found}) == 3


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"start": 1.0, "end": INF}, "its end inf is no time; to the end of the file is"),
        ({"start": 0, "end": INF}, "its end inf is no time"),
        ({"start": 0.0, "duration": INF}, "its duration inf is no time"),
        ({"start": "0.0", "end": "Infinity"}, "its end Infinity is no time"),
        ({"start": -INF, "end": 2.0}, "its start -inf is no time"),
        ({"offset": 0, "duration": NAN}, "its duration nan is no time"),
        ({"offset": 0.5, "duration": NAN}, "its duration nan is no time"),
        ({"offset": 0.5, "duration": "NaN"}, "its duration NaN is no time"),
        ({"offset": 0, "end": NAN}, "its end nan is no time"),
        ({"start": NAN, "end": 2.0}, "its start nan is no time"),
        ({"timestamp": [0.0, INF]}, "its timestamp inf is no time"),
        ({"timestamp": [NAN, 1.0]}, "its timestamp nan is no time"),
        ({"offset": NAN, "duration": 1.0}, "said to be 1.0, but the file has 5.000 s"),
    ],
)
def test_nan_and_infinity_are_a_row_with_a_reason(folder, columns, reason):
    """Read as missing they gave the whole file, or all the rest of it, with a part's text."""
    (recording,) = rows(folder, {"path": "a.wav"} | columns)
    with pytest.raises(AudioError, match=reason):
        recording.load()


@pytest.mark.parametrize("how", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("empty", [None, NAN])
def test_empty_cells_beside_times_are_a_row_with_a_reason(folder, how, empty):
    """In every form of a table; where no row has times, the rows are whole files."""
    pandas = pytest.importorskip("pandas")
    table = [
        {"path": "a.wav", "start": empty, "end": empty},
        {"path": "a.wav", "start": 0.5, "end": 1.0},
    ]

    def read(table: list) -> list:
        if how == "jsonl":
            return rows(folder, *table)
        if how == "csv":
            pandas.DataFrame(table).to_csv(folder / "m.csv", index=False)
        else:
            pq.write_table(pa.Table.from_pylist(table), folder / "m.parquet")
        return list(read_corpus(folder / f"m.{how}"))

    bad, good = read(table)
    with pytest.raises(AudioError, match=r"start.*(is|are) (empty|no time)|nan is no time"):
        bad.load()
    assert is_part(good, 4_000, 8_000)
    assert is_part(read(table[:1])[0], 0, 40_000)
    whole, _ = read([{"path": "a.wav", "start": 0, "end": -1}, table[1]])
    assert is_part(whole, 0, 40_000)


def test_an_empty_row_is_whole_where_its_duration_or_a_missing_key_says_so(folder):
    table = [
        {"path": "a.wav", "start": None, "end": None, "duration": 5.0},
        {"path": "a.wav", "id": "absent"},
        {"path": "a.wav", "start": 0.5, "end": 1.0, "duration": 0.5},
    ]
    assert [r.load().num_samples for r in rows(folder, *table)] == [40_000, 40_000, 4_000]


def test_a_duration_of_0_from_0_is_empty_beside_times(folder):
    empty = {"path": "a.wav", "start": 0, "duration": 0}
    first, _ = rows(folder, empty, {"path": "a.wav", "start": 0.5, "duration": 1.0})
    with pytest.raises(AudioError, match="is empty"):
        first.load()
    (alone,) = rows(folder, empty)
    assert is_part(alone, 0, 40_000)


@pytest.mark.parametrize("file", ["audio_filepath", "audio_filename"])
@pytest.mark.parametrize("columns", [{"duration": 0}, {"duration": 0.0}, {"duration": None}, {}])
def test_nemo_reads_to_the_end_where_the_duration_is_0_or_absent(folder, file, columns):
    table = [
        {file: "a.wav", "offset": 0.5, "text": "the rest"} | columns,
        {file: "a.wav", "offset": 1.0, "duration": 1.0, "text": "a part"},
        {file: "a.wav", "offset": 0, "text": "all"} | columns,
    ]
    rest, part, whole = rows(folder, *table)
    assert is_part(rest, 4_000, 40_000)
    assert is_part(part, 8_000, 16_000)
    assert is_part(whole, 0, 40_000)


@pytest.mark.parametrize(
    "cell", ["[1.0, 2.5]", "(1.0,2.5)", "['1.0', '2.5']", {"start": 1.0, "end": 2.5}]
)
def test_begin_and_end_in_one_cell(folder, cell):
    (recording,) = rows(folder, {"path": "a.wav", "segment": cell})
    assert is_part(recording, 8_000, 20_000)


def test_ids_of_parts_that_begin_together(folder):
    """Two parts from 0 once had one id, and ended the run; so did one part with two texts."""
    table = [
        {"path": "a.wav", "offset": 0, "duration": 1.0},
        {"path": "a.wav", "offset": 0, "duration": 2.0},
        {"path": "a.wav", "offset": 0, "duration": 2.0},
        {"path": "a.wav", "offset": 0.5, "duration": 2.0},
        {"path": "a.wav", "offset": 0.5, "duration": 2.0},
        {"path": "a.wav", "offset": 0.5, "duration": 2.0},
        {"path": "a.wav:100:8000"},
        {"path": "a.wav:100:8000"},
    ]
    ids = [r.id for r in rows(folder, *table)]
    assert ids == [
        "a.wav",
        "a.wav#0+2.0",
        "a.wav#0+2.0#2",
        "a.wav#0.5+2.0",
        "a.wav#0.5+2.0#2",
        "a.wav#0.5+2.0#3",
        "a.wav:100:8000",
        "a.wav:100:8000#2",
    ]
    sizes = [8_000, 16_000, 16_000, 16_000, 16_000, 16_000, 8_000, 8_000]
    assert [r.load().num_samples for r in rows(folder, *table)] == sizes
    with pytest.raises(XCodec2Error, match="two recordings have the id 'x'"):
        rows(folder, *({"id": "x"} | row for row in table))
    with pytest.raises(XCodec2Error, match=r"two recordings have the id 'a.wav'"):
        rows(folder, {"path": "a.wav"}, {"path": "a.wav"})


@pytest.mark.parametrize(
    "path", ["a.wav:0.1:0.5", "a.wav:0.1:8000", "a.wav:1.5", "a.wav:100", "a.wav:0.1s:0.5s"]
)
def test_a_part_in_a_form_that_is_not_read_says_what_the_form_is(folder, path):
    (recording,) = rows(folder, {"path": path})
    with pytest.raises(AudioError, match=r"PATH:OFFSET:LENGTH in samples.*seconds are columns"):
        recording.load()
    (folder / path).write_bytes((folder / "a.wav").read_bytes())
    assert rows(folder, {"path": path})[0].load().num_samples == 40_000


def test_whole_numbers_are_in_one_unit_or_ambiguous(folder):
    """In a minute, 16,000 to 32,000 can be two seconds of samples or sixteen of milliseconds."""
    part = {"path": "long.wav", "start": 16_000, "end": 32_000}
    (recording,) = rows(folder, part)
    with pytest.raises(AudioError, match="can be in milliseconds or samples: give --segments"):
        recording.load()
    for unit, samples in {"milliseconds": 128_000, "samples": 16_000}.items():
        assert rows(folder, part, segments=unit)[0].load().num_samples == samples
    assert rows(folder, part, segments="none")[0].load().num_samples == 480_000
    (told,) = rows(folder, part | {"duration": 2.0})
    assert told.load().num_samples == 16_000
    with pytest.raises(XCodec2Error, match="segments must be one of"):
        rows(folder, part, segments="hours")


def test_one_decimal_point_says_that_all_rows_are_in_seconds(folder):
    table = [{"path": "long.wav", "start": n, "end": n + 10} for n in range(0, 40, 10)]
    table.append({"path": "long.wav", "start": 40, "end": 50.5})
    assert [r.load().num_samples for r in rows(folder, *table)] == [*[80_000] * 4, 84_000]
    pq.write_table(pa.Table.from_pylist(table), folder / "m.parquet")
    assert [r.load().num_samples for r in read_corpus(folder / "m.parquet")][-1] == 84_000


def test_ids_tell_the_parts_of_a_file_apart(folder):
    table = [{"audio_filepath": "a.wav", "offset": n * 0.5, "duration": 0.5} for n in range(4)]
    found = rows(folder, *table)
    assert [r.id for r in found] == ["a.wav", "a.wav#0.5+0.5", "a.wav#1.0+0.5", "a.wav#1.5+0.5"]
    assert found[1].source == f"{folder}/a.wav#0.5+0.5s"
    assert [r.id for r in rows(folder, *[{"id": n} | row for n, row in enumerate(table)])] == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_paths_with_offset_and_length(folder):
    """Samples of an audio file, bytes of a file that holds files, or a file that is called so."""
    import zipfile

    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.write(folder / "a.wav", "a.wav")
        (entry,) = archive.infolist()
    size = (folder / "a.wav").stat().st_size
    first = entry.header_offset + 30 + len("a.wav")
    soundfile.write(folder / "x:1:2.wav", SOUND[:100], RATE)
    (folder / "x:1:2.wav").rename(folder / "x.wav:1:2")
    paths = ["a.wav:100:8000", f"all.zip:{first}:{size}", "x.wav:1:2", "a.wav:39000:2000"]
    slice_, inside, literal, beyond = rows(folder, *({"audio": path} for path in paths))
    assert is_part(slice_, 100, 8_100)
    assert is_part(inside, 0, 40_000)
    assert literal.load().num_samples == 100
    with pytest.raises(AudioError, match="ends beyond"):
        beyond.load()
    assert [r.id for r in (slice_, inside)] == paths[:2]


def test_audio_inside_a_table_may_be_the_part_already(folder):
    """GigaSpeech's tables hold the cut-out audio, and say where in its source it was."""
    audio = {"bytes": encoded(SOUND[None, :16_000], RATE, format="WAV"), "path": "x.wav"}
    table = [
        {"audio": audio, "begin_time": 812.5, "end_time": 814.5},
        {"audio": audio, "begin_time": 0.5, "end_time": 1.0},
        {"audio": audio, "begin_time": 812.5, "end_time": 816.5},
    ]
    pq.write_table(pa.Table.from_pylist(table), folder / "g.parquet")
    whole, part, far = read_corpus(folder / "g.parquet")
    assert [whole.load().num_samples, part.load().num_samples] == [16_000, 4_000]
    with pytest.raises(AudioError, match="beyond the end of the file"):
        far.load()


def test_one_decoding_serves_all_rows_of_a_file(folder, monkeypatch):
    read, opened = audio_io.read_blocks, []
    monkeypatch.setattr(
        audio_io,
        "read_blocks",
        lambda source, *more, **how: (
            opened.append(source) if isinstance(source, str) else None,
            read(source, *more, **how),
        )[1],
    )
    table = [{"path": "a.wav", "start": n / 10, "end": n / 10 + 0.3} for n in range(40)]
    for n, recording in enumerate(rows(folder, *table)):
        assert is_part(recording, 800 * n, 800 * n + 2_400)
    assert opened == [str(folder / "a.wav")]
    soundfile.write(folder / "a.wav", -SOUND, RATE, subtype="FLOAT")  # another file: read again
    assert not is_part(recording, 800 * 39, 800 * 39 + 2_400)
    (folder / "bad.wav").write_bytes(b"RIFF no more")
    opened.clear()
    for recording in rows(folder, *(row | {"path": "bad.wav"} for row in table)):
        with pytest.raises(AudioError, match=r"bad.wav"):
            recording.load()
    assert len(opened) == 1


def test_parts_of_compressed_files_are_cut_from_the_whole(folder):
    for name, how in {"a.flac": {}, "a.ogg": {"subtype": "VORBIS"}, "a.mp3": {}}.items():
        soundfile.write(folder / name, 0.5 * np.sin(300 * SOUND), 16_000, **how)
        whole = load_audio(folder / name).waveform  # at 16 kHz already
        (recording,) = rows(folder, {"path": name, "start": 0.77, "end": 1.33})
        expected = load_audio(whole[12_320:21_280], 16_000)
        assert (recording.load().waveform == expected.waveform).all(), name


def test_long_files_lie_on_disk(folder, monkeypatch):
    from xcodec2.corpus import parts

    monkeypatch.setattr(parts, "IN_MEMORY", 1_000)
    (recording,) = rows(folder, {"path": "a.wav", "start": 4.0, "end": 4.5})
    assert is_part(recording, 32_000, 36_000)


def test_names_of_columns():
    assert find_columns(["Start", "END", "text"]).begin == (("Start", None),)
    assert find_columns(["segment_start_sec"]).begin == (("segment_start_sec", "seconds"),)
    assert find_columns(["start", "startMs"]).begin == (
        ("startMs", "milliseconds"),
        ("start", None),
    )
    assert find_columns(["duration[ms]"]).length == (("duration[ms]", "milliseconds"),)
    assert find_columns(["from", "to"]).end == (("to", None),)
    assert not find_columns(["to", "start_word", "end_punctuation", "speaker_end_date"]).end
