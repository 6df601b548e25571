"""The codec as ONNX files: `xcodec2 export --to onnx` writes them, `OnnxCodec` runs them without
PyTorch.

Examples:
    >>> from xcodec2.onnx import OnnxCodec
    >>> codec = OnnxCodec("folder")
    >>> codes = codec.encode(waveform, 16_000)   # (N,) float → (T,) int64
    >>> waveform = codec.decode(codes)           # float32 at codec.sample_rate
"""

from __future__ import annotations

from xcodec2.onnx.runtime import OnnxCodec

__all__ = ["OnnxCodec"]


def __dir__() -> list[str]:
    return sorted(__all__)
