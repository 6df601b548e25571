"""What is said of results that are not finite."""

from __future__ import annotations

from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import XCodec2Error


def encoding_overflowed(network: CodecNetwork, peak: float) -> XCodec2Error:
    """What is said of audio with such a peak."""
    return XCodec2Error(
        f"encoding overflowed: the audio is too loud for {network.dtype} "
        f"(its peak is {peak:.3g}), or the model's weights are damaged"
    )


def decoding_overflowed(network: CodecNetwork) -> XCodec2Error:
    """What is said of a waveform that is not finite."""
    return XCodec2Error(
        f"decoding overflowed {network.dtype}: use float32; if it was, the weights are damaged"
    )
