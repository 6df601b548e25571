"""The frames of an MP3 (MPEG-1, 2 and 2.5, layers I to III), walked through without decoding.

Most MP3s do not say how long they are, and those that do may be cut or joined: what is there is
known only from the frames themselves.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache

from xcodec2.audio.content import Content
from xcodec2.audio.joined import WINDOW, id3_length
from xcodec2.errors import AudioError

SURE = 3  # frames in a row that are no accident
SYNC = re.compile(rb"\xff[\xe2-\xff]")
KILOBITS = {  # by (MPEG-1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True)
class Frame:
    """What a header says. length: bytes in all; samples: in each channel."""

    length: int
    samples: int
    sample_rate: int


@dataclass(frozen=True)
class Walk:
    """An MP3 that is whole. frames: with audio. promised: those that its Xing header counts, None
    without one. tagged: it goes on behind a tag, as joined files do.
    """

    frames: int
    samples: int
    sample_rate: int
    promised: int | None
    tagged: bool

    @property
    def joined(self) -> bool:
        """Whether there is more than the header of the first knows of."""
        return self.tagged or (self.promised is not None and self.frames > self.promised + 1)


def walk(file: Content, name: str) -> Walk | None:
    """Walk through all frames; None when it is no MP3, or one of free format.

    Raises:
        AudioError: Something else lies between the frames, the last one is cut, or there are fewer
            than the header counts.
    """
    size = file.size
    start = id3_length(file)
    if not start and frame_at(file.at(0, 4)) is None:
        return None
    position = sync(file, start)
    if position is None or (position and not start):
        return None
    first = frame_at(file.at(position, 4))
    file.check(name)
    assert first is not None
    promised = xing_frames(file.at(position, first.length))
    frames, tagged, behind_tag = (0 if promised is None else -1), False, False
    window, base = b"", 0
    while position < size:
        if position + 4 > base + len(window) or position < base:
            window, base = file.at(position, WINDOW), position
        place = position - base
        frame = frame_at(window[place : place + 4])
        if frame is not None and (frame.samples, frame.sample_rate) == (
            first.samples,
            first.sample_rate,
        ):
            frames, position = frames + 1, position + frame.length
            tagged = tagged or behind_tag
        elif length := tag_length(file, position):
            position, behind_tag = position + length, True
        elif (further := sync(file, position)) is None:
            break  # what was put behind the end, or the end of a frame
        elif further == position:  # another rate: another file
            return Walk(frames, first.samples, first.sample_rate, promised, True)
        else:
            raise AudioError(
                f"{name}: damaged after {seconds(frames, first):.2f} s: {further - position} bytes "
                "there are no MP3; copy it again, or leave them out with "
                "`ffmpeg -i old.mp3 new.mp3`"
            )
    if position > size and frame is not None:
        raise AudioError(
            f"{name}: cut short after {seconds(frames - 1, first):.2f} s: its last frame lacks "
            f"{position - size} bytes; copy it again, or, if there is no more, leave it out with "
            "`ffmpeg -i old.mp3 new.mp3`"
        )
    if promised is not None and frames < promised - 1:
        raise AudioError(
            f"{name}: cut short: {seconds(frames, first):.2f} s of "
            f"{seconds(promised, first):.2f} s are there; copy it again"
        )
    return Walk(frames, first.samples, first.sample_rate, promised, tagged)


def seconds(frames: int, frame: Frame) -> float:
    """What so many frames last."""
    return max(0, frames) * frame.samples / frame.sample_rate


def sync(file: Content, position: int) -> int | None:
    """Where some frames follow one another, at `position` or not far behind it."""
    size, window = file.size, file.at(position, WINDOW)
    for match in SYNC.finditer(window):
        place = at = position + match.start()
        kinds: set[tuple[int, int]] = set()
        for _ in range(SURE):
            if place >= size:
                break
            frame = frame_at(file.at(place, 4))
            if frame is None:
                kinds = set()
                break
            kinds.add((frame.samples, frame.sample_rate))
            place += frame.length
        if len(kinds) == 1:
            return at
    return None


def frame_at(header: bytes) -> Frame | None:
    """The frame that begins with these 4 bytes."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    return parsed(header[1] & 0xFE, header[2] & 0xFE)


@cache
def parsed(kind: int, rates: int) -> Frame | None:
    """A frame by two bytes of its header; None where they are those of no frame."""
    version, layer = kind >> 3 & 3, 4 - (kind >> 1 & 3)
    bits, place = rates >> 4, rates >> 2 & 3
    if version not in RATES or layer == 4 or bits in (0, 15) or place == 3:
        return None
    mpeg1, padded = version == 3, rates >> 1 & 1
    sample_rate = RATES[version][place]
    bit_rate = 1000 * KILOBITS[mpeg1, layer if mpeg1 else min(layer, 2)][bits]
    if layer == 1:
        return Frame((12 * bit_rate // sample_rate + padded) * 4, 384, sample_rate)
    samples = 576 if layer == 3 and not mpeg1 else 1152
    return Frame(samples // 8 * bit_rate // sample_rate + padded, samples, sample_rate)


def xing_frames(frame: bytes) -> int | None:
    """The number of frames that a Xing or Info header counts."""
    header = re.search(rb"Xing|Info", frame[:48])
    if header is None or len(frame) < header.end() + 8:
        return None
    flags, frames = struct.unpack_from(">II", frame, header.end())
    return frames or None if flags & 1 else None


def tag_length(file: Content, position: int) -> int:
    """The bytes of the tag at `position`; 0 where there is none."""
    start = file.at(position, 32)
    if start[:3] == b"TAG":
        return 227 if start[3:4] == b"+" else 128
    if start[:8] == b"APETAGEX" and len(start) == 32:
        size, flags = struct.unpack("<I4xI", start[12:24])
        is_header = flags >> 29 & 1
        return size + (32 if is_header else 0)
    if start[:11] == b"LYRICSBEGIN":
        end = file.at(position, WINDOW).find(b"LYRICS200")
        return end + 9 if end > 0 else 0
    return id3_length(file, position)
