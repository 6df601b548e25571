"""What a language model says in a codec's codes, and who hears it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from planted import planted_corpus, planted_systems
from tiny import speech

from xcodec2 import evaluators
from xcodec2.corpus import read_corpus
from xcodec2.errors import EvaluatorError, UndefinedError
from xcodec2.evaluate import FunctionSystem, TokenizerSystem, evaluate
from xcodec2.evaluate.leaderboard import leaderboard
from xcodec2.evaluate.lm import loop
from xcodec2.evaluate.lm.judging import Listeners
from xcodec2.evaluate.lm.loop import LmPlan, language_models
from xcodec2.evaluate.lm.speaking import FrameSpeech, PacketSpeech, say_all
from xcodec2.evaluate.lm.steps import Layout
from xcodec2.evaluate.lm.streams import ByteForm, ByteStream, Streams, streams_of
from xcodec2.evaluate.lm.training import LmRecipe, SmallLlama, held_out_bits, trained
from xcodec2.evaluate.probing.probes import read_phones
from xcodec2.evaluate.report.text import summary_lines
from xcodec2.evaluate.systems import ogg
from xcodec2.evaluate.systems.named import baseline

SMALL = {"width": 16, "layers": 1, "heads": 2, "context": 32, "batch": 16}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    recordings = list(read_corpus(str(planted_corpus(tmp_path_factory.mktemp("said"), 15))))
    return recordings, read_phones(recordings, "phones")


@pytest.mark.parametrize("delayed", [False, True])
def test_a_model_says_the_phones_that_it_is_told(corpus, delayed):
    system = next(one for one in planted_systems() if one.name == "speaker-blind")
    streams = streams_of(system, *corpus)
    few = SMALL | {"context": 16, "batch": 4}
    recipe = LmRecipe(10_000, delayed=delayed, learning_rate=2e-2, **few)
    model = trained(streams, recipe)
    wanted = streams.rest[:3]
    said = say_all(model, streams, wanted)  # longer than the window
    assert all(len(stream.bytes) > model.window for stream in wanted)
    right = [np.mean(one == stream.bytes) for one, stream in zip(said, wanted, strict=True)]
    assert min(right) > 0.95
    assert all(
        np.array_equal(*both) for both in zip(said, say_all(model, streams, wanted), strict=True)
    )
    told, untold = (held_out_bits(model, streams, told=one) for one in (True, False))
    assert told < untold / 3


def frames(bytes_: list[int], slots: int) -> ByteStream:
    number = len(bytes_) // slots
    return ByteStream(np.array(bytes_, np.uint8), np.full(number, slots), np.arange(number), 1.0)


@pytest.mark.parametrize("delayed", [False, True])
def test_what_is_told_stays_and_is_left_out_of_what_is_said(delayed):
    layout = Layout(ByteForm(2, 256, 2), delayed)
    one = FrameSpeech(layout, frames([1, 0, 0, 4, 5, 6, 7, 8], 2), prompt=2)
    seen, phones = [], []
    while not one.done:
        phones.append(one.phone)
        place = np.arange(2) if delayed else np.array([one.step % 2])
        seen.append(one.take(99 + place * 256).tolist())
    assert one.said().tolist() == [99] * 4
    if delayed:
        assert seen == [[1, 512], [0, 256], [99, 260], [99, 355], [512, 355]]
        assert phones == [0, 1, 2, 3, 3]
    else:
        assert seen == [[1], [256], [0], [260], [99], [355], [99], [355]]
        assert phones == [0, 0, 1, 1, 2, 2, 3, 3]
    assert one.take(np.array([3, 3])).tolist() == [512, 512]


def test_packets_say_their_own_size_and_no_more_of_them_are_said_than_wanted():
    stream = ByteStream(np.frombuffer(ogg.with_sizes([b"abc", b"d"]), np.uint8), np.array([4, 2]),
                    np.array([3, 5]), 1.0)  # fmt: skip
    layout = Layout(ByteForm(0, 256, 1, packets=True))

    def spoken(drawn: list[int], prompt: int = 0) -> tuple[list[int], list[int]]:
        one, phones = PacketSpeech(layout, stream, prompt), []
        for byte in drawn:
            phones.append(one.phone)
            one.take(np.array([byte]))
        return one.said().tolist(), phones

    assert spoken([2, 7, 8, 0, 1]) == ([2, 7, 8, 0], [3, 3, 3, 5, 0])
    assert spoken([9] * 6, prompt=1) == ([9, 9], [3, 3, 3, 3, 5, 5])
    assert len(spoken([255] * 40)[0]) == 2 * len(stream.bytes)  # no end is seen


def test_without_phones_a_model_goes_on_from_the_first_second():
    stream = ByteStream(np.arange(100, dtype=np.uint8), np.ones(100, int), np.zeros(100, int), 4.0)
    streams = Streams(ByteForm(1, 256, 1), [stream], [stream])
    model = SmallLlama(Layout(streams.form), 0, LmRecipe(1, **SMALL)).eval()
    assert [len(one) for one in say_all(model, streams, [stream])] == [75]


class Ears:
    """Stands for a recognizer and for listeners."""

    name = implementation = "ears"
    languages = frozenset(["en"])

    def transcribe(self, waveform: np.ndarray) -> str:
        if len(waveform) < 1600:
            raise UndefinedError("shorter than 0.1 s")
        return "one two three four" if waveform[0] > 0.5 else "one"

    def score(self, waveform: np.ndarray) -> float:
        if not waveform.any():
            raise UndefinedError("silent")
        return 3.0


@pytest.fixture
def ears(monkeypatch):
    monkeypatch.setattr(evaluators, "asr", lambda name: Ears())
    monkeypatch.setattr(evaluators, "mos_predictor", lambda name: Ears())


class Levels:
    """A code of 256 levels, 100 a second."""

    sample_rate, frame_rate, codebook_size = 16_000, 100.0, 256

    def encode(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        return np.zeros(len(audio) // 160, int)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        if (codes == 7).any():
            raise RuntimeError("no such code")
        return np.repeat(codes / 255, 160).astype(np.float32)


def test_errors_are_capped_and_what_cannot_be_decoded_is_silence(ears):
    system = TokenizerSystem("levels", Levels())
    said = [np.full(12, value, np.uint8) for value in (255, 60, 7)]
    wanted = [
        ByteStream(one, np.ones(12, int), np.ones(12, int), 1.0, text, language)
        for one, text, language in zip(
            said, ("one", "one two", "three"), ("en", None, "en-GB"), strict=True
        )
    ]
    streams = Streams(ByteForm(1, 256, 1), wanted, wanted, phones=1)
    found = Listeners("any").listen(system, streams, said, wanted)
    # three inserted count as one, "two" is missing, and silence says nothing
    assert found == {"mos": pytest.approx((3 + 3 + 1) / 3), "wer": 3 / 4, "wer_words": 4}
    untold = Streams(streams.form, wanted, wanted)
    assert set(Listeners("any").listen(system, untold, said, wanted)) == {"mos"}
    short = Listeners("any").listen(system, streams, [said[0][:5]] * 3, wanted)
    assert short["wer"] == 1  # nothing is heard in what is too short
    mute = FunctionSystem("mute", lambda waveform: waveform)
    assert Listeners("any").listen(mute, streams, said, wanted) == {}


def test_a_run_has_words_and_opinions_with_intervals_over_seeds(
    corpus, ears, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    systems = [TokenizerSystem("levels", Levels())]
    recordings, labels = corpus
    plan = LmPlan(0.05, seeds=2, sentences=2)
    found = language_models(systems, recordings, tmp_path, plan, labels=labels)
    facts = found["systems"]["levels"]
    assert len(facts["wer"]["of_seeds"]) == len(facts["mos"]["of_seeds"]) == 2
    assert facts["wer"]["low"] <= facts["wer"]["mean"] <= facts["wer"]["high"]
    assert facts["bits_told"]["mean"] > 0
    assert facts["ceiling"]["mos"] == 1  # its own codes are silence
    assert (found["told"], found["judges"]) == ("phones", "ears; ears")
    assert language_models(systems, recordings, tmp_path, plan, labels=labels) == found


def test_missing_judges_are_named_and_cost_no_bits(corpus, tmp_path, monkeypatch):
    def missing(name):
        raise EvaluatorError(f"{name} is not there")

    monkeypatch.setattr(evaluators, "asr", missing)
    monkeypatch.setattr(evaluators, "mos_predictor", missing)
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    plan = LmPlan(0.01, seeds=1, sentences=1)
    found = language_models([TokenizerSystem("levels", Levels())], corpus[0], tmp_path, plan)
    assert found["missing"] == {"wer": "moonshine is not there", "mos": "distillmos is not there"}
    assert found["told"] == "the first 1 s"
    assert set(found["systems"]["levels"]) & {"wer", "mos", "ceiling"} == set()


def test_an_ogg_file_is_made_of_packets_and_taken_apart_again():
    packets = [b"", b"a" * 255, b"b" * 700, b"c"]
    whole = ogg.ogg_file([b"head", b"tags"], packets, 960)
    assert list(ogg.ogg_packets(whole)) == [b"head", b"tags", *packets]
    assert ogg.parted(ogg.with_sizes(packets)) == packets
    assert ogg.parted(ogg.with_sizes(packets)[:-1]) == packets[:-1]
    assert ogg.parted(b"\xff" * 3) == []
    assert ogg.checksum(b"123456789") == 0x89A1897F  # CRC-32/OGG of the catalogues of CRCs


@pytest.mark.parametrize("name", ["opus@6k", "codec2@1600", "codec2@700C"])
def test_classic_codecs_speak_what_they_wrote(name):
    system = baseline(name)
    decoded = system(speech().numpy())
    again = system.speak(decoded.written)
    both = min(len(again), len(decoded.waveform)) - 400  # a file cut short ends otherwise
    assert abs(len(again) - len(decoded.waveform)) < 1000
    assert np.allclose(again[:both], decoded.waveform[:both], atol=1e-4)
    form = ByteForm.of(decoded)
    assert form.sizes(form.stream(decoded)).sum() == len(decoded.written)
    assert form.packets == name.startswith("opus")


def test_the_report_shows_what_was_said(corpus, ears, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LmRecipe", lambda tokens, seed: LmRecipe(tokens, seed, **SMALL))
    summary = evaluate(
        corpus[0], tmp_path / "out", models=(), systems=[TokenizerSystem("levels", Levels())],
        metrics=(), cost=False, worst=0, phones="phones", lm_minutes=0.02, lm_seeds=2,
        lm_sentences=1,
    )  # fmt: skip
    assert summary["lm"]["systems"]["levels"]["mos"]["mean"] >= 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "WER of what it says" in page
    assert "told the phones" in page
    assert leaderboard([tmp_path / "out"], tmp_path / "board.html") == 1
    assert "MOS of what it says" in (tmp_path / "board.html").read_text(encoding="utf-8")
    lines = "\n".join(summary_lines(summary))
    assert re.search(r"levels: bit/s, LM \d+±\d+, .*MOS of what it says \d", lines)
