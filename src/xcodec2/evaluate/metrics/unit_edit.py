"""How many codes must be edited when the same speech comes noisy, from a room, or through a codec.

Unit edit distance as Gat et al. (2023) define it: Levenshtein distance of the codes of clean and of
changed speech, over the number of codes of the clean one. Where `invariance` compares code by code,
a code that is left out or put in costs one here, and not all that follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import soxr

from xcodec2.evaluate.audio import SAMPLE_RATE, mulaw
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.extras import require

TELEPHONE_RATE = 8_000
ROOM_SECONDS = 0.4  # until the room's sound is 60 dB down
DIRECT_TO_ROOM = 3.0  # dB
NOISES = (25, 15, 5)  # dB


class UnitEdit(Metric):
    """Unit edit distance under noise, reverberation and codecs; of systems that have codes."""

    name = "unit-edit"
    columns = (
        *(Column(f"ued_noise_{level}", f"edits: noise {level} dB", "lower", 3,
                 f"unit edit distance, white noise {level} dB below the speech", per_file=False)
          for level in NOISES),
        Column("ued_room", "edits: room", "lower", 3,
               "unit edit distance, in a room of 0.4 s reverberation", per_file=False),
        Column("ued_telephone", "edits: telephone", "lower", 3,
               "unit edit distance, through 8 kHz μ-law", per_file=False),
        Column("ued_again", "edits: coded again", "lower", 3,
               "unit edit distance, of what the codec itself decodes", per_file=False),
        Column("ued_merged", "edits: noise 15 dB, repeats merged", "lower", 3,
               "the same at 15 dB with runs of one code counted once", per_file=False),
    )  # fmt: skip
    implementation = (
        "open-xcodec2: Levenshtein over codes of the clean speech; white noise, a synthetic room "
        "of 0.4 s, 8 kHz μ-law, and the codec's own speech"
    )
    needs = ("rapidfuzz",)
    cost = "high"
    default = False  # it encodes every recording six times more

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """The distances; none of a system without codes."""
        if pair.encode is None or pair.codes is None:
            return {}
        found, clean = {}, np.asarray(pair.codes)
        for name, audio in changed_speech(pair).items():
            noisy = pair.encode(audio)
            found[f"ued_{name}"] = unit_edit_distance(clean, noisy)
            if name == "noise_15":
                found["ued_merged"] = unit_edit_distance(
                    without_repeats(clean), without_repeats(noisy)
                )
        return found


def changed_speech(pair: Pair) -> dict[str, np.ndarray]:
    """The recording in all the ways that codes should not mind, (N,) float32 each."""
    speech = pair.original
    power = float(np.mean(np.square(speech, dtype=np.float64)))
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    result = {
        f"noise_{level}": speech + np.float32(np.sqrt(power * 10 ** (-level / 10))) * noise
        for level in NOISES
    }
    narrow = soxr.resample(speech, SAMPLE_RATE, TELEPHONE_RATE, quality="VHQ")
    wide = soxr.resample(mulaw(narrow), TELEPHONE_RATE, SAMPLE_RATE, quality="VHQ")
    return result | {
        "room": in_a_room(speech),
        "telephone": fitted(wide, len(speech)),
        "again": pair.decoded,
    }


def fitted(waveform: np.ndarray, length: int) -> np.ndarray:
    """Cut, or padded with zeros at its end."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform)))).astype(np.float32)


def in_a_room(speech: np.ndarray) -> np.ndarray:
    """With exponentially decaying noise behind each sound, as loud as before.

    Args:
        speech: (N,) at 16 kHz.

    Returns:
        (N,) float32.
    """
    number = int(ROOM_SECONDS * SAMPLE_RATE)
    decay = 10 ** (-3 * np.arange(number) / number)
    room = decay * np.random.default_rng(1).standard_normal(number)
    room *= 10 ** (-DIRECT_TO_ROOM / 20) / np.sqrt(np.square(room).sum())
    room[0] = 1
    size = 1 << (len(speech) + number).bit_length()
    spectrum = np.fft.rfft(speech, size) * np.fft.rfft(room, size)
    heard = np.fft.irfft(spectrum, size)[: len(speech)]
    level = np.sqrt(
        np.square(speech, dtype=np.float64).mean() / max(np.square(heard).mean(), 1e-20)
    )
    result: np.ndarray = (heard * level).astype(np.float32)
    return result


def unit_edit_distance(clean: np.ndarray, noisy: np.ndarray) -> float:
    """Insertions, deletions and substitutions, over the codes of clean speech.

    Args:
        clean: (T,) integers.
        noisy: (T',) integers.

    Returns:
        0 where they are equal; 0 for no codes on either side.
    """
    distance: Callable[..., int] = require(
        "rapidfuzz.distance.Levenshtein", extra="evaluate", purpose="unit edit distance"
    ).distance
    return distance(clean.tolist(), noisy.tolist()) / max(1, len(clean))


def without_repeats(codes: np.ndarray) -> np.ndarray:
    """(T,) with runs of one code shortened to one."""
    return codes[np.r_[True, codes[1:] != codes[:-1]]] if len(codes) else codes
