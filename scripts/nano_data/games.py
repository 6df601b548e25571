"""Speech out of the single large files of two adventure games of 1994 and 1995, whose studios gave
them away.

Each writes one file a line of dialogue into a folder beside the large file, once.
"""

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

LINES = "lines"  # the folder
QUEEN_ENTRY = struct.Struct(">12sBII")  # name, bundle, offset, bytes
QUEEN_HEADER = struct.Struct(">4s6s2xBH")  # magic, version, compression, entries
QUEEN_MP3 = 1
SKY_ENTRY = struct.Struct("<H6s")
SKY_SPEECH = range(50_000, 59_000)  # numbers of files
SKY_HEADER = 22  # bytes before what is packed
SKY_RATE = 11_025
SKY_OFFSET_UNIT = 16
RNC_HEADER = struct.Struct(
    ">3sBIIHHBB"
)  # magic, method, unpacked and packed bytes, two checksums, two counts


def amazon_queen(root: Path) -> None:
    """`queen.1c`: a table of names, then MP3 of 11 kHz as it is."""
    write_lines(root, queen_lines)


def queen_lines(root: Path) -> Iterator[tuple[str, bytes]]:
    content = (root / "queen.1c").read_bytes()
    magic, _, compression, count = QUEEN_HEADER.unpack_from(content)
    if (magic, compression) != (b"QTBL", QUEEN_MP3):
        raise ValueError("queen.1c: not the version with speech in MP3")
    for number in range(count):
        name, _, offset, size = QUEEN_ENTRY.unpack_from(
            content, QUEEN_HEADER.size + number * QUEEN_ENTRY.size
        )
        stem, _, kind = name.split(b"\0")[0].decode("ascii").partition(".")
        if kind == "SB":
            yield f"{stem}.mp3", content[offset : offset + size]


def steel_sky(root: Path) -> None:
    """`sky.dnr` numbers the files in `sky.dsk`; speech is packed, 8 bits a sample at 11 kHz."""
    write_lines(root, sky_lines)


def sky_lines(root: Path) -> Iterator[tuple[str, bytes]]:
    table, content = (root / "sky.dnr").read_bytes(), (root / "sky.dsk").read_bytes()
    for number, rest in SKY_ENTRY.iter_unpack(table[4:]):
        offset, size = (int.from_bytes(part, "little") for part in (rest[:3], rest[3:]))
        place = (offset & 0x7FFFFF) * (SKY_OFFSET_UNIT if offset >> 23 else 1)
        packed = content[place + SKY_HEADER : place + (size & 0x3FFFFF)]
        if number in SKY_SPEECH and packed.startswith(b"RNC\1"):
            samples = np.frombuffer(unpack_rnc(packed), np.uint8)
            yield f"{number}.wav", wave_bytes((samples.astype(np.float32) - 128) / 128, SKY_RATE)


def wave_bytes(samples: np.ndarray, rate: int) -> bytes:
    import io

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def write_lines(root: Path, lines: Callable[[Path], Iterator[tuple[str, bytes]]]) -> None:
    folder = root / LINES
    if folder.is_dir():
        return
    partial = root / f"{LINES}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in lines(root):
        (partial / name).write_bytes(content)
    partial.rename(folder)


# ---- Rob Northen's compression, method 1 ---------------------------------------------------------


class Bits:
    """Bits of little-endian 16-bit words, lowest first, between which plain bytes lie."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0
        self.buffer, self.count = self.word(), 16

    def word(self) -> int:
        return int.from_bytes(self.content[self.place : self.place + 2], "little")

    def drop(self, count: int) -> None:
        self.buffer >>= count
        self.count -= count
        if self.count < 16:
            self.place += 2
            self.buffer |= self.word() << self.count
            self.count += 16

    def read(self, count: int) -> int:
        value = self.buffer & ((1 << count) - 1)
        self.drop(count)
        return value

    def bytes(self, count: int) -> bytes:
        """The next plain bytes; the word read ahead of them is read anew behind them."""
        found = self.content[self.place : self.place + count]
        self.place += count
        self.count -= 16
        self.buffer = (self.buffer & ((1 << self.count) - 1)) | self.word() << self.count
        self.count += 16
        return found


class Table:
    """A canonical Huffman code, its lengths given in the stream; symbols above 1 are bit lengths of
    numbers.
    """

    def __init__(self, bits: Bits) -> None:
        lengths = [bits.read(4) for _ in range(bits.read(5))]
        self.symbols: dict[tuple[int, int], int] = {}
        code = 0
        for length in range(1, 16):
            for symbol, own in enumerate(lengths):
                if own == length:
                    mirrored = int(f"{code:0{length}b}"[::-1], 2)
                    self.symbols[length, mirrored] = symbol
                    code += 1
            code <<= 1
        self.used = sorted({length for length, _ in self.symbols})

    def read(self, bits: Bits) -> int:
        for length in self.used:
            symbol = self.symbols.get((length, bits.buffer & ((1 << length) - 1)))
            if symbol is not None:
                bits.drop(length)
                return symbol if symbol < 2 else 1 << (symbol - 1) | bits.read(symbol - 1)
        raise ValueError("packed speech is damaged")


def unpack_rnc(packed: bytes) -> bytes:
    """In chunks with three codes each: how many plain bytes, how far back, and how many to copy
    from there.
    """
    _, _, size, *_ = RNC_HEADER.unpack_from(packed)
    bits, out = Bits(packed[RNC_HEADER.size :]), bytearray()
    bits.drop(2)
    while len(out) < size:
        plain, distances, lengths = Table(bits), Table(bits), Table(bits)
        for left in range(bits.read(16), 0, -1):
            if count := plain.read(bits):
                out += bits.bytes(count)
            if left > 1:
                distance, length = distances.read(bits) + 1, lengths.read(bits) + 2
                for _ in range(length):
                    out.append(out[-distance])
    return bytes(out)
