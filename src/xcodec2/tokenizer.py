"""What every speech tokenizer can do, whoever made it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np

__all__ = ["SpeechTokenizer"]


def __dir__() -> list[str]:
    return sorted(__all__)


@runtime_checkable
class SpeechTokenizer(Protocol):
    """Speech → codes → speech.

    `xcodec2.XCodec2Model`, `xcodec2.onnx.OnnxCodec` and codecs of transformers in the evaluation
    satisfy it; so does any object with these five names.
    """

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms that `decode` gives."""
        ...

    @property
    def frame_rate(self) -> float:
        """Codes a second, of each codebook."""
        ...

    @property
    def codebook_size(self) -> int:
        """Codes are in 0 … codebook_size - 1."""
        ...

    def encode(self, audio: Any, sample_rate: int) -> Any:
        """Turn speech into codes.

        Args:
            audio: (N,) floats in -1 … 1.
            sample_rate: In Hz.

        Returns:
            (T,) integers, or (codebooks, T), as an array, a tensor, or an object with them as its
            `codes`.
        """
        ...

    def decode(self, codes: Any) -> Any:
        """Turn codes into speech.

        Args:
            codes: What `encode` gave.

        Returns:
            (M,) floats, as an array or a tensor.
        """
        ...


def as_array(result: Any) -> np.ndarray:
    """What a tokenizer's `encode` or `decode` gave, as NumPy has it.

    Args:
        result: An array, a tensor on any device, or an object with either as its `codes`.

    Returns:
        The array.
    """
    values = getattr(result, "codes", result)
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
