"""Codes of any codec as one stream of bytes, so that one language model fits all of them.

A code of a codebook of up to 256 entries is one byte, a larger one several, the highest first;
several codebooks are written frame by frame. What a classic codec writes is bytes already, packets
behind their sizes. Nothing is lost: by the chain rule, the bits of the bytes add up to the bits of
the codes, and the bytes can be decoded again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.corpus.labels import Interval, phone_of_frames
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, load_recording
from xcodec2.evaluate.probing.split import for_training
from xcodec2.evaluate.systems.ogg import parted, with_sizes
from xcodec2.evaluate.systems.system import Decoded, System
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

BYTE = 256
UNKNOWN = 0  # the phone of what has no label


@dataclass(frozen=True)
class ByteStream:
    """One recording as a codec writes it.

    Attributes:
        bytes: (N,) uint8.
        sizes: (F,) bytes of each frame or packet.
        phones: (F,) numbers of the phones in the middle of the frames, UNKNOWN without labels.
        seconds: Of speech.
        text: What is said, where it is known.
        language: In which language.
    """

    bytes: np.ndarray
    sizes: np.ndarray
    phones: np.ndarray
    seconds: float
    text: str | None = None
    language: str | None = None

    @property
    def phone_of_bytes(self) -> np.ndarray:
        """(N,) numbers of phones."""
        return np.repeat(self.phones, self.sizes)


@dataclass(frozen=True)
class ByteForm:
    """How codes stand in bytes.

    Attributes:
        books: Codebooks; 0 of what a classic codec writes.
        size: Entries of each codebook.
        slots: Bytes of a frame; 1 where frames are packets of any size.
        packets: Whether they are, each behind its size.
    """

    books: int
    size: int
    slots: int
    packets: bool = False

    @classmethod
    def of(cls, decoded: Decoded) -> ByteForm | None:
        """Of what a system gave back; None where it has no codes."""
        if decoded.written is not None:
            return cls(0, BYTE, decoded.slots, decoded.packets)
        if decoded.tokens is None or decoded.codebook_size is None:
            return None
        books, size = len(decoded.tokens), decoded.codebook_size
        return cls(books, size, books * bytes_of_a_code(size))

    def stream(self, decoded: Decoded) -> np.ndarray:
        """(N,) uint8 of what a system gave back."""
        if decoded.written is not None:
            return np.frombuffer(decoded.written, np.uint8)
        assert decoded.tokens is not None
        return as_bytes(decoded.tokens, self.size)

    def coded(self, stream: np.ndarray) -> np.ndarray | bytes:
        """What `System.speak` takes: (N,) uint8 back to (codebooks, T) integers, or bytes."""
        return as_tokens(stream, self.books, self.size) if self.books else stream.tobytes()

    def sizes(self, stream: np.ndarray) -> np.ndarray:
        """(F,) bytes of each frame or packet, its size among them."""
        if not self.packets:
            return np.full(-(-len(stream) // self.slots), self.slots)
        return np.array([len(with_sizes([packet])) for packet in parted(stream.tobytes())])

    @property
    def words(self) -> str:
        """How codes became bytes, for people."""
        if self.packets:
            return "packets behind their sizes"
        if not self.books:
            frames = f", frames of {self.slots}" if self.slots > 1 else ""
            return f"bytes that it writes{frames}"
        number = bytes_of_a_code(self.size)
        code = "1 byte a code" if number == 1 else f"{number} bytes a code"
        return code if self.books == 1 else f"{self.books} codebooks flattened, {code}"


@dataclass(frozen=True)
class Streams:
    """A system's codes of a corpus, as bytes.

    Attributes:
        form: How codes stand in bytes.
        training: Recordings to learn from.
        rest: Held-out recordings.
        phones: How many kinds of them there are; 0 without labels.
    """

    form: ByteForm
    training: Sequence[ByteStream]
    rest: Sequence[ByteStream]
    phones: int = 0

    @property
    def slots(self) -> int:
        """Bytes of a frame; 1 where there are no frames."""
        return self.form.slots

    @property
    def bytes_a_second(self) -> float:
        """Of the speech to learn from."""
        seconds = sum(stream.seconds for stream in self.training)
        return sum(len(stream.bytes) for stream in self.training) / seconds

    @property
    def rest_seconds(self) -> float:
        """Of held-out speech."""
        return sum(stream.seconds for stream in self.rest)


def as_bytes(tokens: np.ndarray, size: int) -> np.ndarray:
    """Codes as bytes.

    Args:
        tokens: (K, T) integers of K codebooks.
        size: Entries of each codebook.

    Returns:
        (T · K · bytes of a code,) uint8, frame by frame, codebook by codebook.
    """
    number = bytes_of_a_code(size)
    shifts = 8 * np.arange(number - 1, -1, -1)
    whole = (tokens.T[:, :, None].astype(np.int64) >> shifts) & 0xFF
    return whole.astype(np.uint8).ravel()


def as_tokens(stream: np.ndarray, books: int, size: int) -> np.ndarray:
    """Bytes as codes again.

    Args:
        stream: As `as_bytes` gives it; a frame that is cut short is dropped.
        books: Codebooks, K.
        size: Entries of each; what no code stands for becomes the last one.

    Returns:
        (K, T) integers.
    """
    number = bytes_of_a_code(size)
    frames = len(stream) // (books * number)
    parts = stream[: frames * books * number].reshape(frames, books, number).astype(np.int64)
    codes = (parts << (8 * np.arange(number - 1, -1, -1))).sum(2)
    return np.ascontiguousarray(np.minimum(codes, size - 1).T)


def bytes_of_a_code(size: int) -> int:
    """How many bytes number every entry of a codebook."""
    return max(1, -(-(size - 1).bit_length() // 8))


def streams_of(
    system: System,
    recordings: Sequence[Recording],
    labels: Mapping[str, list[Interval]] | None = None,
) -> Streams | None:
    """Run a system on a corpus and keep its codes.

    Args:
        system: Whose codes are wanted.
        recordings: Of the corpus; those that cannot be used are left out.
        labels: Recording's id → its phones, where they are known.

    Returns:
        The codes; None of a system that has none.

    Raises:
        XCodec2Error: All recordings are to be learned from, or none.
    """
    parts: tuple[list[ByteStream], list[ByteStream]] = ([], [])
    names = sorted({one.phone for found in (labels or {}).values() for one in found})
    number = {name: place for place, name in enumerate(names, UNKNOWN + 1)}
    encode = system.only_encoded if isinstance(system, TokenizerSystem) else system
    form = None
    for recording in recordings:
        try:
            waveform, _ = load_recording(recording)
            decoded = encode(waveform)
        except Exception:  # a foreign codec may raise anything; its row of the run says what
            continue
        form = ByteForm.of(decoded)
        if form is None:
            return None
        written = form.stream(decoded)
        sizes, seconds = form.sizes(written), len(waveform) / SAMPLE_RATE
        named = phone_of_frames(
            (labels or {}).get(recording.id, []), len(sizes), len(sizes) / seconds
        )
        phones = np.array([number[one] if one else UNKNOWN for one in named], np.int64)
        columns = (recording.columns.get(name) for name in ("text", "language"))
        text, language = (one if isinstance(one, str) and one.strip() else None for one in columns)
        stream = ByteStream(written, sizes, phones, seconds, text, language)
        parts[not for_training(recording.id)].append(stream)
    if form is None or not all(parts):
        raise XCodec2Error(
            f"{system.name}: a language model needs recordings to learn from and others to be "
            f"measured on; there are {len(parts[0])} and {len(parts[1])}"
        )
    return Streams(form, *parts, len(names))
