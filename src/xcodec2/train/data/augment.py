"""Changes that make little speech go a long way. Waveforms are (N,) float32 NumPy arrays in [-1,
1].

Each draws from the `random.Random` that it is given and from nothing else. What the speaker does
and what limits the band changes the target too: a codec that is asked for what it cannot hear
invents it. Noise, rooms, rumble, clipping and the artifacts of other codecs do not, if the recipe
says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import soxr

from xcodec2.extras import require
from xcodec2.train.data import channels
from xcodec2.train.recipe import Augment

LOUDEST = 0.99
OCTAVES = 9  # from 60 Hz up, whose gains an equalizer draws
ECHO_SECONDS, MAX_ECHOES = 0.02, 8  # of near walls
LIFTER_SECONDS = 0.002  # quefrencies below are the throat's, above the voice's
FRAME_SECONDS = 0.032  # of the spectra whose formants are moved

Change = Callable[[np.ndarray], np.ndarray]


class Changed(NamedTuple):
    """What the codec hears, and what it is asked for; of one length."""

    inputs: np.ndarray
    target: np.ndarray


def stretch_factor(options: Augment, rng: random.Random) -> tuple[float, float]:
    """Draw the speed and the tempo of the next crop: how many samples of the source one sample of
    it takes.
    """
    speed = rng.uniform(*options.speed_range) if rng.random() < options.speed else 1.0
    tempo = rng.uniform(*options.tempo_range) if rng.random() < options.tempo else 1.0
    return speed, tempo


def augment(
    waveform: np.ndarray,
    sample_rate: int,
    factors: tuple[float, float],
    options: Augment,
    rng: random.Random,
) -> Changed:
    """What a crop becomes: another voice, then a room, then a microphone and its line.

    Args:
        waveform: (N,) float32.
        sample_rate: In hertz.
        factors: Speed and tempo, from `stretch_factor`.
        options: Which changes there are, each with its probability.
        rng: All that is drawn comes from it.

    Returns:
        Changed copies of one length, N divided by both factors.
    """
    voice = change_voice(waveform, sample_rate, factors, options, rng)
    inputs = change_place(voice, sample_rate, options, rng)
    target = voice if options.clean_target else inputs
    for change in line_changes(sample_rate, options, rng):
        inputs = change(inputs)
        target = change(target) if options.clean_target else inputs
    if happens(options.codec, rng):
        inputs, highest = channels.through_codec(inputs, sample_rate, options.codecs, rng)
        target = limit_band(target, sample_rate, highest)
    if not options.clean_target:
        target = inputs
    decibels = rng.uniform(*options.gain_db) if rng.random() < options.gain else 0.0
    gain = limited_gain(np.concatenate([inputs, target]), 10 ** (decibels / 20))
    same = limited_gain(target, 1.0) if options.level_target else gain
    return Changed((inputs * gain).astype(np.float32), (target * same).astype(np.float32))


def happens(chance: float, rng: random.Random) -> bool:
    """Whether a change is made. One that a recipe does not ask for draws nothing, so that a seed
    gives the crops that it gave before there was such a change.
    """
    return chance > 0 and rng.random() < chance


def change_voice(
    waveform: np.ndarray,
    sample_rate: int,
    factors: tuple[float, float],
    options: Augment,
    rng: random.Random,
) -> np.ndarray:
    """Another speaker, or the same one at another pace: (N,) → (N / factors,)."""
    speed, tempo = factors
    semitones = rng.uniform(*options.pitch_semitones) if rng.random() < options.pitch else 0.0
    if speed != 1.0:
        waveform = soxr.resample(waveform, speed * sample_rate, sample_rate, "MQ")
    if tempo != 1.0 or semitones:
        waveform = stretch(waveform, sample_rate, tempo, semitones)
    if happens(options.formants, rng):
        waveform = move_formants(waveform, sample_rate, rng.uniform(*options.formant_range))
    return waveform


def change_place(
    waveform: np.ndarray, sample_rate: int, options: Augment, rng: random.Random
) -> np.ndarray:
    """What surrounds the speaker, and a microphone that is too weak for it: (N,) → (N,)."""
    if rng.random() < options.reverb:
        seconds = rng.uniform(*options.reverb_seconds)
        waveform = reverberate(waveform, sample_rate, seconds, rng, walls=options.reverb_walls)
    if rng.random() < options.noise:
        waveform = add_noise(waveform, rng.uniform(*options.noise_snr_db), rng)
    if happens(options.rumble, rng):
        waveform = add_rumble(waveform, sample_rate, rng.uniform(*options.rumble_db), rng)
    if happens(options.clipping, rng):
        limit = float(np.abs(waveform).max(initial=1e-3)) * 10 ** (
            -rng.uniform(*options.clipping_db) / 20
        )
        waveform = waveform.clip(-limit, limit)
    return waveform


def line_changes(sample_rate: int, options: Augment, rng: random.Random) -> list[Change]:
    """Another microphone or line, drawn once: what the target has too."""
    changes: list[Change] = []
    if happens(options.equalizer, rng):
        gains = [rng.uniform(-options.equalizer_db, options.equalizer_db) for _ in range(OCTAVES)]
        changes.append(partial(equalize, sample_rate=sample_rate, gains_db=gains))
    if happens(options.highpass, rng):
        lowest = rng.uniform(*options.highpass_hz)
        changes.append(partial(channels.filtered, sample_rate=sample_rate, lowest=lowest))
    if rng.random() < options.band:
        hertz = rng.uniform(*options.band_hz)
        changes.append(partial(limit_band, sample_rate=sample_rate, hertz=hertz))
    if happens(options.telephone, rng):
        lowest, highest = rng.uniform(200, 400), rng.uniform(3100, 3700)
        changes.append(
            partial(channels.filtered, sample_rate=sample_rate, lowest=lowest, highest=highest)
        )
    return changes


def limited_gain(waveform: np.ndarray, gain: float) -> float:
    """The gain for (N,), or the largest below it that does not clip."""
    return min(gain, LOUDEST / float(np.abs(waveform).max(initial=1e-3)))


def stretch(waveform: np.ndarray, sample_rate: int, tempo: float, semitones: float) -> np.ndarray:
    """Change tempo without pitch and pitch without tempo (Signalsmith Stretch).

    Args:
        waveform: (N,) float32.
        sample_rate: In hertz.
        tempo: Above 1 is faster.
        semitones: Above 0 is higher.

    Returns:
        (N / tempo,) float32.

    Raises:
        MissingExtraError: python-stretch is not installed.
    """
    python_stretch = require("python_stretch", extra="train", purpose="tempo and pitch")
    stretcher = python_stretch.Signalsmith.Stretch()
    stretcher.preset(1, sample_rate)
    stretcher.setTransposeSemitones(semitones)
    stretcher.timeFactor = tempo
    return np.asarray(stretcher.process(np.ascontiguousarray(waveform[None], np.float32)))[0]


def move_formants(waveform: np.ndarray, sample_rate: int, factor: float) -> np.ndarray:
    """Another throat for the same voice: (N,) → (N,) with all frequencies of the spectra's
    envelopes multiplied by `factor`.
    """
    size = round(FRAME_SECONDS * sample_rate) // 4 * 4
    hop, window = size // 4, np.hanning(size + 1)[:-1]
    padded = np.pad(waveform, (size, size + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * window
    spectra = np.fft.rfft(frames, axis=1)
    logarithm = np.log(np.abs(spectra) + 1e-5)
    cepstra = np.fft.irfft(logarithm, axis=1)
    kept = round(LIFTER_SECONDS * sample_rate)
    cepstra[:, kept : size - kept + 1] = 0
    envelope = np.fft.rfft(cepstra, axis=1).real
    place = np.minimum(np.arange(envelope.shape[1]) / factor, envelope.shape[1] - 1.001)
    below = place.astype(int)
    moved = envelope[:, below] + (place - below) * (envelope[:, below + 1] - envelope[:, below])
    frames = np.fft.irfft(spectra * np.exp((moved - envelope).clip(-3, 3)), axis=1) * window
    out = np.zeros(len(padded) + size)
    for number, frame in enumerate(frames):
        out[number * hop : number * hop + size] += frame
    # squared Hann windows at a quarter add to 1.5
    return (out[size : size + len(waveform)] / 1.5).astype(np.float32)


def equalize(waveform: np.ndarray, sample_rate: int, gains_db: Sequence[float]) -> np.ndarray:
    """(N,) → (N,) with a smooth curve through gains at the octaves from 60 Hz up."""
    hertz = np.fft.rfftfreq(len(waveform), 1 / sample_rate)
    octave = np.log2(np.maximum(hertz, 60) / 60)
    curve = np.interp(octave, np.arange(len(gains_db)), gains_db)
    return np.fft.irfft(np.fft.rfft(waveform) * 10 ** (curve / 20), len(waveform)).astype(
        np.float32
    )


def add_noise(waveform: np.ndarray, snr_db: float, rng: random.Random) -> np.ndarray:
    """Add Gaussian noise whose spectrum falls by a random power of frequency: white to brown."""
    generator = np.random.default_rng(rng.getrandbits(64))
    spectrum = np.fft.rfft(generator.standard_normal(len(waveform)))
    spectrum *= np.arange(1, len(spectrum) + 1) ** (-rng.uniform(0, 1))
    spectrum[0] = 0  # no offset
    return mixed(waveform, np.fft.irfft(spectrum, len(waveform)), -snr_db)


def add_rumble(
    waveform: np.ndarray, sample_rate: int, decibels: float, rng: random.Random
) -> np.ndarray:
    """Add noise below 80 Hz, so many decibels above the speech: wind, traffic, a hand on the
    recorder.
    """
    generator = np.random.default_rng(rng.getrandbits(64))
    noise = channels.filtered(
        generator.standard_normal(len(waveform)), sample_rate, highest=rng.uniform(20, 80)
    )
    return mixed(waveform, noise, decibels)


def mixed(waveform: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """Speech (N,) with noise (N,) of so many decibels relative to it."""
    wanted = float(np.sqrt(np.mean(np.square(waveform)))) * 10 ** (decibels / 20)
    return (waveform + noise * (wanted / max(float(noise.std()), 1e-9))).astype(np.float32)


def reverberate(
    waveform: np.ndarray, sample_rate: int, seconds: float, rng: random.Random, *, walls: bool
) -> np.ndarray:
    """A room: the direct sound, then noise that dies away.

    Args:
        waveform: (N,) float32.
        sample_rate: In hertz.
        seconds: Reverberation time, until the noise is 60 dB lower.
        rng: What is drawn comes from it.
        walls: Near ones return single echoes, all swallow what is high, and speakers stand further
            away.

    Returns:
        (N,) float32.
    """
    generator = np.random.default_rng(rng.getrandbits(64))
    time = np.arange(max(2, int(seconds * sample_rate))) / sample_rate
    response = generator.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    if walls:
        latest = max(2, min(len(time), int(ECHO_SECONDS * sample_rate)))
        echoes = generator.integers(0, latest, rng.randint(0, MAX_ECHOES))
        signs, sizes = generator.choice((-1, 1), len(echoes)), generator.uniform(1, 6, len(echoes))
        response[echoes] += signs * sizes
    response *= 10 ** (-rng.uniform(-3 if walls else 0, 12) / 20) / np.sqrt(
        np.square(response).sum()
    )
    if walls:
        highest = rng.uniform(2000, sample_rate / 2)
        response = channels.filtered(response, sample_rate, highest=highest)
    response[0] = 1.0
    size = 1 << (len(waveform) + len(response) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(response, size), size)[
        : len(waveform)
    ]
    return wet.astype(np.float32)


def limit_band(waveform: np.ndarray, sample_rate: int, hertz: float) -> np.ndarray:
    """(N,) → (N,) without what is above `hertz`, as a lower sample rate would have it."""
    low = min(float(sample_rate), 2 * hertz)
    if low >= sample_rate or len(waveform) < 2:
        return waveform
    back = soxr.resample(soxr.resample(waveform, sample_rate, low, "MQ"), low, sample_rate, "MQ")
    return np.pad(back[: len(waveform)], (0, max(0, len(waveform) - len(back))))
