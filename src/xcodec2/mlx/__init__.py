"""The codec on MLX: Apple's chips, and the CPUs of Linux.

Examples:
    >>> from xcodec2.mlx import MlxCodec
    >>> codec = MlxCodec.from_pretrained("nano", decoder="float16")
    >>> codes = codec.encode(waveform, 16_000)   # (N,) float → (T,) int64
    >>> waveform = codec.decode(codes)           # float32 at codec.sample_rate
"""

from __future__ import annotations

from xcodec2.extras import require

require("mlx.core", extra="mlx", purpose="xcodec2.mlx")

from xcodec2.mlx.codec import MlxCodec, MlxDecoderStream, MlxEncoderStream  # noqa: E402

__all__ = ["MlxCodec", "MlxDecoderStream", "MlxEncoderStream"]


def __dir__() -> list[str]:
    return sorted(__all__)
