"""Ogg as Opus and Speex come in it: packets out of a file, and a file of packets."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from xcodec2.errors import XCodec2Error

POLYNOMIAL = 0x04C11DB7
FIRST, LAST = 2, 4  # marks of a stream's first and last page
FULL = 255  # a segment of a packet that goes on


def ogg_packets(content: bytes) -> Iterator[bytes]:
    """An Ogg stream's packets, two headers first.

    A page lists the sizes of segments; a packet ends with one below 255 bytes.
    """
    position = 0
    packet = b""
    while content[position : position + 4] == b"OggS":
        count = content[position + 26]
        segments = content[position + 27 : position + 27 + count]
        position += 27 + count
        for segment in segments:
            packet += content[position : position + segment]
            position += segment
            if segment < FULL:
                yield packet
                packet = b""


def ogg_file(headers: Sequence[bytes], packets: Sequence[bytes], ticks: int) -> bytes:
    """A stream with a page for each packet.

    Args:
        headers: The codec's own, two.
        packets: Of speech.
        ticks: Of the codec's clock in a packet, for the pages' times.

    Returns:
        The file.
    """
    pages = []
    for number, packet in enumerate([*headers, *packets]):
        heard = max(0, number - len(headers) + 1) * ticks
        mark = FIRST if number == 0 else 0
        mark |= LAST if number == len(headers) + len(packets) - 1 else 0
        pages.append(ogg_page(packet, number, heard, mark))
    return b"".join(pages)


def ogg_page(packet: bytes, number: int, heard: int, mark: int) -> bytes:
    """One page of one packet, with its checksum."""
    segments = lacing(len(packet))
    head = b"OggS" + struct.pack("<BBqIII", 0, mark, heard, 1, number, 0) + bytes([len(segments)])
    whole = head + segments + packet
    return whole[:22] + struct.pack("<I", checksum(whole)) + whole[26:]


def lacing(size: int) -> bytes:
    """How Ogg writes a packet's size: as many bytes of 255 as fit, and what is left."""
    return bytes([FULL] * (size // FULL) + [size % FULL])


def with_sizes(packets: Sequence[bytes]) -> bytes:
    """Packets as one stream that can be taken apart again: each behind its size."""
    return b"".join(lacing(len(packet)) + packet for packet in packets)


def parted(stream: bytes) -> list[bytes]:
    """The packets of `with_sizes`; one that is cut short is left out."""
    packets, place = [], 0
    while place < len(stream):
        size = 0
        while place < len(stream) and stream[place] == FULL:
            size, place = size + FULL, place + 1
        if place == len(stream):
            break
        size, place = size + stream[place], place + 1
        if place + size <= len(stream):
            packets.append(stream[place : place + size])
        place += size
    return packets


def checksum(content: bytes) -> int:
    """Ogg's: a CRC of 32 bits from zero, nothing mirrored or inverted."""
    remainder = 0
    for byte in content:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (POLYNOMIAL if remainder >> 31 else 0)
            remainder &= 0xFFFFFFFF
    return remainder


def ogg_headers(content: bytes) -> list[bytes]:
    """The two header packets of a file that an encoder wrote.

    Raises:
        XCodec2Error: There are none.
    """
    packets = list(ogg_packets(content))[:2]
    if len(packets) < 2:
        raise XCodec2Error("an encoder wrote no Ogg stream")
    return packets
