"""The corpus of codes: the same rows for the same seed, resumed where it was, each sentence in one
split; on made-up engines but for hibari's grid.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import prepare_llasa_corpus as command
import pytest
from llasa_corpus import shards, speech, texts
from llasa_corpus.shards import Job, Maker, jobs, write_split
from llasa_corpus.speech import GridVoice, Speech, Take, voices
from llasa_corpus.texts import Script, split_texts
from talkers import base_tokenizer, small_codec

from xcodec2.extract import open_extraction
from xcodec2.extract.run import describe_codec
from xcodec2.llasa.text import normalize, phonemes
from xcodec2.llasa.training.prepare import prepare

TEXTS = [(f"The dog number {number} barked.", "made up") for number in range(60)]


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("codec")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_codec().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Engines that hiss as long as the phonemes are many; counts what they were asked to say."""
    asked: Counter[str] = Counter()

    def say(self, heard, voice, rng):
        asked[heard] += 1
        if "fˈɔɹ " in heard:
            raise speech.UnusableError("silent")
        steps = (1,) * (len(heard) + 2)
        noise = np.random.default_rng(rng.getrandbits(32)).normal(size=sum(steps) * 320)
        return Take(0.1 * noise, steps if isinstance(voice, GridVoice) else ())

    monkeypatch.setattr(Speech, "say", say)
    return asked


def build(out: Path, codec: str, hours: float, seed: int = 0, rows: int = 4) -> float:
    facts = describe_codec(codec).facts | {"source": "a test"}
    work = jobs([GridVoice()], Script(TEXTS, seed), rows, seed)
    maker = Maker(codec, out)
    return write_split(out, work, lambda units: map(maker, units), hours, facts)


def files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").iterdir()}


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path, codec, made):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build(tmp_path / name, codec, 0.0008, seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert not files(tmp_path / "a").keys() & files(tmp_path / "c").keys()


def test_a_second_run_makes_what_is_missing_and_no_more(tmp_path, codec, made):
    hours = build(tmp_path / "a", codec, 0.0015)
    whole = files(tmp_path / "a")
    assert hours >= 0.0015
    assert len(whole) > 1
    made.clear()
    assert build(tmp_path / "a", codec, 0.0015) == pytest.approx(hours)
    assert not made
    sorted((tmp_path / "a" / "data").iterdir())[0].unlink()
    build(tmp_path / "a", codec, 0.0015)
    assert made
    assert files(tmp_path / "a") == whole
    build(tmp_path / "a", codec, 0.0025)
    assert whole.items() < files(tmp_path / "a").items()
    assert max(made.values()) <= 2  # once, and once where the shard was removed


def test_rows_are_an_extraction_that_llasa_reads(tmp_path, codec, made):
    build(tmp_path / "a", codec, 0.0015, rows=8)
    found = open_extraction(tmp_path / "a", columns=("id", "codes", "phonemes"))
    rows = [row for shard in found.shards() for row in shard.rows(shard.columns)]
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["phonemes"] == phonemes(row["text"])
        assert row["words"] == normalize(row["text"])
        assert (row["codes"] is None) == ("fˈɔɹ " in row["phonemes"])
        if row["codes"] is None:
            assert row["error"] == "silent"
            continue
        durations = list(map(int, row["durations"].split()))
        assert len(durations) == len(row["phonemes"]) + 2
        assert sum(durations) == len(row["codes"])
        assert row["text_license"] == row["voice_license"] == "Apache-2.0"
    tokenizer = base_tokenizer(None, llama=False)
    done = prepare(
        tmp_path / "a", tmp_path / "r", tokenizer, text="phonemes", phonemes=True, validation=0
    )
    assert done.rows["train"] == sum(row["codes"] is not None for row in rows)


def test_codes_are_those_of_the_waveform_alone(tmp_path, codec, made):
    maker = Maker(codec, tmp_path)
    job = Job(GridVoice(), 0, 0, TEXTS[:3])
    outcomes = maker(job)[2]
    alone = [maker(replace(job, texts=job.texts[:count]))[2] for count in (1, 2, 3)]
    for count, single in enumerate(alone):
        np.testing.assert_array_equal(single[count].codes, outcomes[count].codes)


def test_sentences_are_split_by_what_is_heard():
    written = [*TEXTS, ("The dog number two, barked!", "web"), ("日本", "web"), ("...", "web")]
    splits = split_texts(written, 0.3, 0)
    train, heldout = ({texts.same_reading(text) for text, _ in splits[s]} for s in texts.SPLITS)
    assert not train & heldout
    assert len(train) + len(heldout) == len(TEXTS) == sum(map(len, splits.values()))
    assert 5 < len(heldout) < 35
    assert split_texts(written, 0.3, 0) == splits


def test_a_voice_says_every_sentence_once():
    script = Script(TEXTS, 0)
    said = [text for part in range(8) for text in script.part("heart", part, 8)]
    assert sorted(said) == sorted(TEXTS)
    assert script.part("heart", 8, 8) == []
    assert script.part("other", 0, 8) != script.part("heart", 0, 8)
    work = list(jobs([GridVoice("a"), GridVoice("b")], script, 40, 0))
    assert [(job.voice.name, job.part) for job in work] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_voices_that_are_never_trained_on_are_held_out():
    for kind in speech.KINDS:
        assert {voice.split for voice in voices(kind, 0)} <= {"train", "unheard"}
    assert any(voice.split == "unheard" for voice in voices("kokoro", 0))
    assert all(voice.language == "en" for voice in voices("kokoro", 0))


def test_made_up_sentences_can_be_read():
    for number in range(400):
        rng = random.Random(number)
        text = rng.choice((texts.number_laden, texts.command, texts.made_up))(rng)
        words = normalize(text)
        assert not any(one.isdigit() for one in words)
        assert words[-1] in ".?!", (text, words)


def test_hours_are_given_with_their_voices():
    assert command.hours_of("hibari=50") == ("hibari", 50.0)
    for wrong in ("hibari", "flite=3", "kokoro=much"):
        with pytest.raises(command.argparse.ArgumentTypeError, match="KIND=HOURS"):
            command.hours_of(wrong)


def test_hibari_speaks_on_the_grid_of_the_codes(tmp_path):
    engine = Speech(tmp_path)
    heard = phonemes("Hello there.")
    take, again = (engine.say(heard, GridVoice(), random.Random(3)) for _ in range(2))
    np.testing.assert_array_equal(take.waveform, again.waveform)
    assert len(take.durations) == len(heard) + 2
    assert len(take.waveform) == sum(take.durations) * 320
    level = np.abs(take.waveform[: len(take.waveform) // 320 * 320]).reshape(-1, 320).max(1)
    inside = level[take.durations[0] : -take.durations[-1]]
    assert inside.mean() > 5 * level[: take.durations[0] - 2].mean()
    assert 0.05 < np.abs(take.waveform).max() <= shards.np.float32(1)


def test_pseudo_speakers_are_on_the_grid_too_and_sound_otherwise(tmp_path):
    engine = Speech(tmp_path)
    heard = phonemes("The three thin brothers rest.")
    slow, accented = (
        next(one for one in voices("pseudo", 0) if wanted(one))
        for wanted in (lambda one: one.pace < 0.9, lambda one: len(one.accent) > 2)
    )
    own = engine.say(heard, GridVoice(), random.Random(3))
    for voice in (slow, accented):
        take = engine.say(heard, voice, random.Random(3))
        assert len(take.durations) == len(heard) + 2
        assert len(take.waveform) == sum(take.durations) * 320
        assert not np.array_equal(take.waveform[:20_000], own.waveform[:20_000])
    assert sum(engine.say(heard, slow, random.Random(3)).durations) > sum(own.durations)
