"""Samples as they come → bytes of an audio format as soon as there are any."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import soxr

from xcodec2.audio.samples import pcm16
from xcodec2.extras import require

MEDIA_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
EVENTS = "text/event-stream"
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
PCM_RATE = 24_000  # what clients take pcm for that does not say its rate
PIECE_SECONDS = 0.02  # handed to an encoder at once
PADDING_SECONDS = 0.15  # behind speech whose tempo is changed
# Codec, muxer, bits a second, options of the codec and of the muxer.
ENCODERS: dict[str, tuple[str, str, int | None, dict[str, str], dict[str, str]]] = {
    "mp3": ("libmp3lame", "mp3", 64_000, {}, {"write_xing": "0", "id3v2_version": "0"}),
    # A page of Ogg is a second long unless it is told otherwise.
    "opus": ("libopus", "ogg", 32_000, {"frame_duration": "20"}, {"page_duration": "20000"}),
    "aac": ("aac", "adts", 64_000, {}, {}),
    "flac": ("flac", "flac", None, {}, {}),
}


def output_rate(form: str, asked: int | None, own: int) -> int:
    """The rate that audio comes in.

    Args:
        form: One of `MEDIA_TYPES`.
        asked: Of the client, one of `RATES`; None for what is usual.
        own: The codec's.

    Returns:
        In Hz: Opus has five rates, of which the next higher one is taken.
    """
    rate = asked or (PCM_RATE if form == "pcm" else own)
    if form == "opus":
        return next((fitting for fitting in OPUS_RATES if fitting >= rate), OPUS_RATES[-1])
    return rate


class SoundWriter:
    """Samples of a codec → bytes of a format.

    Args:
        form: One of `MEDIA_TYPES`.
        source_rate: Of the samples, in Hz.
        rate: Of what comes out, as `output_rate` gives it.
        speed: Above 1 is faster, at the same pitch.

    Raises:
        MissingExtraError: The format needs PyAV, which is not installed.
    """

    def __init__(self, form: str, source_rate: int, rate: int, speed: float = 1.0) -> None:
        self.tempo = Tempo(source_rate, speed) if speed != 1 else None
        self.resampler = None
        if rate != source_rate:
            self.resampler = soxr.ResampleStream(source_rate, rate, 1, dtype="float32")
        self.rate = rate
        self.num_samples = 0  # at `rate`
        self.form: Form = (
            PcmForm(rate, wav=form == "wav") if form in ("pcm", "wav") else EncodedForm(form, rate)
        )

    @property
    def seconds(self) -> float:
        """Of audio that was written."""
        return self.num_samples / self.rate

    def write(self, samples: np.ndarray) -> bytes:
        """What can be sent after these samples (n,) float32, possibly nothing."""
        if self.tempo:
            samples = self.tempo.push(samples)
        if self.resampler and len(samples):
            samples = self.resampler.resample_chunk(samples)
        return self.encode(samples)

    def finish(self) -> bytes:
        """The rest."""
        rest = self.tempo.finish() if self.tempo else np.zeros(0, np.float32)
        if self.resampler:
            rest = self.resampler.resample_chunk(rest, last=True)
        return self.encode(rest) + self.form.finish()

    def encode(self, samples: np.ndarray) -> bytes:
        """Samples (n,) at `rate` → bytes."""
        self.num_samples += len(samples)
        return self.form.write(pcm16(samples)) if len(samples) else b""


class Form(Protocol):
    """A format."""

    def write(self, samples: np.ndarray) -> bytes:
        """(n,) int16 → bytes."""
        ...

    def finish(self) -> bytes:
        """The rest."""
        ...


class PcmForm:
    """Samples as they are, behind a WAV header of open length if asked for."""

    def __init__(self, rate: int, *, wav: bool) -> None:
        self.header = open_wav_header(rate) if wav else b""

    def write(self, samples: np.ndarray) -> bytes:
        """(n,) int16 → bytes."""
        header, self.header = self.header, b""
        return header + samples.astype("<i2").tobytes()

    def finish(self) -> bytes:
        """A header that nothing followed."""
        header, self.header = self.header, b""
        return header


def open_wav_header(rate: int) -> bytes:
    """44 bytes before 16-bit mono samples whose number is not known: sizes that every reader takes
    for that.
    """
    unknown = 0xFFFF_FFFF
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", unknown, b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", unknown),
    )


class Sink:
    """A file that cannot seek: what is written is taken away."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, content: bytes) -> int:
        """Take in bytes."""
        self.content += content
        return len(content)

    def take(self) -> bytes:
        """What came since the last time."""
        content = bytes(self.content)
        self.content.clear()
        return content


class EncodedForm:
    """One of FFmpeg's encoders with its muxer."""

    def __init__(self, form: str, rate: int) -> None:
        self.av = require("av", extra="serve", purpose=f"audio as {form}")
        codec, muxer, bits, codec_options, muxer_options = ENCODERS[form]
        self.rate, self.sink, self.given = rate, Sink(), 0
        self.container: Any = self.av.open(
            self.sink, "w", format=muxer, options={**muxer_options, "fflags": "+flush_packets"}
        )
        self.stream = self.container.add_stream(
            codec, rate=rate, layout="mono", options=codec_options
        )
        if bits:
            self.stream.bit_rate = bits
        # Of a client that left, too: PyAV before 17.1 ends the process when it has to free a
        # container of sound that nobody closed.
        weakref.finalize(self, self.container.close).atexit = False

    def write(self, samples: np.ndarray) -> bytes:
        """(n,) int16 → bytes, possibly none."""
        piece = max(1, int(PIECE_SECONDS * self.rate))
        for start in range(0, len(samples), piece):
            part = np.ascontiguousarray(samples[None, start : start + piece])
            frame = self.av.AudioFrame.from_ndarray(part, format="s16", layout="mono")
            frame.sample_rate, frame.pts = self.rate, self.given
            self.given += part.shape[1]
            self.mux(frame)
        return self.sink.take()

    def finish(self) -> bytes:
        """What the encoder held, and the muxer's end."""
        self.mux(None)
        self.container.close()
        return self.sink.take()

    def mux(self, frame: Any) -> None:
        """Encode a frame, or flush."""
        for packet in self.stream.encode(frame):
            self.container.mux(packet)


class Tempo:
    """Faster or slower speech at its own pitch, by FFmpeg's atempo."""

    def __init__(self, rate: int, speed: float) -> None:
        self.av = require("av", extra="serve", purpose="speed")
        self.rate, self.speed = rate, speed
        self.given = self.made = 0  # samples
        graph = self.graph = self.av.filter.Graph()
        last = graph.add_abuffer(
            sample_rate=rate, format="flt", layout="mono", channels=1, time_base=None
        )
        for factor in factors(speed):
            stage = graph.add("atempo", f"{factor:.6f}")
            last.link_to(stage)
            last = stage
        sink = graph.add("abuffersink")
        last.link_to(sink)
        graph.configure()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 → what is final, (m,) float32."""
        if not len(samples):
            return samples
        frame = self.av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts = self.rate, self.given
        self.given += len(samples)
        self.graph.push(frame)
        made = joined_frames(self.pulled())
        self.made += len(made)
        return made

    def finish(self) -> np.ndarray:
        """The rest, (m,) float32."""
        wanted = round(self.given / self.speed) - self.made
        if wanted <= 0:
            return np.zeros(0, np.float32)
        silence = np.zeros(int(PADDING_SECONDS * self.rate * max(1, self.speed)), np.float32)
        rest = self.push(silence)  # the filter would swallow as much of the speech
        self.graph.push(None)
        rest = np.concatenate([rest, joined_frames(self.pulled())])[:wanted]
        return np.pad(rest, (0, wanted - len(rest)))

    def pulled(self) -> Iterator[np.ndarray]:
        """Frames that the filter has ready."""
        while True:
            try:
                frame = self.graph.pull()
            except (BlockingIOError, EOFError):
                return
            yield frame.to_ndarray().reshape(-1)


def factors(speed: float) -> list[float]:
    """A speed as factors that atempo takes: at least a half each."""
    return [speed] if speed >= 0.5 else [0.5, *factors(speed / 0.5)]


def joined_frames(frames: Iterator[np.ndarray]) -> np.ndarray:
    """Frames one after the other, (n,) float32."""
    parts = list(frames)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
