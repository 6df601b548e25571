"""A language model in the loop, the text probe, and k-means as the codec to beat."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from planted import Planted, planted_corpus, planted_systems
from tiny import speech

from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import FunctionSystem, TokenizerSystem, evaluate, evaluation
from xcodec2.evaluate.lm import loop
from xcodec2.evaluate.lm.loop import LmPlan, language_models, t_interval, train_and_measure
from xcodec2.evaluate.lm.steps import Layout
from xcodec2.evaluate.lm.streams import (
    ByteForm,
    ByteStream,
    Streams,
    as_bytes,
    as_tokens,
    bytes_of_a_code,
    streams_of,
)
from xcodec2.evaluate.lm.training import LmRecipe
from xcodec2.evaluate.report.language_model import lm_lines, lm_models, rows_of_systems
from xcodec2.evaluate.systems.kmeans import kmeans_system
from xcodec2.evaluate.systems.named import baseline
from xcodec2.evaluate.text_probe import text_probe

SMALL = {"width": 16, "layers": 1, "heads": 2, "context": 32, "batch": 16}


def test_codes_become_bytes_frame_by_frame_and_book_by_book():
    assert as_bytes(np.array([[1, 2, 255]]), 256).tolist() == [1, 2, 255]
    assert as_bytes(np.array([[0x1234, 0xFFFF]]), 65_536).tolist() == [0x12, 0x34, 0xFF, 0xFF]
    assert as_bytes(np.array([[1, 2], [3, 4]]), 200).tolist() == [1, 3, 2, 4]
    assert [bytes_of_a_code(n) for n in (2, 256, 257, 65_536, 65_537)] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(("books", "size"), [(1, 65_536), (3, 200), (2, 1000)])
def test_bytes_become_the_codes_again(books, size):
    codes = np.random.default_rng(0).integers(0, size, (books, 9))
    stream = as_bytes(codes, size)
    assert np.array_equal(as_tokens(stream, books, size), codes)
    assert as_tokens(stream[:-1], books, size).shape == (books, 8)
    assert as_tokens(np.full(len(stream), 255, np.uint8), books, size).max() == size - 1
    slots = books * bytes_of_a_code(size)
    layout = Layout(ByteForm(books, size, slots), delayed=True)
    steps = layout.steps(ByteStream(stream, np.full(9, slots), np.arange(9), 1.0))
    assert steps.ids.shape == (9 + slots - 1, slots)
    assert steps.phones.tolist() == [*range(9), *[8] * (slots - 1)]
    assert np.array_equal(layout.bytes(steps.ids), stream)


def synthetic(kind: str) -> Streams:
    """Frames of two bytes: the second is the first one's double, or anything."""
    rng = np.random.default_rng(0)

    def stream() -> ByteStream:
        first = rng.integers(0, 4, 150)
        second = first * 2 if kind == "told" else rng.integers(0, 4, 150)
        whole = np.stack([first, second], 1).astype(np.uint8).ravel()
        return ByteStream(whole, np.full(150, 2), np.zeros(150, int), 3.0)

    return Streams(ByteForm(2, 256, 2), [stream() for _ in range(12)], [stream() for _ in range(4)])


def bits_of(streams: Streams, recipe: LmRecipe) -> float:
    return train_and_measure(streams, recipe)[0]["bits_a_second"]


@pytest.mark.slow
def test_the_model_finds_what_there_is_to_find_and_no_more():
    """100 bit/s of chance where the second byte is told by the first one, 200 where it is not; a
    delayed layout sees the first one, too.
    """
    recipe = LmRecipe(25_000, learning_rate=2e-2, **SMALL)
    told, free = (bits_of(synthetic(kind), recipe) for kind in ("told", "free"))
    assert 100 <= told < 130
    assert 199 <= free < 225
    delayed = bits_of(synthetic("told"), replace(recipe, delayed=True))
    assert 100 <= delayed < 130
    few = LmRecipe(600, **SMALL)
    assert bits_of(synthetic("told"), few) == bits_of(synthetic("told"), few)
    for layout in (False, True):
        untrained = bits_of(synthetic("told"), LmRecipe(1, delayed=layout, **SMALL))
        assert untrained == pytest.approx(100 * math.log2(256), rel=0.05)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return list(read_corpus(str(planted_corpus(tmp_path_factory.mktemp("lm"), 15))))


def test_systems_are_ranked_by_what_their_codes_leave_to_chance(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    calls = []
    real = loop.train_and_measure
    monkeypatch.setattr(loop, "train_and_measure", lambda *a: calls.append(a) or real(*a))
    systems = [s for s in planted_systems() if s.name in ("speaker-blind", "noise-sensitive")]
    systems.append(FunctionSystem("codeless", lambda waveform: waveform))
    plan = LmPlan(2.0, seeds=2, sentences=0)
    found = language_models(systems, recordings, tmp_path, plan)
    assert set(found["systems"]) == {"speaker-blind", "noise-sensitive"}
    blind, noisy = found["systems"]["speaker-blind"], found["systems"]["noise-sensitive"]
    assert blind["bits_a_second"] < noisy["bits_a_second"] / 2
    assert blind["low"] < blind["bits_a_second"] < blind["high"]
    assert found["tokens"] == pytest.approx(2 * 60 * 50, rel=0.01)
    assert noisy["seconds_learned"] == pytest.approx(60, rel=0.01)  # two bytes a code
    assert noisy["layout"] == "2 bytes a code"
    assert len(calls) == 4
    assert language_models(systems, recordings, tmp_path, plan) == found
    assert len(calls) == 4  # all of it was there
    kept = (tmp_path / "lm.jsonl").read_bytes()
    (tmp_path / "lm.jsonl").write_bytes(kept[: kept.rindex(b"{") + 9])  # killed in the last line
    assert language_models(systems, recordings, tmp_path, plan) == found
    assert len(calls) == 5
    (tmp_path / "lm.jsonl").write_text("{}\n")
    with pytest.raises(XCodec2Error, match="is damaged; remove it"):
        language_models(systems, recordings, tmp_path, plan)
    with pytest.raises(XCodec2Error, match="no system has codes"):
        language_models(systems[2:], recordings, tmp_path, plan)


@pytest.mark.slow
def test_workers_change_no_language_model():
    work = [(synthetic("told"), LmRecipe(2000, seed, **SMALL), 1) for seed in range(2)]
    for (bits, said), (wanted, words) in zip(
        loop.measured(work, 2), loop.measured(work, 1), strict=True
    ):
        assert bits == wanted
        assert np.array_equal(said[0], words[0])


class TwoBooks(Planted):
    """Two codebooks of the oracle's phone and speaker."""

    def encode(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        codes = super().encode(audio, sample_rate)
        return np.stack([codes // 3, codes % 3])

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return super().decode(codes[0])


def test_several_codebooks_and_written_bytes_are_streams_too(recordings):
    two = streams_of(TokenizerSystem("two", TwoBooks("oracle")), recordings)
    assert (two.slots, two.form.words) == (2, "2 codebooks flattened, 1 byte a code")
    assert (
        Layout(two.form, delayed=True).words == "2 codebooks delayed by a frame each, 1 byte a code"
    )
    assert two.bytes_a_second == pytest.approx(100, rel=0.01)
    copy = streams_of(baseline("cmd:cp {in} {code}:cp {code} {out}"), recordings)
    assert copy.form.words == "bytes that it writes"
    assert copy.bytes_a_second == pytest.approx(32_000, rel=0.01)
    with pytest.raises(XCodec2Error, match="needs recordings to learn from and others"):
        streams_of(TokenizerSystem("two", TwoBooks("oracle")), recordings[:1])


def test_several_codebooks_have_a_second_row_in_the_delayed_layout(
    recordings, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    two = TokenizerSystem("two", TwoBooks("oracle"))
    plan = LmPlan(0.1, seeds=1, sentences=0)
    lm = language_models([two], recordings, tmp_path, plan)
    facts = lm["systems"]["two"]
    assert facts["layout"] == "2 codebooks flattened, 1 byte a code"
    assert facts["delayed"]["layout"] == "2 codebooks delayed by a frame each, 1 byte a code"
    assert facts["delayed"]["bits_a_second"] != facts["bits_a_second"]
    assert [name for name, _ in rows_of_systems(lm)] == ["two", "two, delayed"]
    assert "two, delayed" in lm_models(lm)


def test_a_broken_codec_costs_its_own_language_model_alone(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    broken = baseline("cmd@broken:false {in} {code}:cp {code} {out}")
    works = TokenizerSystem("works", TwoBooks("oracle"))
    lm = language_models([broken, works], recordings, tmp_path, LmPlan(0.05, 1, 0))
    assert list(lm["systems"]) == ["works"]
    assert list(lm["failed"]) == ["broken"]
    said = list(lm_lines(lm))
    assert said[-1].startswith("  no model of broken: a language model needs recordings")
    assert "No model of broken." in lm_models(lm)
    with pytest.raises(XCodec2Error, match="broken: a language model needs recordings"):
        language_models([broken], recordings, tmp_path, LmPlan(0.05, 1, 0))


def test_intervals_are_students():
    low, high = t_interval([10.0, 12.0, 14.0])
    assert (low, high) == pytest.approx(
        (12 - 4.303 * 2 / 3**0.5, 12 + 4.303 * 2 / 3**0.5), abs=1e-3
    )
    assert t_interval([3.0]) == (None, None)


def test_the_whole_run_reports_both_and_says_why_not(recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    oracle = planted_systems()[:1]
    options = {
        "models": (),
        "metrics": (),
        "cost": False,
        "worst": 0,
        "lm_minutes": 0.05,
        "lm_sentences": 0,
    }
    summary = evaluate(
        recordings, tmp_path / "out", systems=oracle, lm_seeds=1, text_probe_steps=2, **options
    )
    assert summary["lm"]["systems"]["oracle"]["low"] is None
    probe = summary["text_probe"]["oracle"]
    assert probe["character_error_rate"]["mean"] > 0.3
    assert "phone_error_rate" not in probe
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "What codes are worth to a language model" in page
    assert "Text in the codes" in page
    monkeypatch.setattr(evaluation, "page", lambda *args, **options: "")
    codeless = [FunctionSystem("codeless", lambda waveform: waveform)]
    summary = evaluate(recordings, tmp_path / "out", systems=codeless, **options)
    assert summary["lm"] == {
        "error": "no system has codes that a language model could learn from",
        "systems": {},
    }


@pytest.mark.slow
def test_a_text_probe_reads_codes_that_say_the_text(tmp_path):
    """Phones are letters here: the oracle's codes can be read, the phone-blind codec's cannot."""
    recordings = list(read_corpus(str(planted_corpus(tmp_path, 60))))
    errors = {}
    for system in planted_systems()[:2]:
        rows = []
        for recording in recordings:
            codes = system.codes(recording.load(16_000).waveform.numpy()).tolist()
            rows.append({"id": recording.id, "columns": recording.columns, "codes": codes})
        errors[system.name] = text_probe(system, rows, tmp_path / "probe", 300)
    rates = {name: found["character_error_rate"]["mean"] for name, found in errors.items()}
    assert rates["oracle"] < 0.1 < 0.5 < rates["phone-blind"]


def test_k_means_is_a_codec_at_its_rate(tmp_path):
    clip = speech().numpy()
    soundfile.write(tmp_path / "clip.wav", clip, 16_000, subtype="FLOAT")
    system = kmeans_system(str(tmp_path / "clip.wav"), 600)
    assert system.name == "kmeans@0.6k"
    decoded = system(clip)
    assert decoded.bits / len(clip) * 16_000 == pytest.approx(600, rel=0.01)
    assert set(decoded.codes.tolist()) <= set(range(64))
    assert abs(len(decoded.waveform) - len(clip)) <= 160
    again = baseline(f"kmeans:{tmp_path / 'clip.wav'}@0.6k")
    assert (again.key, again.codes(clip).tolist()) == (system.key, decoded.codes.tolist())
    level = np.abs(np.fft.rfft(clip[:32_000])), np.abs(np.fft.rfft(decoded.waveform[:32_000]))
    assert np.corrcoef(*level)[0, 1] > 0.5
    assert system.vectors(decoded.codes).shape == (len(decoded.codes), 64)
    with pytest.raises(XCodec2Error, match="are too few for 1024 codes"):
        kmeans_system(str(tmp_path / "clip.wav"), 1000)


def test_k_means_learns_every_voice_of_a_list_that_is_sorted_by_voice(tmp_path, monkeypatch):
    monkeypatch.setattr("xcodec2.evaluate.systems.kmeans.MAX_FRAMES", 1000)
    rng = np.random.default_rng(0)
    clock = np.arange(8000) / 16_000
    lines = ["id\tpath"]
    for number in range(40):  # 50 frames each: half of them are learned from
        tone = np.sin(2 * np.pi * (300 if number < 20 else 3000) * clock)
        faint = 0.01 * rng.standard_normal(len(clock))
        soundfile.write(tmp_path / f"{number:02d}.wav", 0.5 * tone + faint, 16_000)
        lines.append(f"{number:02d}\t{number:02d}.wav")
    (tmp_path / "sorted.tsv").write_text("\n".join(lines) + "\n")
    codebook = kmeans_system(str(tmp_path / "sorted.tsv"), 600).tokenizer.codebook
    low, high = codebook[:, :20].max(1), codebook[:, 20:].max(1)
    assert (low > high).any()
    assert (high > low).any()


def test_k_means_of_too_few_different_frames_is_refused(tmp_path):
    soundfile.write(
        tmp_path / "steady.wav", np.tile(np.sin(np.arange(160) * np.pi / 80), 400), 16_000
    )
    with pytest.raises(XCodec2Error, match="different frames"):
        kmeans_system(str(tmp_path / "steady.wav"), 600)
