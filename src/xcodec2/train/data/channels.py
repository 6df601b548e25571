"""What lies between a speaker and a recording: filters, and other codecs, by FFmpeg."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
import soxr

from xcodec2.errors import XCodec2Error
from xcodec2.extras import require

SLOPE = 0.05  # of a filter's edge, relative to its frequency
PCM_SCALE = 32_767
LONGEST_DELAY = 0.15  # seconds by which a codec can shift what goes through it


@dataclass(frozen=True)
class Channel:
    """A codec of FFmpeg: its container and encoder, the rate that it runs at, and bit/s to choose
    from.
    """

    container: str
    encoder: str
    sample_rate: int
    bit_rates: tuple[int, ...]
    highest: float  # Hz that come through


CHANNELS = {
    "opus": Channel("ogg", "libopus", 16_000, (6_000, 8_000, 12_000, 16_000, 24_000), 8_000),
    "mp3": Channel("mp3", "libmp3lame", 16_000, (16_000, 24_000, 32_000, 48_000), 7_000),
    "amr": Channel(
        "amr", "libopencore_amrnb", 8_000, (4_750, 5_900, 7_950, 12_200), 3_600
    ),  # mobile telephones
    "alaw": Channel("wav", "pcm_alaw", 8_000, (64_000,), 3_800),
}


def filtered(
    waveform: np.ndarray, sample_rate: int, *, lowest: float = 0.0, highest: float = 0.0
) -> np.ndarray:
    """Take away what is below or above a frequency, without delay.

    Args:
        waveform: (N,) of any float type.
        sample_rate: In hertz.
        lowest: In hertz; 0 takes nothing away below.
        highest: In hertz; 0 takes nothing away above.

    Returns:
        (N,) of the same type.
    """
    hertz = np.fft.rfftfreq(len(waveform), 1 / sample_rate)
    gain = np.ones(len(hertz))
    if lowest:
        gain /= 1 + np.exp(((lowest - hertz) / (SLOPE * lowest)).clip(-50, 50))
    if highest:
        gain /= 1 + np.exp(((hertz - highest) / (SLOPE * highest)).clip(-50, 50))
    return np.fft.irfft(np.fft.rfft(waveform) * gain, len(waveform)).astype(waveform.dtype)


def through_codec(
    waveform: np.ndarray, sample_rate: int, names: tuple[str, ...], rng: random.Random
) -> tuple[np.ndarray, float]:
    """Speech as one of some codecs gives it back, in its old place.

    Args:
        waveform: (N,) float32.
        sample_rate: In hertz.
        names: Of `CHANNELS`, one of which is drawn, and then its bit rate.
        rng: What is drawn comes from it.

    Returns:
        (N,) float32, and the highest frequency in hertz that comes through.

    Raises:
        MissingExtraError: PyAV is not installed.
        XCodec2Error: Its FFmpeg lacks the codec.
    """
    channel = CHANNELS[rng.choice(names)]
    bit_rate = rng.choice(channel.bit_rates)
    narrow = soxr.resample(waveform, sample_rate, channel.sample_rate, "MQ")
    back = soxr.resample(
        encode_and_decode(narrow, channel, bit_rate), channel.sample_rate, sample_rate, "MQ"
    )
    return aligned(
        back.astype(np.float32), waveform, round(LONGEST_DELAY * sample_rate)
    ), channel.highest


def encode_and_decode(waveform: np.ndarray, channel: Channel, bit_rate: int) -> np.ndarray:
    """(N,) float at the channel's sample rate → what a file of it holds, (M,) float32; codecs delay
    and pad.

    Raises:
        XCodec2Error: PyAV lacks the encoder.
    """
    av = require("av", extra="media", purpose="codec passes")
    file = io.BytesIO()
    samples = (waveform.clip(-1, 1) * PCM_SCALE).astype(np.int16)
    with av.open(file, "w", format=channel.container) as container:
        try:
            stream = container.add_stream(channel.encoder, rate=channel.sample_rate)
        except av.codec.codec.UnknownCodecError as problem:  # PyAV 19 has no AMR
            raise XCodec2Error(
                f"PyAV {av.__version__} cannot write {channel.container} ({channel.encoder}): "
                f"install another, or leave {channel.container} out of the recipe's augment.codecs"
            ) from problem
        stream.layout, stream.bit_rate = "mono", bit_rate
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = channel.sample_rate
        resampler = av.AudioResampler(
            stream.format, "mono", channel.sample_rate, frame_size=stream.frame_size or None
        )
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, format=channel.container) as container:
        rate = container.streams.audio[0].rate
        to_float = av.AudioResampler("flt", "mono", channel.sample_rate)
        parts = [
            part.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for part in to_float.resample(frame)
        ]
        parts += [
            part.to_ndarray()[0] for part in to_float.resample(None) if rate != channel.sample_rate
        ]
    return np.concatenate(parts) if parts else np.zeros_like(waveform)


def aligned(late: np.ndarray, original: np.ndarray, longest: int) -> np.ndarray:
    """Move a delayed copy back to its place.

    Args:
        late: (M,), at most `longest` samples late or early.
        original: (N,).
        longest: Delays up to it are tried, in samples.

    Returns:
        (N,): `late` where it fits the original best, cut or filled with zeros.
    """
    size = 1 << (len(late) + len(original)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(late, size) * np.fft.rfft(original, size).conj(), size)
    fit = np.concatenate([fit[-longest:], fit[: longest + 1]])
    delay = int(fit.argmax()) - longest
    moved = late[delay:] if delay >= 0 else np.pad(late, (-delay, 0))
    return np.pad(moved[: len(original)], (0, max(0, len(original) - len(moved))))
