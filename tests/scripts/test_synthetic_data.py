"""Synthetic voices, games' dialogue and the hard set, on made-up engines and files: no package is
needed.
"""

import csv
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import prepare_hard_set
import pytest
import soundfile
from nano_data import build, games, sentences, sources, synthesis, voices
from nano_data.recogniser import character_error_rate
from nano_data.speakers import bend, spectral_tilt, warp

# ---- voices --------------------------------------------------------------------------------------


def test_there_are_voices_enough_and_what_is_unheard_is_in_no_mix():
    pseudo, kokoro = voices.pseudo_speakers(0), voices.kokoro_voices(0)
    assert sum(voice.split == "train" for voice in pseudo) >= 100
    assert len({name for voice in kokoro if voice.split == "train" for name in (voice.name,)}) >= 60
    names = [voice.name for voice in (*pseudo, *kokoro)]
    assert len(set(names)) == len(names)
    for voice in kokoro:
        assert (voice.split == "unheard") == bool(voices.UNHEARD & set(voice.styles))
        assert sum(voice.shares) == pytest.approx(1)
    assert {voice.language for voice in kokoro} == set(voices.NATIVE)
    assert (
        {voice.split for voice in kokoro}
        == {voice.split for voice in pseudo}
        == {"train", "unheard"}
    )


def test_a_seed_makes_the_same_voices_and_another_one_others():
    assert voices.pseudo_speakers(1) == voices.pseudo_speakers(1) != voices.pseudo_speakers(2)
    assert voices.kokoro_voices(1) == voices.kokoro_voices(1) != voices.kokoro_voices(2)
    assert voices.pseudo_speakers(1)[5] == voices.pseudo_speaker("hibari-005", "train", 1)


def test_spectrum_and_pitch_are_bent():
    ramp = np.arange(100.0)[:, None].astype(np.float32)
    np.testing.assert_allclose(warp(ramp, 1.25)[:, 0], np.arange(100) / 1.25, rtol=1e-5)
    assert warp(ramp, 0.8)[50, 0] == pytest.approx(62.5)
    flat = spectral_tilt(64, (6.0, 0.0))
    assert flat[0, 0] == pytest.approx(6 * np.log(10) / 20)
    assert flat[-1, 0] < 0
    speaker = replace(voices.pseudo_speaker("x", "train", 0), pitch=0.5, liveliness=2.0)
    bent = bend(np.array([0.0, 100.0, 400.0, 0.0], np.float32), speaker)
    np.testing.assert_allclose(bent, [0, 25, 400, 0], rtol=1e-5)  # about a middle of 200


# ---- what they say -------------------------------------------------------------------------------


def test_sentences_that_can_be_read_out_are_kept():
    keep = sentences.usable
    assert keep(sentences.as_sentence("the dog ate the  cat; "), sentences.PLAIN_ENGLISH) == [
        "The dog ate the cat."
    ]
    assert keep("Too short.", sentences.PLAIN_ENGLISH) == []
    assert keep("It has a 3 in it, and so on.", sentences.PLAIN_ENGLISH) == []
    assert keep("¿ Quién es, pues, aquel hombre?", sentences.VERSE)
    said = [sentences.made_up(random.Random(n)) for n in range(200)]
    assert len(set(said)) > 150
    assert all(sentence[-1] in ".?" for sentence in said)
    drawn = [
        sentences.draw("fr", ["Un chat.", "Deux ours.", "Trois."], random.Random(n))
        for n in range(9)
    ]
    assert all(len(set(one.split(". "))) == 3 for one in drawn)


def test_understanding_is_counted_in_letters():
    assert character_error_rate("Good morning, Tom!", "good morning tom") == 0
    assert character_error_rate("abcd", "abed") == 0.25
    assert character_error_rate("", "") == 0


# ---- units ---------------------------------------------------------------------------------------


class Engine:
    """Speaks tones; the third of its voices is never understood."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, voice: voices.PseudoSpeaker, rng: random.Random) -> np.ndarray:
        self.said.append(voice.name)
        seconds = rng.uniform(1, 2)
        return (0.3 * np.sin(np.arange(int(seconds * 24_000)) * 0.05 * voice.pitch)).astype(
            np.float32
        )

    def transcribe(self, waveform: np.ndarray, language: str) -> str:
        return "nothing of that" if self.said[-1] == "hibari-002" else SENTENCE * 30


SENTENCE = "They walked along the river. "


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    tools = synthesis.Tools(Path("none"), made, made, made)  # type: ignore[arg-type]
    monkeypatch.setattr(synthesis, "load_tools", lambda cache: tools)
    monkeypatch.setattr(synthesis, "known_sentences", lambda language, cache: [SENTENCE.strip()])
    monkeypatch.setattr(synthesis, "draw", lambda language, known, rng: known[0])
    monkeypatch.setattr(
        synthesis, "character_error_rate", lambda text, heard: float(SENTENCE.strip() not in heard)
    )
    return made


def made_units(out: Path, count: int, parts: int = 1) -> list[build.Spoken]:
    wanted = [unit for unit in synthesis.units(0, 5, 0, parts) if int(unit.voice.name[-3:]) < count]
    return [clip for clips in synthesis.build_units(wanted, out, Path("none")) for clip in clips]


def test_units_are_stored_checked_and_not_made_twice(tmp_path: Path, engine: Engine) -> None:
    clips = made_units(tmp_path, 4)
    assert {clip.speaker for clip in clips if clip.reason} == {"hibari-002"}
    stored = [clip for clip in clips if not clip.reason]
    assert all(clip.text == SENTENCE.strip() and clip.licence == "Apache-2.0" for clip in stored)
    for clip in stored:
        info = soundfile.info(tmp_path / "train" / f"{clip.id}.flac")
        assert info.samplerate == 16_000
        assert info.duration == pytest.approx(clip.seconds, abs=1e-3)
    for speaker in ("hibari-000", "hibari-003"):
        assert 5 <= sum(clip.seconds for clip in stored if clip.speaker == speaker) < 7.5
    said = len(engine.said)
    assert made_units(tmp_path, 4) == clips
    assert len(engine.said) == said
    longer = made_units(tmp_path, 4, parts=2)
    assert [clip for clip in longer if "/0" in clip.id[:13]] == [
        clip for clip in clips if "/0" in clip.id[:13]
    ]
    assert len(longer) > len(clips)
    build.write_rejected(tmp_path / "rejected.tsv", [], clips)
    assert "hibari/hibari-002/0\ttrain\tnot understood" in (tmp_path / "rejected.tsv").read_text()


def test_a_killed_unit_leaves_nothing_and_is_made_as_if_never_begun(
    tmp_path: Path, engine: Engine
) -> None:
    expected = made_units(tmp_path / "whole", 1)
    speak, calls = engine.say, []

    def die(text: str, voice: voices.PseudoSpeaker, rng: random.Random) -> np.ndarray:
        calls.append(text)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return speak(text, voice, rng)

    engine.say = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        made_units(tmp_path / "killed", 1)
    assert not (tmp_path / "killed/train/hibari/hibari-000/0").exists()
    engine.say = speak  # type: ignore[method-assign]
    assert made_units(tmp_path / "killed", 1) == expected
    for clip in expected:
        one, other = (tmp_path / name / "train" / f"{clip.id}.flac" for name in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes()


def test_kinds_alternate_and_every_voice_speaks_before_one_speaks_again():
    order = synthesis.units(0, 10, 10, 2)
    assert [unit.source for unit in order[:4]] == ["hibari", "kokoro", "hibari", "kokoro"]
    for source in ("hibari", "kokoro"):
        parts = [unit.part for unit in order if unit.source == source]
        assert parts == sorted(parts)
    assert len({unit.key for unit in order}) == len(order)


# ---- games ---------------------------------------------------------------------------------------


def pack_rnc(steps: list[tuple[bytes, tuple[int, int] | None]]) -> bytes:
    """One chunk of plain bytes, each but the last followed by a copy (distance, length), all with
    codes of 4 bits.
    """
    bits: list[int] = []
    plain: dict[int, bytes] = {}

    def put(value: int, count: int) -> None:
        bits.extend(value >> n & 1 for n in range(count))

    def table() -> None:
        put(16, 5)
        for _ in range(16):
            put(4, 4)

    def coded(value: int) -> None:
        symbol = value if value < 2 else value.bit_length()
        put(int(f"{symbol:04b}"[::-1], 2), 4)
        if symbol > 1:
            put(value & ((1 << (symbol - 1)) - 1), symbol - 1)

    put(0, 2)
    for _ in range(3):
        table()
    put(len(steps), 16)
    out = b""
    for content, copy in steps:
        coded(len(content))
        if content:
            place = -(-len(bits) // 16)
            plain[place] = plain.get(place, b"") + content
        out += content
        if copy:
            coded(copy[0] - 1)
            coded(copy[1] - 2)
            for _ in range(copy[1]):
                out += out[-copy[0]].to_bytes(1, "big")
    stream = b""
    for word in range(-(-len(bits) // 16) + 2):
        value = sum(bit << n for n, bit in enumerate(bits[16 * word : 16 * word + 16]))
        stream += plain.get(word, b"") + value.to_bytes(2, "little")
    return games.RNC_HEADER.pack(b"RNC", 1, len(out), len(stream), 0, 0, 0, 1) + stream


def test_packed_dialogue_is_unpacked():
    steps = [(b"abcdefg", (3, 9)), (b"", (16, 4)), (bytes(range(200)), (150, 20)), (b"end", None)]
    expected = b"abcdefg" + b"efgefgefg"
    expected += expected[:4] + bytes(range(200))
    expected += expected[-150:-130] + b"end"
    assert games.unpack_rnc(pack_rnc(steps)) == expected


def test_dialogue_comes_out_of_the_games_files(tmp_path):
    entries = [(b"020001J1.SB", b"first"), (b"JOE.BOX", b"no sound"), (b"C18A_002.SB", b"second")]
    head = games.QUEEN_HEADER.size + len(entries) * games.QUEEN_ENTRY.size
    table, body = games.QUEEN_HEADER.pack(b"QTBL", b"CEM10", 1, len(entries)), b""
    for name, content in entries:
        table += games.QUEEN_ENTRY.pack(name, 1, head + len(body), len(content))
        body += content
    (tmp_path / "queen.1c").write_bytes(table + body)
    games.amazon_queen(tmp_path)
    lines = {path.name: path.read_bytes() for path in (tmp_path / "lines").iterdir()}
    assert lines == {"020001J1.mp3": b"first", "C18A_002.mp3": b"second"}
    (tmp_path / "queen.1c").write_bytes(b"QTBL" + bytes(20))
    with pytest.raises(ValueError, match="not the version"):
        list(games.queen_lines(tmp_path))


def test_packed_dialogue_becomes_sound(tmp_path):
    samples = bytes(128 + round(100 * np.sin(n / 5)) for n in range(120))
    packed = bytes(games.SKY_HEADER) + pack_rnc([(samples, None)])
    other = bytes(40)
    table = struct.pack("<I", 2)
    for number, place, size in ((50_007, 0, len(packed)), (60_001, len(packed), len(other))):
        table += (
            struct.pack("<H", number) + place.to_bytes(3, "little") + size.to_bytes(3, "little")
        )
    (tmp_path / "sky.dnr").write_bytes(table)
    (tmp_path / "sky.dsk").write_bytes(packed + other)
    games.steel_sky(tmp_path)
    [path] = (tmp_path / "lines").iterdir()
    found, rate = soundfile.read(path)
    assert (path.name, rate) == ("50007.wav", 11_025)
    np.testing.assert_allclose(
        found, (np.frombuffer(samples, np.uint8).astype(float) - 128) / 128, atol=1e-4
    )


def test_whole_kinds_of_recordings_are_never_trained_on():
    unheard = [source for source in sources.SOURCES if source.role == "unheard"]
    heard = [source for source in sources.SOURCES if source.role == "train"]
    assert {"steel-sky", "telephone-it", "telephone-fr", "telephone-es"} <= {
        source.name for source in unheard
    }
    assert not {source.package for source in unheard} & {source.package for source in heard}


# ---- the hard set --------------------------------------------------------------------------------


def test_the_hard_set_is_the_same_each_time_and_changes_what_it_says(tmp_path):
    generator = np.random.default_rng(0)
    rows = [build.MANIFEST_COLUMNS]
    for number in range(3):
        time = np.arange(48_000) / 16_000
        clip = 0.2 * np.sin(2 * np.pi * 200 * time) * (
            np.sin(9 * time) > 0
        ) + 0.001 * generator.standard_normal(48_000)
        path = tmp_path / "data/unheard/s" / f"{number}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, clip, 16_000)
        rows.append(
            (f"s/{number}", f"s/{number}.flac", "s", "en", "one", "CC0-1.0", "3.000", "some words")
        )
    build.write_table(tmp_path / "data/unheard/manifest.tsv", rows)
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        assert (
            prepare_hard_set.prepare_hard_set(tmp_path / "data", tmp_path / name, "en", 2, 0) == 12
        )
    with (tmp_path / "first/manifest.tsv").open(newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    levels = {}
    for line in lines:
        path = tmp_path / "first" / line["path"]
        assert path.read_bytes() == (tmp_path / "again" / line["path"]).read_bytes()
        clean, _ = soundfile.read(tmp_path / "first" / line["clean"])
        heard, _ = soundfile.read(path)
        assert heard.shape == clean.shape
        condition = line["source"].removeprefix("s-")
        levels[condition] = 20 * np.log10(np.sqrt(np.square(heard).mean()))
        assert (condition == "clean") == np.array_equal(heard, clean)
    assert set(levels) == {"clean", *prepare_hard_set.CONDITIONS}
    assert levels["quiet"] == pytest.approx(prepare_hard_set.QUIET_DB, abs=0.5)
    assert levels["rumble"] > levels["clean"] + 5
