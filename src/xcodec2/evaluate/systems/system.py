"""What a system is, and one of any Python function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from xcodec2.evaluate.audio import SAMPLE_RATE


@dataclass(frozen=True)
class Decoded:
    """What a system gave back.

    Attributes:
        waveform: (M,) float32.
        sample_rate: Its rate in Hz.
        bits: How many it took in between, where that is known.
        codes: (T,) integers, where there are some of a single codebook.
        tokens: (codebooks, T) integers, where there are some.
        codebook_size: Entries of each codebook of `tokens`.
        written: What a codec without tokens wrote; where it writes packets of any length, each
            behind its size.
        slots: Bytes of a frame of `written`, where all are of one length.
        packets: Whether `written` is of packets.
    """

    waveform: np.ndarray
    sample_rate: int = SAMPLE_RATE
    bits: float | None = None
    codes: np.ndarray | None = None
    tokens: np.ndarray | None = None
    codebook_size: int | None = None
    written: bytes | None = None
    slots: int = 1
    packets: bool = False


class System(Protocol):
    """Something to evaluate.

    Attributes:
        name: For tables.
        implementation: What it is, with versions.
        key: What its results depend on, for the resume of an interrupted run.
    """

    name: str
    implementation: str
    key: str

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """Speech there and back, (N,) float32 at 16 kHz."""
        ...


@runtime_checkable
class Speaks(Protocol):
    """A system that also decodes what nobody has encoded: tokens or bytes of a language model."""

    def speak(self, coded: Any) -> np.ndarray:
        """Tokens, (codebooks, T) integers, or bytes as in `Decoded.written`, → (M,) at 16 kHz."""
        ...


class FunctionSystem:
    """Any callable, there and back.

    Its code cannot be told by a digest: give another `version` when it changes, or old results are
    taken for its own.

    Args:
        name: For tables.
        function: (N,) float32 at 16 kHz → (M,) floats at `sample_rate`.
        sample_rate: In Hz.
        bit_rate: Bits a second, where they are known.
        version: What it is now.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[np.ndarray], Any],
        *,
        sample_rate: int = SAMPLE_RATE,
        bit_rate: float | None = None,
        version: str = "1",
    ) -> None:
        self.name, self.function = name, function
        self.sample_rate, self.bit_rate = sample_rate, bit_rate
        self.implementation = f"a Python function, version {version}"
        self.key = f"function:{name}:{version}"

    def __call__(self, waveform: np.ndarray) -> Decoded:
        """The function's result."""
        decoded = np.asarray(self.function(waveform.copy()), dtype=np.float32)
        bits = None if self.bit_rate is None else self.bit_rate * len(waveform) / SAMPLE_RATE
        return Decoded(decoded, self.sample_rate, bits)
