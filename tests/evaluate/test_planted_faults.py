"""Codecs with planted faults of sound: each is ranked as it must be by the metric that is meant to
see it, and what a metric does not see is held, too.
"""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest
from planted import HOP, PHONES, RATE, SPEAKERS, tones
from tiny import speech

from xcodec2 import evaluators
from xcodec2.errors import EvaluatorError
from xcodec2.evaluate import Pair
from xcodec2.evaluate.metrics.f0 import F0
from xcodec2.evaluate.metrics.pesq import PESQ
from xcodec2.evaluate.metrics.wer import WordErrors
from xcodec2.evaluate.systems.changes import CHANGES


def changed(name: str, waveform: np.ndarray) -> np.ndarray:
    return CHANGES[name][1](waveform)


def clip() -> np.ndarray:
    return speech().numpy()[:40_000]


def coarse(waveform: np.ndarray, bits: int) -> np.ndarray:
    """A codec whose fault is its step: so many bits a sample, evenly spaced."""
    step = 2.0 ** (1 - bits) * np.abs(waveform).max()
    return (np.round(waveform / step) * step).astype(np.float32)


def test_pesq_ranks_codecs_by_what_they_lose():
    pytest.importorskip("pesq")
    original = clip()[:24_000]
    found = {bits: PESQ()(Pair(original, coarse(original, bits))) for bits in (12, 6, 2)}
    for column, perfect in (("pesq_wb", 4.644), ("pesq_nb", 4.549)):
        ranked = [perfect, *(values[column] for values in found.values())]
        assert ranked == sorted(ranked, reverse=True), column
        assert ranked[1] > 4 > 1.5 > ranked[-1], column
    lost = {n: PESQ()(Pair(original, changed(n, original))) for n in ("narrow", "gap", "noise")}
    for fault in ("narrow", "gap"):
        assert lost["noise"]["pesq_wb"] < lost[fault]["pesq_wb"] < 3 < 4.6
    # A telephone's listeners miss less of what a telephone would not have let through.
    assert lost["narrow"]["pesq_nb"] > lost["narrow"]["pesq_wb"] + 0.5


@pytest.mark.parametrize("semitones", [-2, 1])
def test_f0_says_by_how_much_a_codec_moves_the_pitch(semitones):
    from xcodec2.evaluate.systems.changes import higher

    found = F0()(Pair(clip(), higher(semitones)(clip())))
    assert found["f0_cents"] == pytest.approx(100 * abs(semitones), abs=12)
    assert found["f0_gross"] < 0.1


def test_f0_tells_another_pitch_from_none_and_minds_nothing_else():
    unheard = ("quiet", "inverted", "noise-20", "narrow")
    names, cache = ("semitone", "voice", "whisper", *unheard), {}
    found = {name: F0()(Pair(clip(), changed(name, clip()), cache=cache)) for name in names}
    assert found["voice"]["f0_gross"] > 0.9 > 0.1 > found["semitone"]["f0_gross"]
    assert found["whisper"]["voicing"] > 0.6 > 0.2 > found["voice"]["voicing"]
    for name in unheard:
        assert found[name]["f0_cents"] < 15, name
        assert found[name]["f0_gross"] < 0.02, name


class TonesHeard:
    """A recognizer for the tone speech of `planted`: a word for each phone, silence for none."""

    name, implementation, languages = "tones", "1", None

    def transcribe(self, waveform: np.ndarray) -> str:
        frames = waveform[: len(waveform) // HOP * HOP].reshape(-1, HOP)
        spectrum = np.abs(np.fft.rfft(frames))[:, [hertz // 50 for hertz in PHONES.values()]]
        names = np.array(list(PHONES))[spectrum.argmax(1)]
        words = np.where(spectrum.max(1) > 0.05 * HOP / 2, names, " ")
        return " ".join(re.findall(r"([a-z])\1+", "".join(words)))


PLANTED_TONES = {
    "copy": ("pnslpiau", "ann"),
    "speaker-blind": ("pnslpiau", "bob"),
    "one phone wrong": ("pnslpiaa", "ann"),  # which lengthens the one before
    "three phones wrong": ("psspiaaa", "ann"),
    "phone-blind": ("aaaaaaaa", "ann"),
}


def test_wer_ranks_by_lost_words_and_minds_no_voice(monkeypatch):
    """The speaker-blind codec says every word in another voice; the phone-blind one says none."""
    monkeypatch.setattr(evaluators, "asr", lambda name: TonesHeard())
    metric = WordErrors()
    said, speaker = PLANTED_TONES["copy"]
    original = tones([(phone, 0.1) for phone in said], speaker, 0)
    text = " ".join(said)
    found = {}
    for name, (phones, voice) in PLANTED_TONES.items():
        decoded = tones([(phone, 0.1) for phone in phones], voice, 1)
        found[name] = metric(Pair(original, decoded, text))["wer"]
    assert voice in SPEAKERS
    assert found["copy"] == found["speaker-blind"] == 0
    ranked = list(found.values())
    assert ranked == sorted(ranked)
    assert len(set(ranked)) == 4
    assert found["phone-blind"] > 0.8
    for name, wanted in {"quiet": 0, "inverted": 0, "noise-20": 0, "silence": 1}.items():
        assert metric(Pair(original, changed(name, original), text))["wer"] == wanted, name
    gap = metric(Pair(original, changed("gap", original), text))["wer"]
    swapped = metric(Pair(original, changed("swapped", original), text))["wer"]
    assert 0.2 <= gap < 0.5 < swapped


SENTENCES = (
    "The old farmer painted seven wooden boats.",
    "A quiet teacher opened the heavy windows near the harbor.",
)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """(N,) of each of SENTENCES, spoken by Flite."""
    soundfile = pytest.importorskip("soundfile")
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed")
    folder, spoken = tmp_path_factory.mktemp("flite"), []
    for text in SENTENCES:
        command = ["flite", "-voice", "slt", "-t", text, "-o", str(folder / "said.wav")]
        subprocess.run(command, check=True, timeout=60)
        waveform, rate = soundfile.read(folder / "said.wav", dtype="float32")
        assert rate == RATE
        spoken.append(waveform)
    return spoken


def judged(make, name):
    try:
        return make(name)
    except EvaluatorError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dnsmos", "distillmos"])
def test_predicted_opinions_rank_noise_and_whispering_and_hear_no_words(sentences, name):
    predictor = judged(evaluators.mos_predictor, name)
    names = ("copy", "noise-20", "noise", "whisper", "swapped", "inverted")
    found = {n: np.mean([predictor.score(changed(n, one)) for one in sentences]) for n in names}
    assert found["noise"] < found["noise-20"] < found["copy"], found
    assert found["whisper"] < found["copy"] - 0.5, found
    # Neither hears that what is said makes no sense any more: the least fault of sound costs more.
    lost = found["copy"] - found["noise-20"]
    assert abs(found["swapped"] - found["copy"]) < lost / 2, found
    assert abs(found["inverted"] - found["copy"]) < lost / 2, found


@pytest.mark.slow
def test_a_real_recognizer_ranks_lost_words_and_minds_no_pitch(sentences):
    asr = judged(evaluators.asr, "moonshine")
    metric = WordErrors()
    assert metric.implementation.startswith(asr.implementation)
    wrong = {}
    for name in ("copy", "quiet", "semitone", "gap", "swapped", "noise", "silence"):
        rows = [
            metric(Pair(one, changed(name, one), text))
            for one, text in zip(sentences, SENTENCES, strict=True)
        ]
        wrong[name] = sum(row["wer_wrong"] for row in rows) / sum(row["wer_total"] for row in rows)
    assert max(wrong["copy"], wrong["quiet"], wrong["semitone"]) < wrong["gap"], wrong
    assert wrong["gap"] < wrong["swapped"], wrong
    assert wrong["silence"] == 1
