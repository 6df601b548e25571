"""Sounds that several test files share, and their encoding by libsndfile and by FFmpeg."""

from __future__ import annotations

import io
import tempfile

import numpy as np
import pytest
import soundfile
import torch

from xcodec2.audio.io import load_audio


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """(channels, samples) float32, well inside ±1."""
    return (
        (0.1 * np.random.default_rng(seed).standard_normal((channels, samples)))
        .clip(-0.9, 0.9)
        .astype(np.float32)
    )


def tone(samples: int, rate: int) -> np.ndarray:
    """(samples,) float32: 440 Hz, which every codec keeps."""
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate)).astype(np.float32)


def encoded(audio: np.ndarray, rate: int, **how: str) -> bytes:
    """(channels, samples) as the bytes of a file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio.T, rate, **how)
    return buffer.getvalue()


def one_after_another(*contents: bytes) -> np.ndarray:
    """The samples (N,) of several files."""
    return np.concatenate([load_audio(content).waveform.numpy() for content in contents])


def encoded_by_ffmpeg(
    audio: np.ndarray, rate: int, container: str, codec: str, **options: str
) -> bytes:
    """(1, samples) as the bytes of a file that libsndfile does not write."""
    av = pytest.importorskip("av")
    frame = av.AudioFrame.from_ndarray(audio, format="fltp", layout="mono")
    frame.sample_rate = rate
    with tempfile.NamedTemporaryFile() as file:  # by name: "faststart" opens it a second time
        with av.open(file.name, "w", format=container, container_options=options) as output:
            stream = output.add_stream(codec, rate=rate)
            stream.layout = "mono"
            if codec == "libmp3lame":
                if not hasattr(stream.codec_context, "global_quality"):
                    pytest.skip("this PyAV writes no variable bit rate")
                stream.codec_context.flags |= 2  # AV_CODEC_FLAG_QSCALE: a variable bit rate
                stream.codec_context.global_quality = 2 * 118
            for resampled in av.AudioResampler(stream.codec_context.format, "mono", rate).resample(
                frame
            ):
                output.mux(stream.encode(resampled))
            output.mux(stream.encode(None))
        return file.read()


def same(left: torch.Tensor, right: torch.Tensor | np.ndarray) -> bool:
    return torch.equal(left, torch.as_tensor(right))
