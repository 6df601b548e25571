"""Decoding with libsndfile, one block after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from xcodec2.audio import mp3
from xcodec2.audio.content import Content
from xcodec2.audio.headers import find_extent, is_raw_gsm, voc_segments
from xcodec2.audio.samples import BLOCK_VALUES, Block
from xcodec2.errors import AudioError

UNKNOWN = 1 << 62  # libsndfile's count where the header has none is 2^63 - 1
GSM_BYTES, GSM_SAMPLES = 65, 320  # of a block in a WAV
RAW_GSM: dict[str, Any] = {
    "format": "RAW",
    "subtype": "GSM610",
    "samplerate": 8_000,
    "channels": 1,
}


class LeftToFFmpegError(Exception):
    """libsndfile cannot read this content, or not all of it; the message says how far it came."""


class Sequential(soundfile.SoundFile):
    """Without the seek after each read that soundfile does otherwise. It ends at once in a FLAC of
    unknown length, makes libmpg123 forget the bits it has in store, and starts Opus anew.
    """

    def seekable(self) -> bool:
        """False, so that libsndfile reads from start to end."""
        return False


def sndfile_blocks(file: Content, name: str) -> Iterator[Block]:
    """Decode with libsndfile.

    Raises:
        LeftToFFmpegError: It cannot read this content, or not all of it.
        AudioError: The content is damaged or cut short.
    """
    walk = mp3.walk(file, name)
    if walk and walk.joined:
        raise LeftToFFmpegError("MP3s laid one behind another")
    file.seek(0)
    try:
        sound = Sequential(file, **RAW_GSM if is_raw_gsm(file, name) else {})
    except soundfile.SoundFileError as problem:
        file.check(name)
        raise LeftToFFmpegError("not audio that libsndfile reads") from problem
    with sound:
        if sound.format == "VOC" and voc_segments(file, name) > 1:
            raise LeftToFFmpegError("a VOC in several pieces")  # their headers would be heard
        frames, total = _frames(sound, file), 0
        buffer = np.empty((max(1, BLOCK_VALUES // sound.channels), sound.channels), np.float32)
        try:
            # Never more than there are, lest a tag behind them is decoded, and until nothing comes:
            # a header can claim any number.
            while len(block := sound.read(min(len(buffer), frames - total), out=buffer)):
                total += len(block)
                yield sound.samplerate, block
        except soundfile.SoundFileError as problem:
            file.check(name)
            raise LeftToFFmpegError(
                f"damaged or cut short after {total / sound.samplerate:.2f} s"
            ) from problem
        file.check(name)
        _check_end(sound, total, frames, walk, name)


def _frames(sound: soundfile.SoundFile, file: Content) -> int:
    """Samples in each channel. Of GSM in a WAV, whole blocks only: libsndfile counts a byte of
    padding as a block more, and decodes what is left from the one before.
    """
    if sound.subtype == "GSM610" and sound.format in ("WAV", "WAVEX"):
        here, extent = file.tell(), find_extent(file)
        present = file.size - extent.start if extent else 0
        file.seek(here)
        if extent and extent.promised:
            return min(extent.promised, present) // GSM_BYTES * GSM_SAMPLES
    return sound.frames


def _check_end(
    sound: soundfile.SoundFile, total: int, frames: int, walk: mp3.Walk | None, name: str
) -> None:
    """Raise when less came than there is."""
    if walk is None:
        short = total < frames < UNKNOWN and "MPEG" not in sound.subtype  # estimated, in a WAV
    elif walk.promised is None:
        if total < walk.frames * walk.samples:  # libsndfile guesses a length from the first frames
            raise LeftToFFmpegError(
                f"an MP3 without a length, read to {total / walk.sample_rate:.2f} s"
            )
        return
    else:
        short = total < frames - 2 * walk.samples  # some count the header's own frame
    if short:
        rate = sound.samplerate
        raise AudioError(
            f"{name}: damaged or cut short: {total / rate:.2f} s of {frames / rate:.2f} s can be "
            "read; copy it again"
        )
