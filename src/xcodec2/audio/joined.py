"""Files that are several laid one behind another, found by walking through their pages or chunks.

Icecast and recorders chain Ogg streams, `cat` joins FLAC and WAV; decoders take the end of the
first for the end of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from xcodec2.audio.content import Content
from xcodec2.audio.headers import find_extent
from xcodec2.errors import AudioError

WINDOW = 1 << 20  # bytes in memory
FLAC_START = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # the marker and its first block's header
OGG_START = re.compile(rb"OggS\x00[\x00-\x07]")
FIRST_PAGE, PAGE_HEADER = 2, 27


def joined_files(file: Content, name: str) -> list[Content]:
    """The files that lie one behind another in an Ogg, FLAC or WAV; mostly one.

    Raises:
        AudioError: An Ogg file breaks off within a page, or is damaged between pages.
    """
    magic = file.at(0, 4)
    starts = [0]
    if magic == b"OggS":
        starts = ogg_links(file, name)
    elif magic == b"fLaC" or file.at(id3_length(file), 4) == b"fLaC":
        starts = [0, *list(occurrences(file, FLAC_START, 0))[1:]]
    elif magic in (b"RIFF", b"RIFX"):
        starts = list(wav_starts(file, magic))
    elif magic in (b"caff", b"riff"):
        return [in_earnest(file, magic)]
    file.check(name)
    file.seek(0)
    if starts == [0]:
        return [file]
    return [file.part(*ends) for ends in zip(starts, [*starts[1:], None], strict=True)]


def ogg_links(file: Content, name: str) -> list[int]:
    """Where the links of a chained Ogg begin: at a first page that follows other pages.

    Raises:
        AudioError: The file is damaged between pages or breaks off within one.
    """
    starts: list[int] = []
    position, among_first, size = 0, False, file.size
    while position < size:
        header = file.at(position, PAGE_HEADER + 255)
        file.check(name)
        if header[:4] != b"OggS"[: len(header)]:
            if next(occurrences(file, OGG_START, position), None) is None:
                break  # a tag, or what else was put behind the end
            raise AudioError(
                f"{name}: damaged at byte {position} of {size}: no Ogg page begins there; "
                "copy it again"
            )
        segments = header[26] if len(header) >= PAGE_HEADER else 0
        length = PAGE_HEADER + segments + sum(header[PAGE_HEADER : PAGE_HEADER + segments])
        if position + length > size:
            raise AudioError(
                f"{name}: cut short: its last Ogg page, at byte {position}, lacks "
                f"{position + length - size} bytes; copy it again, or, if there is no more, keep "
                "what is there with `ffmpeg -i old.ogg -c copy new.ogg`"
            )
        first = bool(header[5] & FIRST_PAGE)
        if first and not among_first:
            starts.append(position)
        among_first = first
        position += length
    return starts or [0]


def wav_starts(file: Content, magic: bytes) -> Iterator[int]:
    """Where WAVs begin that were laid one behind another, by the sizes that they state."""
    position = 0
    while True:
        yield position
        (size,) = file.numbers(position + 4, "<I" if magic == b"RIFF" else ">I")
        position += 8 + size + size % 2
        start = file.at(position, 12)
        if not size or start[:4] != magic or start[8:] != b"WAVE":
            return


def in_earnest(file: Content, magic: bytes) -> Content:
    """Without the headers that libsndfile, when it cannot seek back, as in a pipe, writes before
    the file and again behind it.
    """
    extent, size = find_extent(file), file.size
    file.seek(0)
    if not extent or extent.promised or file.at(extent.start, 4) != magic:
        file.seek(0)
        return file
    last = size - extent.start
    return file.part(extent.start, last if file.at(last, 4) == magic else None)


def occurrences(file: Content, pattern: re.Pattern[bytes], position: int) -> Iterator[int]:
    """Where `pattern`, of up to 8 bytes, stands from `position` on."""
    while len(window := file.at(position, WINDOW)) >= 6:
        for match in pattern.finditer(window):
            yield position + match.start()
        position += max(len(window) - 7, 1)


def id3_length(file: Content, position: int = 0) -> int:
    """The bytes of the ID3v2 tag at `position`; 0 where there is none."""
    tag = file.at(position, 10)
    if len(tag) < 10 or tag[:3] != b"ID3" or any(byte & 0x80 for byte in tag[6:]):
        return 0
    size = tag[6] << 21 | tag[7] << 14 | tag[8] << 7 | tag[9]
    return 10 + size + (10 if tag[5] & 0x10 else 0)
