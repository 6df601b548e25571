"""Streams of a model on a CPU in float32, by the engine in place of PyTorch: a few frames at a time
cost PyTorch more for each operation than for its arithmetic.

Codes and samples are the same up to rounding, which `certain` settles for codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from xcodec2.codec.compiled.streams import Between, CompiledSteps
from xcodec2.codec.constants import TOLERANCE
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
    projected = steps.project(streams, count)
    codes, margins = steps.codec.levels.codes(projected)
    results = []
    for row, stream in enumerate(streams):
        final = stream.final(count)
        found = codes[row, final]
        if not np.isfinite(projected[row, final]).all():
            peak = np.abs(stream.between(stream.done - count, stream.done)).max()
            stream.problem = encoding_overflowed(network, float(peak))
        time = stream.done - count - stream.delay + final.start
        for frame in np.flatnonzero(margins[row, final] < TOLERANCE).tolist():
            with inference(network):
                found[frame] = code_of_stream(network, stream, time + frame)
        results.append(found)
        stream.forget()
    return results


def decode_frames(
    network: CodecNetwork, steps: CompiledSteps, streams: Sequence[EngineFrames], count: int
) -> list[Array]:
    """Give the decoder the next `count` codes of each stream → samples (t·output_hop,) float32 that
    are final.
    """
    hop, sound = network.config.output_hop, steps.sound(streams, count)
    results = []
    for row, stream in enumerate(streams):
        final = stream.final(count)
        samples = sound[row, final.start * hop : final.stop * hop]
        if not np.isfinite(samples).all():
            stream.problem = decoding_overflowed(network)
        results.append(samples)
        stream.forget()
    return results
