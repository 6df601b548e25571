"""The audio that is compared: a recording at 16 kHz, and what came back brought to its length."""

from __future__ import annotations

import hashlib

import numpy as np

from xcodec2.audio.io import load_audio
from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluators.waveform import SAMPLE_RATE

MIN_DURATION = 0.1  # seconds
LENGTH_TOLERANCE = 0.06  # seconds that a codec may add or drop: three frames at 50 a second


def load_recording(recording: Recording) -> tuple[np.ndarray, str]:
    """Read a recording as it is evaluated.

    Args:
        recording: An item of a corpus.

    Returns:
        (N,) float32 at 16 kHz, and the SHA-256 of these samples.

    Raises:
        XCodec2Error: It cannot be read, is shorter than 0.1 s, or is silent.
    """
    waveform = np.ascontiguousarray(recording.load(SAMPLE_RATE).waveform.numpy())
    if len(waveform) < MIN_DURATION * SAMPLE_RATE:
        raise XCodec2Error(
            f"too short: {len(waveform) / SAMPLE_RATE:.3f} s, "
            f"at least {MIN_DURATION:g} s are needed"
        )
    if not waveform.any():
        raise XCodec2Error("silent: every sample is zero")
    return waveform, hashlib.sha256(waveform.tobytes()).hexdigest()


def is_taken(waveform: np.ndarray, seconds: tuple[float, float] | None) -> bool:
    """Whether a recording, (N,) at 16 kHz, is as long as asked for."""
    shortest, longest = seconds or (0.0, float("inf"))
    return shortest <= len(waveform) / SAMPLE_RATE <= longest


def match_original(waveform: np.ndarray, sample_rate: int, num_samples: int) -> np.ndarray:
    """Bring decoded speech to the rate and the length of the original.

    Args:
        waveform: (M,) or (channels, M), what a system gave back.
        sample_rate: Its rate in Hz.
        num_samples: Length of the original at 16 kHz.

    Returns:
        (num_samples,) float32 at 16 kHz, cut or padded with zeros at its end.

    Raises:
        XCodec2Error: It is no finite audio, or longer or shorter by more than 60 ms: no copy.
    """
    decoded = at_16_khz(waveform, sample_rate)
    if abs(len(decoded) - num_samples) > LENGTH_TOLERANCE * SAMPLE_RATE:
        got, wanted = len(decoded) / SAMPLE_RATE, num_samples / SAMPLE_RATE
        raise XCodec2Error(f"differently long: {got:.2f} s came back of {wanted:.2f} s")
    return np.pad(decoded[:num_samples], (0, max(0, num_samples - len(decoded))))


def at_16_khz(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """(M,) or (channels, M) at any rate → (N,) float32 at 16 kHz. Raises XCodec2Error for anything
    but finite audio.
    """
    audio = load_audio(waveform, sample_rate, target_rate=SAMPLE_RATE).waveform
    return np.ascontiguousarray(audio.numpy())


def mulaw(waveform: np.ndarray) -> np.ndarray:
    """Speech through 8-bit μ-law (μ = 255).

    Args:
        waveform: (N,) floats; beyond ±1 they are cut.

    Returns:
        (N,) float32.
    """
    companded = np.sign(waveform) * np.log1p(255 * np.abs(np.clip(waveform, -1, 1))) / np.log(256)
    levels = np.rint(companded * 127)
    decoded = np.sign(levels) * (256 ** (np.abs(levels) / 127) - 1) / 255
    return np.asarray(decoded, np.float32)
