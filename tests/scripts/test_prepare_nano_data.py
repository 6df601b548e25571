"""The data script on made-up packages of tiny files: no network, no apt, no PyAV."""

import csv
import re
from dataclasses import replace
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import soundfile
import soxr
from nano_data import attribution, audio, build, catalogue, packages, sources, transcripts

RATE = audio.SAMPLE_RATE


def tone(seconds: float, rate: int = RATE, level: float = 0.3, pitch: float = 200.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


def hush(seconds: float, level: float = 1e-4) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(
        np.float32
    )


def made_up_source(name: str, **fields: object) -> sources.Source:
    defaults = {
        "package": "p",
        "root": "sounds",
        "files": r"(?P<language>\w\w)/.+\.wav",
        "language": "",
    }
    rest = {"speaker": f"{name}-1", "licence": "CC0-1.0", "credit": "nobody"}
    return sources.Source(name=name, **(defaults | rest | fields))  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An unpacked package `p` of four recordings in two languages, one there twice, and their
    texts.
    """
    root = tmp_path / "cache" / "p"
    for n, path in enumerate(("aa/one", "aa/two", "bb/one", "bb/three")):
        file = root / "sounds" / f"{path}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            file, np.concatenate([hush(0.5), tone(1, pitch=200 + 10 * n), hush(0.5)]), RATE
        )
    (root / "sounds/bb/three.wav").write_bytes((root / "sounds/aa/two.wav").read_bytes())
    (root / "texts").mkdir()
    texts = '; comment\naa/one: "First",\tthen second\ntwo: plain\n'
    (root / "texts/all.txt").write_text(texts, encoding="utf-8")
    return tmp_path / "cache"


def built(clips: list[catalogue.Clip], out: Path) -> list[build.Result]:
    with ThreadPool(1) as pool:
        return build.mark_doubles(build.build_clips(clips, out, pool, RATE))


# --- trimming and what is left out ---


@pytest.mark.parametrize("background", [0.0, 1e-4, 3e-3])
def test_trimming_leaves_the_speech_and_its_margins(background: float) -> None:
    recording = np.concatenate([hush(1, background), tone(0.8), hush(2, background)])
    trimmed = audio.prepare(recording, RATE, audio.TRAIN_RULES)
    assert len(trimmed) / RATE == pytest.approx(0.8 + 2 * 0.15, abs=0.02)
    np.testing.assert_array_equal(trimmed, recording[round(0.85 * RATE) :][: len(trimmed)])


def test_speech_without_any_pause_stays_whole() -> None:
    assert len(audio.prepare(tone(1), RATE, audio.TRAIN_RULES)) == RATE


def test_the_test_set_is_not_trimmed() -> None:
    recording = np.concatenate([hush(1), tone(0.8), hush(2)])
    np.testing.assert_array_equal(audio.prepare(recording, RATE, audio.TEST_RULES), recording)


@pytest.mark.parametrize(
    ("recording", "rate", "rules", "reason"),
    [
        (tone(1, 8000), 8000, audio.TEST_RULES, "rate below 16 kHz"),
        (hush(1, 1e-3), RATE, audio.TRAIN_RULES, "silent"),
        (np.zeros(RATE, np.float32), RATE, audio.TRAIN_RULES, "silent"),
        (tone(0.25), RATE, audio.TRAIN_RULES, "short"),
        (tone(0.45), RATE, audio.TEST_RULES, "short"),
        (np.zeros(0, np.float32), RATE, audio.TRAIN_RULES, "short"),
        (np.zeros(0, np.float32), 44_100, audio.TEST_RULES, "short"),
    ],
)
def test_the_rest_is_refused(
    recording: np.ndarray, rate: int, rules: audio.Rules, reason: str
) -> None:
    with pytest.raises(audio.UnusableError, match=reason):
        audio.prepare(recording, rate, rules)


def test_reading_averages_channels_and_resampling_keeps_level(tmp_path: Path) -> None:
    left = tone(1, 44_100, level=0.4)
    soundfile.write(tmp_path / "two.wav", np.stack([left, 0 * left], axis=1), 44_100)
    speech = audio.prepare(*audio.read_audio(tmp_path / "two.wav"), audio.TEST_RULES)
    assert len(speech) == RATE
    assert speech.std() == pytest.approx(0.4 / 2 / np.sqrt(2), rel=0.01)


def test_wider_speech_comes_from_recordings_that_have_the_band() -> None:
    wide = replace(audio.TRAIN_RULES, sample_rate=24_000)
    quiet = hush(1.5)[:24_000]
    spoken = np.concatenate([quiet, tone(0.8, 24_000, pitch=10_000.0), quiet])
    trimmed = audio.prepare(soxr.resample(spoken, 24_000, 44_100), 44_100, wide)
    assert len(trimmed) / 24_000 == pytest.approx(0.8 + 2 * 0.15, abs=0.03)
    assert trimmed[9_000:15_000].std() == pytest.approx(0.3 / np.sqrt(2), rel=0.01)
    with pytest.raises(audio.UnusableError, match="rate below 24 kHz"):
        audio.prepare(tone(1, 22_050), 22_050, wide, lowest_rate=11_025)


def test_g722_is_read_at_16_khz(tmp_path: Path) -> None:
    pytest.importorskip("av")
    soundfile.write(tmp_path / "looks_like.wav", tone(1, 4000), 4000)
    raw = (tmp_path / "looks_like.wav").read_bytes()
    for content in (raw, b""):
        (tmp_path / "prompt.g722").write_bytes(content)
        samples, rate = audio.read_audio(tmp_path / "prompt.g722")
        assert (len(samples), rate, samples.dtype) == (2 * len(content), RATE, np.float32)


# --- the catalogue ---


def test_clips_carry_what_their_source_says(cache: Path) -> None:
    source = made_up_source(
        "s",
        skip=r"bb/one.+",
        text_package="p",
        text_files="texts/*.txt",
        text_reader=transcripts.asterisk,
    )
    clips = catalogue.list_clips(source, cache)
    assert [clip.id for clip in clips] == ["s/aa_one", "s/aa_two", "s/bb_three"]
    assert [clip.language for clip in clips] == ["aa", "aa", "bb"]
    assert [clip.text for clip in clips] == ['"First", then second', "plain", ""]


def test_every_so_many_th_clip_is_held_out(cache: Path) -> None:
    clips = catalogue.list_clips(made_up_source("s", hold_out_every=2), cache)
    assert [clip.split for clip in clips] == ["train", "train", "valid", "train"]


def test_two_recordings_under_one_name_are_an_error(cache: Path) -> None:
    soundfile.write(cache / "p/sounds/aa/one.flac", tone(1), RATE)
    with pytest.raises(ValueError, match="one name"):
        catalogue.list_clips(made_up_source("s", files=r"(?P<language>\w\w)/.+"), cache)


def test_file_names_are_ascii() -> None:
    assert catalogue.ascii_stem("ㄅㄚ1/a b.x.ogg") == "u3105u311a1_au0020b.x"


def test_a_missing_tool_or_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.PackageError, match="apt-get not found"):
        packages.fetch_package("p", tmp_path)
    script = tmp_path / "apt-get"
    script.write_text('#!/bin/sh\necho "E: Unable to locate package p" >&2\nexit 100\n')
    script.chmod(0o755)
    with pytest.raises(
        packages.PackageError, match=r"`apt-get download p` failed: E: Unable"
    ) as failure:
        packages.fetch_package("p", tmp_path)
    assert "\n" not in str(failure.value)


# --- transcripts ---


@pytest.mark.parametrize(
    ("reader", "path", "content", "audio_path", "text"),
    [
        (transcripts.festvox, "etc/txt", '( ru_1 "вол+ос, да." )', "wav/ru_1.wav", "волос, да."),
        (
            transcripts.asterisk,
            "x.txt",
            "\ufeff; comment\ndigits/h-6: sixth",
            "it/digits/h-6.g722",
            "sixth",
        ),
        (
            transcripts.tuxpaint,
            "st/emu.txt",
            "An emu.\nfr.utf8=Un émeu.",
            "st/emu_desc_fr.ogg",
            "Un émeu.",
        ),
        (
            transcripts.tuxpaint,
            "st/emu.txt",
            "An emu.\nfr.utf8=Un émeu.",
            "st/emu_desc.ogg",
            "An emu.",
        ),
        (transcripts.tuxpaint, "st/emu.txt", "An emu.", "other/emu_desc.ogg", ""),
        (
            transcripts.fillets,
            "script/city/dialogs_cs.lua",
            'dialogId("a", "f", "Hi.")\ndialogStr("Ahoj.")\n\n'
            'dialogId("b", "f", "No.")\ndialogStr("Ne.")',
            "sound/city/cs/b.ogg",
            "Ne.",
        ),
        (
            transcripts.fillets,
            "script/share/bore_dialogs_cs.lua",
            'dialogId("a", "f", "Hi.")\ndialogStr("Ahoj.")',
            "sound/share/borejokes/cs/a.ogg",
            "Ahoj.",
        ),
    ],
)
def test_transcripts_find_their_audio(
    reader: transcripts.Reader, path: str, content: str, audio_path: str, text: str
) -> None:
    texts = dict(reader(PurePosixPath(path), content))
    assert transcripts.text_of(PurePosixPath(audio_path), texts) == text


def test_the_levels_own_dialog_goes_first() -> None:
    texts: dict[str, str] = {}
    for level in "xy":
        dialog = f'dialogId("a", "f", "")\ndialogStr("{level}")'
        texts |= transcripts.fillets(PurePosixPath(f"script/{level}/dialogs_cs.lua"), dialog)
    assert transcripts.text_of(PurePosixPath("sound/x/cs/a.ogg"), texts) == "x"


# --- building ---


def test_the_manifest_lists_the_stored_clips(cache: Path, tmp_path: Path) -> None:
    source = made_up_source(
        "s", text_package="p", text_files="texts/*.txt", text_reader=transcripts.asterisk
    )
    results = built(catalogue.list_clips(source, cache), tmp_path)
    build.remove_rejected(tmp_path, results)
    build.write_manifest(tmp_path / "train/manifest.tsv", results)
    build.write_rejected(tmp_path / "rejected.tsv", results)
    with (tmp_path / "train/manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["id"] for row in rows] == ["s/aa_one", "s/aa_two", "s/bb_one"]
    assert rows[0] == {
        "id": "s/aa_one",
        "path": "s/aa_one.flac",
        "source": "s",
        "language": "aa",
        "speaker": "s-1",
        "licence": "CC0-1.0",
        "seconds": "1.300",
        "text": '"First", then second',
    }
    stored = {path.name for path in (tmp_path / "train/s").glob("*.flac")}
    assert stored == {Path(row["path"]).name for row in rows}
    info = soundfile.info(tmp_path / "train" / rows[0]["path"])
    assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
    assert (tmp_path / "rejected.tsv").read_text().splitlines()[1:] == [
        "s/bb_three\ttrain\tsame as s/aa_two"
    ]
    assert build.minutes_table(results, [], ("train",)).splitlines()[1].split() == [
        "s",
        "0.1",
        "3",
        "1",
    ]


def test_a_recording_of_the_test_set_is_not_trained_on(cache: Path, tmp_path: Path) -> None:
    """The test set comes first, and a training clip with the same samples is left out, trimmed or
    not.
    """
    test = catalogue.list_clips(
        made_up_source("t", files=r"(?P<language>aa)/.+", role="test"), cache
    )
    train = catalogue.list_clips(made_up_source("s", files=r"(?P<language>bb)/.+"), cache)
    kept = [clip.id for clip, outcome in built(test + train, tmp_path) if not outcome.reason]
    assert kept == ["t/aa_one", "t/aa_two", "s/bb_one"]


def test_finished_work_is_skipped_and_changed_work_redone(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counting_read(path: Path) -> tuple[np.ndarray, int]:
        read.append(path.name)
        return audio.read_audio(path)

    monkeypatch.setattr(build, "read_audio", counting_read)
    clips = catalogue.list_clips(made_up_source("s"), cache)
    first = built(clips, tmp_path)
    assert len(read) == len(clips)
    assert built(clips, tmp_path) == first
    assert len(read) == len(clips)
    assert built(clips[1:], tmp_path) == first[1:]
    assert len(read) == 2 * len(clips) - 1
    assert not (tmp_path / "train/s/aa_one.flac").exists()


def test_interrupted_work_leaves_no_folder_and_is_done_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = catalogue.list_clips(made_up_source("s"), cache)

    def fail_in_the_middle(path: Path) -> tuple[np.ndarray, int]:
        if path.parent.name == "bb":
            raise MemoryError
        return audio.read_audio(path)

    monkeypatch.setattr(build, "read_audio", fail_in_the_middle)
    with pytest.raises(MemoryError):
        built(clips, tmp_path)
    assert not (tmp_path / "train/s").exists()
    monkeypatch.undo()
    built(clips, tmp_path)
    assert len(list((tmp_path / "train/s").glob("*.flac"))) == len(clips)
    assert not list(tmp_path.rglob("*.partial"))


# --- the table of sources ---


def test_no_package_folder_or_speaker_is_shared_between_test_and_training() -> None:
    test = [source for source in sources.SOURCES if source.role == "test"]
    train = [source for source in sources.SOURCES if source.role == "train"]
    assert [source.name for source in test] == [
        "asterisk-it",
        "asterisk-ru",
        "tuxpaint-fr",
        "tuxpaint-el",
    ]
    assert sources.SOURCES[: len(test)] == tuple(test)
    assert not {source.speaker for source in test} & {source.speaker for source in train}
    assert not {(s.package, s.files) for s in test} & {(s.package, s.files) for s in train}


@pytest.mark.parametrize("source", sources.SOURCES, ids=lambda source: source.name)
def test_tuxpaint_descriptions_of_the_test_set_match_no_training_source(
    source: sources.Source,
) -> None:
    for language in ("fr", "el"):
        path = f"animals/koala_desc_{language}.ogg"
        taken = re.fullmatch(source.files, path) and not re.fullmatch(source.skip, path)
        assert not taken or source.role == "test" or source.package != "tuxpaint-stamps-default"


def test_attribution_names_every_source() -> None:
    page = attribution.attribution(sources.SOURCES)
    for source in sources.SOURCES:
        assert f"| {source.name} |" in page
        assert source.licence in page
        assert source.credit in page
