"""Codes of any codec as one stream of bytes, so that one language model fits all of them.

A code of a codebook of up to 256 entries is one byte, a larger one several, the highest first;
several codebooks are flattened, frame by frame. What a classic codec writes is bytes already.
Nothing is lost: by the chain rule, the bits of the bytes add up to the bits of the codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, load_recording
from xcodec2.evaluate.probing.split import for_training
from xcodec2.evaluate.systems.system import System

BYTE = 256


@dataclass(frozen=True)
class Streams:
    """A system's codes of a corpus, as bytes.

    Attributes:
        slots: Bytes of a frame; 1 where there are no frames.
        training: (N,) uint8 of each recording to learn from, a multiple of `slots`.
        rest: (N,) uint8 of each held-out recording.
        training_seconds: Of speech to learn from.
        rest_seconds: Of held-out speech.
        layout: How codes became bytes, for people.
    """

    slots: int
    training: list[np.ndarray]
    rest: list[np.ndarray]
    training_seconds: float
    rest_seconds: float
    layout: str

    @property
    def bytes_a_second(self) -> float:
        """Of the speech to learn from."""
        return sum(map(len, self.training)) / self.training_seconds


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


def bytes_of_a_code(size: int) -> int:
    """How many bytes number every entry of a codebook."""
    return max(1, -(-(size - 1).bit_length() // 8))


def streams_of(system: System, recordings: Sequence[Recording]) -> Streams | None:
    """Run a system on a corpus and keep its codes.

    Args:
        system: Whose codes are wanted.
        recordings: Of the corpus; those that cannot be used are left out.

    Returns:
        The codes; None of a system that has none.

    Raises:
        XCodec2Error: All recordings are to be learned from, or none.
    """
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    seconds = [0.0, 0.0]
    slots, layout = 1, "bytes that it writes"
    for recording in recordings:
        try:
            waveform, _ = load_recording(recording)
            decoded = system(waveform)
        except Exception:  # a foreign codec may raise anything; its row of the run says what
            continue
        if decoded.written is not None:
            stream = np.frombuffer(decoded.written, np.uint8)
        elif decoded.tokens is not None and decoded.codebook_size is not None:
            books, size = len(decoded.tokens), decoded.codebook_size
            slots = books * bytes_of_a_code(size)
            stream = as_bytes(decoded.tokens, size)
            layout = layout_of(books, size)
        else:
            return None
        held_out = not for_training(recording.id)
        parts[held_out].append(stream)
        seconds[held_out] += len(waveform) / SAMPLE_RATE
    if not all(parts):
        raise XCodec2Error(
            f"{system.name}: a language model needs recordings to learn from and others to be "
            f"measured on; there are {len(parts[0])} and {len(parts[1])}"
        )
    return Streams(slots, *parts, seconds[0], seconds[1], layout)


def layout_of(books: int, size: int) -> str:
    """How codes become bytes, for people."""
    number = bytes_of_a_code(size)
    code = "1 byte a code" if number == 1 else f"{number} bytes a code"
    return code if books == 1 else f"{books} codebooks flattened, {code}"
