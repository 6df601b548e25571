"""Metrics against their reference packages and against what is known of a signal beforehand."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from tiny import speech

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import Pair
from xcodec2.evaluate.metrics.f0 import F0, compare_pitch, yin
from xcodec2.evaluate.metrics.invariance import Invariance, agreement
from xcodec2.evaluate.metrics.mel import MelDistance
from xcodec2.evaluate.metrics.pesq import PESQ
from xcodec2.evaluate.metrics.si_sdr import SISDR
from xcodec2.evaluate.metrics.stoi import STOI
from xcodec2.signal.mel import MEL_WINDOWS
from xcodec2.train import losses


def of(metric, original: np.ndarray, decoded: np.ndarray, **more) -> dict[str, float]:
    return metric()(Pair(original, decoded, **more))


def noisy() -> tuple[np.ndarray, np.ndarray]:
    """The clip inside the package, and it with noise."""
    clip = speech().numpy()
    return clip, clip + 0.01 * np.random.default_rng(0).standard_normal(len(clip)).astype(
        np.float32
    )


def voice(hertz: np.ndarray | float, seconds: float = 1.0) -> np.ndarray:
    """(N,) float32: eight harmonics of a pitch that may glide."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, round(16_000 * seconds))) / 16_000
    return sum(np.sin(k * phase) / k for k in range(1, 9)).astype(np.float32) / 4


def test_stoi_and_pesq_are_the_packages_own():
    pesq, pystoi = pytest.importorskip("pesq"), pytest.importorskip("pystoi")
    clip, worse = noisy()
    assert of(STOI, clip, worse)["stoi"] == pytest.approx(
        pystoi.stoi(clip, worse, 16_000), abs=1e-6
    )
    extended = pystoi.stoi(clip, worse, 16_000, extended=True)
    assert of(STOI, clip, worse)["estoi"] == pytest.approx(extended, abs=1e-6)
    wide, narrow = (pesq.pesq(16_000, clip, worse, mode) for mode in ("wb", "nb"))
    assert of(PESQ, clip, worse) == pytest.approx({"pesq_wb": wide, "pesq_nb": narrow}, abs=1e-6)


def test_mel_distance_is_the_published_loss():
    clip, worse = noisy()
    pair = [torch.from_numpy(w)[None] for w in (worse, clip)]
    wanted = np.mean([float(losses.mel_loss(*pair, window, 16_000)) for window in MEL_WINDOWS])
    assert of(MelDistance, clip, worse)["mel"] == pytest.approx(wanted, rel=1e-5)


def test_si_sdr_is_the_ratio_that_was_mixed_whatever_the_level():
    tone = np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000).astype(np.float32)
    other = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000).astype(
        np.float32
    )  # orthogonal to it
    for decibels in (20, 0, -7):
        mixed = 0.3 * (tone + other * np.float32(10 ** (-decibels / 20))) + 0.1
        assert of(SISDR, tone, mixed)["si_sdr"] == pytest.approx(decibels, abs=1e-3)
        assert of(SISDR, tone + 0.2, mixed)["si_sdr"] == pytest.approx(decibels, abs=1e-3)
    assert of(SISDR, tone, -3 * tone)["si_sdr"] == 100.0
    with pytest.raises(XCodec2Error, match="silent"):
        of(SISDR, tone, 0 * tone)


@pytest.mark.parametrize("hertz", [65.0, 110.0, 220.5, 330.25, 480.0])
def test_pitch_of_a_steady_voice(hertz):
    found = yin(voice(hertz))
    assert (found > 0).all()
    np.testing.assert_allclose(found, hertz, rtol=2e-3)


def test_pitch_of_a_glide_is_followed():
    glide = np.linspace(100, 200, 16_000)
    found = yin(voice(glide))
    middles = np.arange(len(found)) * 160 + 390
    np.testing.assert_allclose(found, glide[middles], rtol=0.02)


def test_pitch_errors_say_what_was_done_to_the_voice():
    clip = voice(120.0)
    silence = np.zeros(16_000, np.float32)
    sharp = compare_pitch(clip, voice(120.0 * 2 ** (50 / 1200)))
    assert sharp.cents == pytest.approx(50, abs=1)
    assert (sharp.gross, sharp.voicing) == (0, 0)
    octave = of(F0, clip, voice(240.0))
    assert octave == {"f0_gross": 1.0, "voicing": 0.0}  # cents are of copies, and there is none
    half = of(F0, np.concatenate([clip, clip]), np.concatenate([clip, silence]))
    assert half["voicing"] == pytest.approx(0.5, abs=0.03)
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    assert (yin(noise) > 0).mean() < 0.05
    with pytest.raises(XCodec2Error, match="no voiced frame"):
        compare_pitch(noise, clip)
    with pytest.raises(XCodec2Error, match="too short"):
        yin(clip[:500])


def test_what_is_not_defined_says_why():
    clip, worse = noisy()
    with pytest.raises(XCodec2Error, match="fewer than 30 frames"):
        of(STOI, clip[20_000:24_000], worse[20_000:24_000])
    with pytest.raises(XCodec2Error, match="nothing to hear"):
        of(PESQ, clip, 0 * clip)
    with pytest.raises(XCodec2Error, match=r"\S"):
        of(PESQ, clip[20_000:22_000], worse[20_000:22_000])


def test_invariance_counts_codes_place_by_place():
    assert agreement(np.array([1, 2, 3, 4, 9]), np.array([1, 0, 3, 4])) == 0.75
    heard: list[np.ndarray] = []

    def level(waveform: np.ndarray) -> np.ndarray:
        """A codec whose codes are the sign of each block's first sample: gain changes none."""
        heard.append(waveform)
        return (waveform[::320] > 0).astype(int)

    clip = speech().numpy()
    kept = of(Invariance, clip, clip, codes=level(clip), encode=level)
    assert kept["kept_gain"] == 1.0
    assert kept["kept_resampled"] > 0.9 > kept["kept_shift"]
    _, quieter, with_noise, resampled, later = heard
    np.testing.assert_allclose(quieter, clip * 10 ** (-0.3), rtol=1e-6)
    assert 10 * np.log10(np.sum(clip**2) / np.sum((with_noise - clip) ** 2)) == pytest.approx(
        30, abs=0.1
    )
    assert len(resampled) == len(clip)
    np.testing.assert_array_equal(later[80:], clip)


COPIES = {
    "copy": lambda clip: clip,
    "-6 dB": lambda clip: clip / 2,
    "+20 dB": lambda clip: clip * 10,
    "inverted": lambda clip: -clip,
}
CEILING = {"stoi": 1.0, "estoi": 1.0, "pesq_wb": 4.644, "pesq_nb": 4.549, "si_sdr": 100.0}


def all_of(original: np.ndarray, decoded: np.ndarray) -> dict[str, float]:
    values: dict[str, float] = {}
    for metric in (STOI, PESQ, MelDistance, SISDR, F0):
        values |= of(metric, original, decoded)
    return values


@pytest.mark.parametrize("change", COPIES)
def test_level_and_polarity_move_mel_alone(change):
    """The table of docs/guides/evaluation.md, "What moves a metric"."""
    clip = speech().numpy()[:40_000]
    found = all_of(clip, COPIES[change](clip))
    mel = found.pop("mel")
    assert mel == pytest.approx({"-6 dB": 0.287, "+20 dB": 0.981}.get(change, 0), abs=0.05)
    perfect = CEILING | {"f0_cents": 0, "f0_gross": 0, "voicing": 0}
    assert found == pytest.approx(perfect, abs=1e-3)


def test_a_delay_of_10_ms_moves_all_but_pesq():
    clip = speech().numpy()[:40_000]
    found = all_of(clip, np.pad(clip, (160, 0))[: len(clip)])
    assert found["pesq_nb"] > 4.3
    assert found["stoi"] < 0.9
    assert found["si_sdr"] < -10
    assert found["f0_cents"] > 10


@pytest.mark.parametrize("level", [0.0, 0.1])
def test_silence_and_a_constant_are_no_speech(level):
    clip = speech().numpy()
    still = np.full_like(clip, level)
    with pytest.raises(XCodec2Error, match="silent"):
        of(SISDR, clip, still)
    found = of(F0, clip, still)
    assert found.keys() == {"voicing"}  # nothing is voiced in both
    assert found["voicing"] == np.mean(yin(clip) > 0)
    assert of(MelDistance, clip, still)["mel"] > 2


def test_si_sdr_of_what_is_hardly_there_is_still_a_ratio():
    clip, worse = noisy()
    tiny = np.float32(1e-15)
    assert of(SISDR, clip, worse * tiny) == pytest.approx(of(SISDR, clip, worse), abs=1e-3)
    assert of(SISDR, clip * tiny, worse) == pytest.approx(of(SISDR, clip, worse), abs=1e-3)


class Typist:
    """Recognizes the same words in any sound, and refuses silence as all recognizers do."""

    name, implementation, languages = "typist", "1", frozenset({"en"})

    def transcribe(self, waveform: np.ndarray) -> str:
        if not waveform.any():
            raise XCodec2Error("silent")
        return "one two three"


def test_silence_has_lost_every_word(monkeypatch):
    """A reason in place of a rate would leave a codec's worst files out of its WER."""
    from xcodec2 import evaluators
    from xcodec2.evaluate.metrics.wer import WordErrors

    monkeypatch.setattr(evaluators, "asr", lambda name: Typist())
    clip = speech().numpy()
    found = of(WordErrors, clip, 0 * clip, text="One, two; three four.")
    assert (found["wer"], found["wer_wrong"], found["wer_total"], found["cer"]) == (1, 4, 4, 1)
    assert of(WordErrors, clip, 0 * clip)["wer_wrong"] == 3  # against what is recognized
    assert of(WordErrors, clip, clip, text="one two four")["wer"] == pytest.approx(1 / 3)
    for language in ("en", "EN", "en-US", "eng"):
        assert of(WordErrors, clip, clip, language=language)["wer"] == 0
    with pytest.raises(XCodec2Error, match="typist knows en and not ru"):
        of(WordErrors, clip, clip, language="ru")


@pytest.mark.parametrize(
    ("metric", "place"),
    [(F0, "f0.yin"), (MelDistance, "mel.spectra"), (STOI, "stoi.at_its_rate")],
)
def test_the_original_is_looked_at_once_for_all_systems(metric, place, monkeypatch):
    target = f"xcodec2.evaluate.metrics.{place}"
    module, _, name = target.rpartition(".")
    real = getattr(importlib.import_module(module), name)
    seen: list[int] = []
    monkeypatch.setattr(target, lambda waveform: seen.append(1) or real(waveform))
    cache: dict = {}
    clip = speech().numpy()
    apart = [metric()(Pair(clip, clip * level)) for level in (0.9, 0.5)]
    seen.clear()
    together = [metric()(Pair(clip, clip * level, cache=cache)) for level in (0.9, 0.5)]
    assert together == apart
    assert len(seen) == 3


def test_what_depends_on_the_original_alone_is_computed_once():
    calls: list[int] = []
    cache: dict = {}
    clip = speech().numpy()
    for _ in range(3):
        pair = Pair(clip, clip, cache=cache)
        assert pair.of_original("length", lambda w: calls.append(1) or len(w)) == len(clip)
    assert calls == [1]


@pytest.mark.parametrize("before", [False, True])
def test_pesq_flushes_denormals_for_itself_alone_with_the_same_scores(monkeypatch, before):
    pesq = pytest.importorskip("pesq")
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    torch.set_flush_denormal(False)
    flushed, plain = [], pesq.pesq

    def watched(*arguments):
        flushed.append(float(np.float64(sys.float_info.min) / 2) == 0)
        return plain(*arguments)

    clip, worse = noisy()
    wanted = {f"pesq_{mode}": plain(16_000, clip, worse, mode) for mode in ("wb", "nb")}
    monkeypatch.setattr(pesq, "pesq", watched)
    torch.set_flush_denormal(before)
    try:
        assert of(PESQ, clip, worse) == wanted
        assert flushed == [True, True]
        assert (np.float64(sys.float_info.min) / 2 == 0) == before
    finally:
        torch.set_flush_denormal(False)
