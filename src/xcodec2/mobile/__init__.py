"""The codec for phones: `xcodec2 export --to executorch` writes it, `MobileCodec` runs the files
here, as a check and as an example for the app's own code.

Examples:
    >>> from xcodec2.mobile import MobileCodec
    >>> codec = MobileCodec("folder")
    >>> codes = codec.encode(waveform, 16_000)   # (N,) float → (T,) int64
    >>> waveform = codec.decode(codes)           # float32 at codec.sample_rate
"""

from __future__ import annotations

from xcodec2.mobile.codec import MobileCodec

__all__ = ["MobileCodec"]


def __dir__() -> list[str]:
    return sorted(__all__)
