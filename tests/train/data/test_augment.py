"""Augmentation: each change does what it says, by dice that a recipe's seed decides."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import numpy as np
import pytest
from tiny import speech

from xcodec2.errors import XCodec2Error
from xcodec2.train.data.augment import (
    add_noise,
    add_rumble,
    augment,
    equalize,
    limit_band,
    limited_gain,
    move_formants,
    reverberate,
    stretch,
)
from xcodec2.train.data.channels import CHANNELS, filtered, through_codec
from xcodec2.train.recipe import (
    Augment,
)


def test_each_change_does_what_it_says():
    clip, rate = speech()[:16_000].numpy(), 16_000
    noisy = add_noise(clip, 20.0, random.Random(0))
    assert 10 * np.log10(np.square(clip).mean() / np.square(noisy - clip).mean()) == pytest.approx(
        20, abs=0.3
    )
    limited = np.abs(np.fft.rfft(limit_band(clip, rate, 3000.0))) ** 2
    assert limited[3500:].sum() < 1e-4 * np.square(np.abs(np.fft.rfft(clip)))[3500:].sum()
    assert limited_gain(clip, 100.0) * np.abs(clip).max() == pytest.approx(0.99)
    assert limited_gain(clip, 0.5) == 0.5
    rumbling = add_rumble(clip, rate, 6.0, random.Random(0)) - clip
    assert 10 * np.log10(np.square(rumbling).mean() / np.square(clip).mean()) == pytest.approx(
        6, abs=0.3
    )
    power = np.abs(np.fft.rfft(rumbling)) ** 2
    assert power[200:].sum() < 1e-3 * power.sum()
    telephone = np.abs(np.fft.rfft(filtered(clip, rate, lowest=300, highest=3400)))
    before = np.abs(np.fft.rfft(clip))
    np.testing.assert_allclose(telephone[900:1500], before[900:1500], rtol=0.02)
    assert telephone[4500:].max() < 1e-2 * before[4500:].max()
    assert telephone[:60].max() < 1e-2 * before[:3400].max()
    change = 20 * np.log10(
        np.abs(np.fft.rfft(equalize(clip, rate, np.tile([-6.0, 6.0], 5)[:9]))) / before
    )
    assert 3 < np.abs(change[60:7900]).max() <= 6.01
    click = np.zeros(rate, np.float32)
    click[0] = 1
    tail = reverberate(click, rate, 0.2, random.Random(0), walls=True)
    early, late = (
        np.square(tail[int(t * rate) : int((t + 0.02) * rate)]).mean() for t in (0.02, 0.12)
    )
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=3)  # 60 dB in 0.2 s


def test_tempo_keeps_the_pitch_and_pitch_keeps_the_tempo():
    time = np.arange(32_000) / 16_000
    tone = np.sin(2 * np.pi * 400 * time).astype(np.float32)

    def pitch(waveform: np.ndarray) -> float:
        middle = waveform[len(waveform) // 4 :][:8000]
        return float(np.abs(np.fft.rfft(middle * np.hanning(8000))).argmax() * 2)

    faster = stretch(tone, 16_000, 1.25, 0.0)
    assert len(faster) == pytest.approx(32_000 / 1.25, rel=0.01)
    assert pitch(faster) == pytest.approx(400, abs=6)
    higher = stretch(tone, 16_000, 1.0, 12.0)
    assert len(higher) == 32_000
    assert pitch(higher) == pytest.approx(800, abs=12)


def test_a_seed_gives_the_crops_of_the_first_release():
    """Changes that it did not have draw nothing unless they are asked for."""
    options = Augment(pitch=0.5, reverb=0.5, noise=0.5, band=0.5, gain=0.5)
    clip, rate = speech()[:8000].numpy(), 16_000
    made = set()
    for seed in range(8):
        rng, waveform, changes = random.Random(seed), clip, []

        def chance(name: str, rng=rng, changes=changes) -> bool:
            happens = rng.random() < 0.5
            changes.extend([name] * happens)
            return happens

        if chance("pitch"):
            waveform = stretch(waveform, rate, 1.0, rng.uniform(-3.0, 3.0))
        if chance("reverb"):
            waveform = reverberate(waveform, rate, rng.uniform(0.1, 0.6), rng, walls=False)
        if chance("noise"):
            waveform = add_noise(waveform, rng.uniform(10.0, 40.0), rng)
        if chance("band"):
            waveform = limit_band(waveform, rate, rng.uniform(3000.0, 8000.0))
        gain = 10 ** (rng.uniform(-18.0, 6.0) / 20) if chance("gain") else 1.0
        expected = waveform * min(gain, 0.99 / float(np.abs(waveform).max()))
        found = augment(clip, rate, (1.0, 1.0), options, random.Random(seed))
        np.testing.assert_array_equal(found.inputs, expected.astype(np.float32))
        np.testing.assert_array_equal(found.target, found.inputs)
        made |= set(changes)
    assert made == {"pitch", "reverb", "noise", "band", "gain"}


@pytest.mark.parametrize("walls", [False, True])
def test_a_room_is_drawn_from_its_seed(walls):
    """Without walls as in the first release: noise that dies away, and the direct sound."""
    clip, rate = speech()[:8000].numpy(), 16_000
    rng = random.Random(0)
    generator = np.random.default_rng(rng.getrandbits(64))
    time = np.arange(3200) / rate
    response = generator.standard_normal(3200) * 10 ** (-3 * time / 0.2)
    response *= 10 ** (-rng.uniform(0, 12) / 20) / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    expected = np.convolve(clip, response)[:8000]
    found = reverberate(clip, rate, 0.2, random.Random(0), walls=walls)
    assert np.allclose(found, expected, atol=1e-5) is not walls


def written_here() -> tuple[str, ...]:
    """The codecs that this PyAV can write: 19 has no AMR."""
    av = pytest.importorskip("av")
    known = av.codecs_available
    return tuple(name for name, channel in CHANNELS.items() if channel.encoder in known)


def test_a_codec_that_is_not_there_is_named(monkeypatch):
    pytest.importorskip("av")
    absent = replace(CHANNELS["amr"], encoder="libabsent")
    monkeypatch.setitem(CHANNELS, "amr", absent)
    with pytest.raises(XCodec2Error, match=r"cannot write amr \(libabsent\).*leave amr out"):
        through_codec(speech()[:8000].numpy(), 16_000, ("amr",), random.Random(1))


def test_augmentation_depends_on_its_dice_alone():
    every = {field.name: 0.5 for field in fields(Augment) if field.type == "float"}
    options, clip = Augment(**every, codecs=written_here()), speech()[:8000].numpy()
    first, again, other = (
        augment(clip, 16_000, (1.1, 1.0), options, random.Random(seed)).inputs for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:1000], other[:1000])
    assert np.abs(first).max() <= 1


def test_formants_move_and_the_pitch_stays():
    time = np.arange(16_000) / 16_000
    pulses = (np.arange(16_000) % 128 == 0).astype(np.float32)  # 125 Hz
    ring = np.exp(-400 * time[:800]) * np.sin(2 * np.pi * 1500 * time[:800])
    voice = np.convolve(pulses, ring)[:16_000].astype(np.float32)

    def peak_and_pitch(waveform: np.ndarray) -> tuple[float, float]:
        power = np.abs(np.fft.rfft(waveform)) ** 2
        smooth = np.convolve(power, np.hanning(200), "same")
        repeats = np.fft.irfft(power)[64:300].argmax() + 64
        return float(smooth.argmax()), 16_000 / repeats

    (formant, pitch), (moved, same) = (
        peak_and_pitch(voice),
        peak_and_pitch(move_formants(voice, 16_000, 1.25)),
    )
    assert moved / formant == pytest.approx(1.25, abs=0.04)
    assert same == pytest.approx(pitch, rel=0.01)
    np.testing.assert_allclose(
        move_formants(voice, 16_000, 1.0)[500:-500], voice[500:-500], atol=1e-4
    )


@pytest.mark.parametrize("name", CHANNELS)
def test_speech_comes_through_a_codec_in_its_place(name):
    if name not in written_here():
        pytest.skip(f"this PyAV writes no {name}")
    clip, rate = speech()[8000:32_000].numpy(), 16_000
    found, highest = through_codec(clip, rate, (name,), random.Random(1))
    assert found.shape == clip.shape
    assert not np.allclose(found, clip, atol=1e-3)
    band = (
        filtered(clip, rate, lowest=200, highest=1500),
        filtered(found, rate, lowest=200, highest=1500),
    )
    assert (
        np.corrcoef(*(part[2000:-2000] for part in band))[0, 1] > 0.75
    )  # out of place it is about 0
    spectrum = np.abs(np.fft.rfft(found)) ** 2
    above = round(1.1 * highest / rate * len(found))
    assert spectrum[above:].sum() < 0.01 * spectrum.sum()


def test_a_clean_target_has_the_voice_and_the_band_and_nothing_of_the_place():
    clip, rate = speech()[:32_000].numpy(), 16_000
    dirty = {
        "noise": 1.0,
        "noise_snr_db": (5.0, 5.0),
        "reverb": 1.0,
        "rumble": 1.0,
        "clipping": 1.0,
    }
    heard, target = augment(
        clip, rate, (1.0, 1.0), Augment(clean_target=True, **dirty), random.Random(0)
    )
    gain = np.abs(target).max() / np.abs(clip).max()
    np.testing.assert_allclose(target, clip * gain, atol=1e-5)
    assert np.square(heard - target).mean() > 0.2 * np.square(target).mean()
    same = augment(clip, rate, (1.0, 1.0), Augment(**dirty), random.Random(0))
    np.testing.assert_array_equal(same.inputs, same.target)
    with_a_line = Augment(clean_target=True, telephone=1.0, equalizer=1.0, highpass=1.0, band=1.0)
    narrow = augment(clip, rate, (1.0, 1.0), with_a_line, random.Random(0))
    np.testing.assert_array_equal(narrow.inputs, narrow.target)
    soft = Augment(level_target=True, gain=1.0, gain_db=(-20.0, -20.0))
    leveled = augment(clip, rate, (1.0, 1.0), soft, random.Random(0))
    np.testing.assert_array_equal(leveled.target, clip)
    np.testing.assert_allclose(leveled.inputs, 0.1 * clip, rtol=1e-5)
    phoned = augment(
        clip,
        rate,
        (1.0, 1.0),
        Augment(clean_target=True, codec=1.0, codecs=("alaw",)),
        random.Random(0),
    )
    assert not np.array_equal(phoned.inputs, phoned.target)
    assert (
        np.square(np.abs(np.fft.rfft(phoned.target)))[9000:].sum()
        < 1e-4 * np.square(np.abs(np.fft.rfft(clip))).sum()
    )
