"""Streams of a model on a CPU in float32, by the engine in place of PyTorch: a few frames at a time
cost PyTorch more for each operation than for its arithmetic.

Codes and samples are the same up to rounding, which `certain` settles for codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from xcodec2.codec.compiled.streams import Between, CompiledSteps, decode_step, encode_step
from xcodec2.codec.frames import Array, Frames
from xcodec2.codec.inference.frames import code_of_stream
from xcodec2.codec.inference.overflow import decoding_overflowed, encoding_overflowed
from xcodec2.codec.inference.passes import inference
from xcodec2.codec.network import CodecNetwork

EngineFrames: TypeAlias = Frames[Between]


def encode_frames(
    network: CodecNetwork, steps: CompiledSteps, streams: Sequence[EngineFrames], count: int
) -> list[Array]:
    """Give the encoder the next `count` frames of each stream → codes (t,) int64 that are final."""

    def settle(stream: EngineFrames, time: int) -> int:
        with inference(network):
            return code_of_stream(network, stream, time)

    return encode_step(steps, streams, count, settle, partial(encoding_overflowed, network))


def decode_frames(
    network: CodecNetwork, steps: CompiledSteps, streams: Sequence[EngineFrames], count: int
) -> list[Array]:
    """Give the decoder the next `count` codes of each stream → samples (t·output_hop,) float32 that
    are final.
    """
    return decode_step(steps, streams, count, partial(decoding_overflowed, network))
