"""How much audio a header promises, and how much is there.

Programs that write into a pipe, servers that do not know the length yet and recorders that were
stopped leave 0 or a placeholder where the size belongs: such files are read to their end. Any other
promise that the file does not keep is a copy cut short.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from xcodec2.audio.content import Content
from xcodec2.errors import AudioError

PADDING = 16  # bytes that a header may promise beyond the end: chunks are padded to even sizes
CHUNKS = 1000  # headers that are looked at; more are no audio file
EXTENSIBLE = 0xFFFE  # in place of a kind of samples, whose number then stands further on
LEAST_ROUND = 10**8  # the smallest round number of bytes that nobody's recording has by chance
GSM_FRAME, LEAST_GSM_FRAMES = 33, 8  # bytes of 20 ms; by chance there are 8 in 1 of 2^32 files
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")  # all of its names end like this
KIND_TAIL = bytes.fromhex("000000001000800000aa00389b71")  # of a sub-format, behind its number
W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")


@dataclass(frozen=True)
class Extent:
    """Where the audio lies.

    start: its first byte. promised: bytes that the header states. field: where it states them, as
    `form` (of struct), together with `more` bytes that are not audio; None when it stands in text.
    """

    start: int
    promised: int
    field: int | None = None
    form: str = ""
    more: int = 0


def mended(file: Content, name: str) -> Content:
    """The content with its true size, and its kind of samples, in the header.

    Raises:
        AudioError: The file ends before what its header promises.
    """
    file = with_plain_kind(file)
    extent = find_extent(file)
    file.check(name)
    file.seek(0)
    if extent is None:
        return file
    present = file.size - extent.start
    if 0 < extent.promised <= present + PADDING or present <= 0:
        return file
    if extent.promised > 0 and not is_placeholder(extent.promised):
        raise AudioError(
            f"{name}: cut short: the header promises {extent.promised} bytes, {present} are there; "
            "copy it again, or, if there is no more, mend the header with "
            "`ffmpeg -i old.wav new.wav`"
        )
    if extent.field is None or (extent.promised == 0 and ends_in_chunks(file, extent)):
        return file
    size = present + extent.more
    if size >= 1 << 8 * struct.calcsize(extent.form) - 1:
        return file  # too long for its field: the decoders read a placeholder to the end
    return file.patched(extent.field, struct.pack(extent.form, size))


def with_plain_kind(file: Content) -> Content:
    """A W64 whose kind of samples stands where all look for it: libsndfile takes every extensible
    one for whole numbers, floats too.
    """
    place = 40  # of the first chunk
    if file.at(0, 16) != W64_RIFF or file.numbers(place, "<4s") != (b"fmt ",):
        return file
    kind, sub_kind = file.numbers(place + 24, "<H22xH")
    known = kind == EXTENSIBLE and file.at(place + 50, 14) == KIND_TAIL
    return file.patched(place + 24, struct.pack("<H", sub_kind)) if known else file


def is_placeholder(size: int) -> bool:
    """Whether no writer has counted so many bytes: 2^31 or 2^32 and what is a header less, or a
    round number.
    """
    if size < 0 or size >= 1 << 62:
        return True
    if any(edge - 0x10000 <= size <= edge + 0x100 for edge in (1 << 31, 1 << 32)):
        return True
    if size < LEAST_ROUND:
        return False
    near = range(size - 128, size + 129)  # the header is counted, or is not
    unit = 10 ** (len(str(size)) - (1 if size < 10**9 else 2))  # one or two digits, then zeros
    return any(number % (1 << 24) == 0 or number % unit == 0 for number in near)


def ends_in_chunks(file: Content, extent: Extent) -> bool:
    """Whether nothing but whole chunks follows where a size of 0 stands: then there is no audio."""
    order = extent.form[0]
    if extent.form[1] != "I":
        return False
    position, end = extent.start, file.size
    while position + 8 <= end:
        name, size = struct.unpack(order + "4sI", file.at(position, 8))
        if not re.fullmatch(rb"[A-Za-z][A-Za-z0-9_ ]{3}", name):
            return False
        position += 8 + size + size % 2
    return position in (end, end + 1)


def find_extent(file: Content) -> Extent | None:
    """Where the audio of a file lies that states its size; None for every other kind."""
    start = file.at(0, 16)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") and start[8:12] in (b"WAVE", b"AVI "):
        return riff(file, "<")
    if start[:4] == b"RIFX":
        return riff(file, ">")
    if start == W64_RIFF:
        return w64(file)
    if start[:4] == b"FORM":
        return form(file)
    if start[:4] in (b".snd", b"dns.") and len(start) == 16:
        order = ">" if start[:1] == b"." else "<"
        offset, size = struct.unpack(order + "4xII", start[:12])
        return Extent(offset, size, 8, order + "I")
    if start[:4] == b"caff":
        return caf(file)
    if start[:4] == b".SoX" and len(start) == 16:
        header, samples = struct.unpack("<4xIQ", start)
        return Extent(4 + header, 4 * samples, 8, "<Q") if samples else None
    return nist(file) if start[:7] == b"NIST_1A" else None


def chunks(file: Content, position: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, size and place of the content of each chunk; each is padded to an even size."""
    length = struct.calcsize(layout)
    for _ in range(CHUNKS):
        header = file.at(position, length)
        if len(header) < length:
            return
        name, size = struct.unpack(layout, header)
        yield name, size, position + length
        position += length + size + (size % 2 if layout.endswith("I") else 0)


def riff(file: Content, order: str) -> Extent | None:
    """WAV and RF64; of AVI, whose audio is in many pieces, the whole."""
    if file.at(8, 4) == b"AVI ":
        (size,) = file.numbers(4, "<I")
        return Extent(8, size) if size else None
    long = None
    for name, size, place in chunks(file, 12, order + "4sI"):
        if name == b"ds64":
            long = place + 8
        if name == b"data":
            if long is not None and size == 0xFFFFFFFF:
                (size,) = file.numbers(long, "<q")
                return Extent(place, size, long, "<q")
            return Extent(place, size, place - 4, order + "I")
    return None


def w64(file: Content) -> Extent | None:
    """Where a Sony Wave64 says that its samples are; None when it does not."""
    position = 40
    for _ in range(CHUNKS):
        header = file.at(position, 24)
        if len(header) < 24 or header[4:16] != W64_TAIL:
            return None
        (size,) = struct.unpack("<q", header[16:])
        if header[:4] == b"data":
            return Extent(position + 24, max(0, size - 24), position + 16, "<q", 24)
        position += max(24, size + -size % 8)
    return None


def form(file: Content) -> Extent | None:
    """AIFF and AIFF-C, whose samples follow two numbers, and IFF's 8SVX."""
    for name, size, place in chunks(file, 12, ">4sI"):
        if name == b"SSND":
            return Extent(place + 8, max(0, size - 8), place - 4, ">I", 8)
        if name == b"BODY":
            return Extent(place, size, place - 4, ">I")
    return None


def caf(file: Content) -> Extent | None:
    """Where a Core Audio file says that its samples are; None when it does not."""
    for name, size, place in chunks(file, 8, ">4sq"):
        if name == b"data":  # begins with the number of edits, of 4 bytes
            return Extent(place + 4, max(0, size - 4), place - 8, ">q", 4)
        if size < 0:
            return None
    return None


def nist(file: Content) -> Extent | None:
    """SPHERE: lines of text; what it holds may be compressed, and then says nothing of its size."""
    header = file.at(0, 1 << 14)
    length = re.match(rb"NIST_1A\n\s*(\d+)\n", header)
    fields = dict(re.findall(rb"^(\w+) -\w+ (\S+)", header.partition(b"end_head")[0], re.MULTILINE))
    try:
        sizes = [int(fields[key]) for key in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    except (KeyError, ValueError):
        return None
    if length is None or b"," in fields.get(b"sample_coding", b""):
        return None
    return Extent(int(length[1]), max(0, sizes[0] * sizes[1] * sizes[2]))


def voc_segments(file: Content, name: str) -> int:
    """The pieces of sound that a VOC is made of; leaves the position as it is.

    Raises:
        AudioError: The last of several breaks off.
    """
    here, size, pieces = file.tell(), file.size, 0
    (position,) = file.numbers(20, "<H")
    while (block := file.at(position, 4))[:1] not in (b"", b"\0") and len(block) == 4:
        if block[0] > 9:  # no kind of block: SoX states 8 bytes less than it writes
            break
        pieces += block[0] in (1, 2, 9)
        position += 4 + int.from_bytes(block[1:], "little")
        if position > size and pieces > 1:
            raise AudioError(
                f"{name}: cut short: its last block lacks {position - size} bytes; copy it again"
            )
    file.seek(here)
    return pieces


def is_raw_gsm(file: Content, name: str) -> bool:
    """Whether a file is GSM 06.10 without a header, as telephone exchanges write it; leaves the
    position as it is.

    Each of its frames begins with the four bits 1101. Digital silence in A-law does so, too.

    Raises:
        AudioError: It is, and its last frame breaks off.
    """
    here, size = file.tell(), file.size
    step = GSM_FRAME << 12
    data, position = file.at(0, step), 0
    found = len(data) >= GSM_FRAME * LEAST_GSM_FRAMES and len(set(data[:GSM_FRAME])) > 1
    while found and data:
        found = all(byte >> 4 == 0xD for byte in data[::GSM_FRAME])
        position += step
        data = file.at(position, step)
    if found and size % GSM_FRAME:
        raise AudioError(
            f"{name}: cut short: its last GSM frame lacks {GSM_FRAME - size % GSM_FRAME} bytes; "
            "copy it again, or, if there is no more, keep what is there with "
            "`ffmpeg -i old.gsm -c copy new.gsm`"
        )
    file.seek(here)
    return found
