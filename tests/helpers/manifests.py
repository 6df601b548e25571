"""Recordings for lists of recordings, and what is read from such a list."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from xcodec2.audio import load_audio
from xcodec2.corpus import read_corpus
from xcodec2.errors import AudioError

RATE = 8_000
SOUND = (np.arange(5 * RATE) / (5 * RATE) - 0.5).astype(np.float32)


def wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, subtype="FLOAT", format="WAV")
    return content.getvalue()


def lengths(source: object, **how: object) -> dict[str, int]:
    return {r.id: r.load().num_samples for r in read_corpus(source, **how)}


def texts(source: object, **how: object) -> dict[str, object]:
    return {r.id: r.columns.get("text") for r in read_corpus(source, **how)}


def reason(recording) -> str:
    with pytest.raises(AudioError) as caught:
        recording.load()
    return str(caught.value)


def is_part(recording, begin: int, end: int, sign: int = 1) -> bool:
    expected = load_audio(sign * SOUND[begin:end], RATE)
    return bool((recording.load().waveform == expected.waveform).all())
