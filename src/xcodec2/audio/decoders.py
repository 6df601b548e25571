"""What is inside of an audio file, as float32 blocks: libsndfile first, FFmpeg for what it leaves."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import soundfile

from xcodec2.errors import AudioError
from xcodec2.extras import require
from xcodec2.files import open_regular

Blocks: TypeAlias = Iterator[
    tuple[int, np.ndarray]
]  # (Hz, (samples, channels) float32, valid until the next one)

BLOCK_VALUES = 1 << 17  # samples x channels at once
# Containers that FFmpeg may open. The list leaves out playlists, which open other files, and
# formats without a signature, which match anything.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,mp3,ogg,flac,wav,aiff,asf,amr,avi,flv,mpeg,mpegts"
)
SLACK_SECONDS = 0.1  # containers count the encoder's delay and padding in their duration


class LeftToFFmpegError(Exception):
    """libsndfile cannot read this content, or not all of it."""


class Content:
    """A seekable binary file without its name, so that no decoder looks at the suffix, and that
    keeps its failures.

    An exception inside of a decoder's callback would otherwise be lost, and pass for the end of the
    file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: Exception | None = None
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as problem:
            self.failure = problem
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (
            OSError,
            ValueError,
        ):  # damaged sizes lead to before the start; the decoder is told, and goes on
            return -1

    def check(self, name: str) -> None:
        if self.failure:
            raise AudioError(f"{name}: reading failed ({self.failure})") from self.failure


@contextmanager
def opened(source: Any) -> Iterator[tuple[Content, str]]:
    """The content of a path, of bytes or of a binary file object, and its name for errors."""
    if isinstance(source, (str, os.PathLike)):
        with open_regular(source, AudioError) as file:
            yield Content(file), str(source)
        return
    name = f"{type(source).__name__} object"
    if isinstance(source, (list, tuple)):
        raise AudioError(f"a {type(source).__name__} is a batch: load its items one by one")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    if not hasattr(source, "read"):
        raise AudioError(
            f"{name}: not audio; pass a path, bytes, a binary file, an array or a tensor"
        )
    try:
        if not (hasattr(source, "seekable") and source.seekable()):
            source = io.BytesIO(source.read())
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        binary = isinstance(source.read(0), bytes)
    except (OSError, ValueError, TypeError) as problem:
        raise AudioError(
            f"{name}: cannot be read; it must be open, in binary mode ({problem})"
        ) from problem
    if not binary:
        raise AudioError(f"{name}: gives text, not bytes; open it in binary mode")
    if not size:
        raise AudioError(f"{name}: is empty (0 bytes)")
    yield Content(source), name


def to_float32(block: np.ndarray) -> np.ndarray:
    """Float samples as they are; integers by their full range, through float64 so that 64 bits are
    not cut first.
    """
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, which the caller refuses
            return block.astype(np.float32)
    half = 2.0 ** (8 * block.dtype.itemsize - 1)
    values = block.astype(np.float64)
    return ((values - half if block.dtype.kind == "u" else values) / half).astype(np.float32)


def sndfile_blocks(file: Content, name: str) -> Blocks:
    """Decode with libsndfile. Raises LeftToFFmpegError, AudioError."""
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.SoundFileError as problem:
        file.check(name)
        raise LeftToFFmpegError from problem
    with sound:
        _refuse_cut_short(sound.extra_info, name)
        total = 0
        buffer = np.empty((max(1, BLOCK_VALUES // sound.channels), sound.channels), np.float32)
        try:
            # Until nothing comes, never by the header's count: a header can claim any number of
            # frames.
            while len(block := sound.read(out=buffer)):
                total += len(block)
                yield sound.samplerate, block
        except soundfile.SoundFileError as problem:
            file.check(name)
            raise AudioError(
                f"{name}: damaged or cut short after {total / sound.samplerate:.2f} s"
            ) from problem
        file.check(name)
        if sound.format == "MP3":
            _check_mp3_end(file, sound, total, name)


def _refuse_cut_short(log: str, name: str) -> None:
    """Compare the size that a header promises with what is there, as libsndfile's log of the
    headers tells them.
    """
    sizes = r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)"
    for promised, present in re.findall(sizes, log, re.MULTILINE):
        # Programs that do not know the length yet write about 2^31 or 2^32; a few bytes are
        # padding.
        if int(present) + 16 < int(promised) < 0x7FFF0000:
            raise AudioError(
                f"{name}: cut short: the header promises {promised} bytes, {present} are there; copy it again, or, "
                "if there is no more, mend the header with `ffmpeg -i old.wav new.wav`"
            )


def _check_mp3_end(file: Content, sound: soundfile.SoundFile, total: int, name: str) -> None:
    """An MP3 without a length header is read only to a length guessed from its first frames; one
    with it may be cut.
    """
    rest = file.read(4)
    if len(rest) == 4 and rest[:3] not in (b"TAG", b"APE", b"LYR", b"ID3"):
        raise LeftToFFmpegError
    file.seek(0)
    if sound.frames - total > sound.frames // 50 and re.search(b"Xing|Info", file.read(1 << 16)):
        raise AudioError(
            f"{name}: cut short: {total / sound.samplerate:.2f} s of {sound.frames / sound.samplerate:.2f} s "
            "are there; copy it again"
        )


def ffmpeg_blocks(file: Content, name: str) -> Blocks:
    """Decode the first audio track with FFmpeg, through PyAV. Raises AudioError."""
    libsndfile_failed = (
        f"{name}: not audio that libsndfile reads to its end; FFmpeg, which reads more,"
    )
    av = require("av", extra="media", purpose=libsndfile_failed)
    file.seek(0)
    seconds = 0.0
    try:
        with av.open(
            file, options={"format_whitelist": CONTAINERS}, metadata_errors="ignore"
        ) as container:
            if not container.streams.audio:
                raise AudioError(f"{name}: has no audio track")
            stream = container.streams.audio[0]
            for frame in container.decode(stream):
                seconds += frame.samples / frame.sample_rate
                values = _values(
                    frame, name
                )  # (channels, samples), or (1, samples x channels) interleaved
                block = values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
                yield frame.sample_rate, to_float32(block)
            promised = _promised_seconds(container, stream)
    except av.FFmpegError as problem:
        file.check(name)
        what = (
            f"damaged or cut short after {seconds:.2f} s"
            if seconds
            else "not audio that can be read"
        )
        raise AudioError(f"{name}: {what} ({problem.strerror})") from problem
    file.check(name)
    if seconds < promised - SLACK_SECONDS:
        raise AudioError(
            f"{name}: cut short: {seconds:.2f} s of {promised:.2f} s are there; copy it again"
        )


def _values(frame: Any, name: str) -> np.ndarray:
    try:
        return frame.to_ndarray()
    except ValueError as problem:  # PyAV knows no 64-bit integers
        raise AudioError(
            f"{name}: its samples are of a kind that cannot be read ({frame.format.name}); "
            "write others with `ffmpeg -i old.wav -c:a pcm_f32le new.wav`"
        ) from problem


def _promised_seconds(container: Any, stream: Any) -> float:
    """The duration that the container states; 0 where FFmpeg has none or only an estimate."""
    if container.format.name.startswith("mov") and stream.duration:
        return float(stream.duration * stream.time_base)
    if (
        container.format.name.startswith("matroska")
        and container.duration
        and len(container.streams) == 1
    ):
        return container.duration / 1e6
    return 0.0
