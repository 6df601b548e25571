"""Streams of a small codec with a finite receptive field, without PyTorch: as `XCodec2Model`'s
`stream_encode` and `stream_decode`, chunk for chunk.

That model is loaded where rounding could decide a code, and to say what overflowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from xcodec2.audio.stream import AudioStream
from xcodec2.codec.compiled.streams import (
    CompiledSteps,
    decode_step,
    encode_step,
    frames_of_codes,
    frames_of_speech,
)
from xcodec2.codec.frames import MAX_STEP, Array, Frames, drain
from xcodec2.errors import XCodec2Error
from xcodec2.quick import QuickModel


def stream_encode(
    model: QuickModel, chunks: Iterable[Any], sample_rate: int
) -> Iterator[np.ndarray]:
    """Speech as it comes → chunks of codes (t,) int64, none empty.

    Raises:
        XCodec2Error: A chunk is not audio, or there was too little.
    """
    config, steps = model.config, CompiledSteps(model.engine)
    audio, frames = AudioStream(sample_rate, config.input_rate), frames_of_speech(config)

    def settle(stream: Frames[Any], time: int) -> int:
        from xcodec2.codec.inference.frames import code_of_stream
        from xcodec2.codec.inference.passes import inference

        with inference(model.whole):
            return code_of_stream(model.whole, stream, time)

    def overflowed(peak: float) -> XCodec2Error:
        from xcodec2.codec.inference.overflow import encoding_overflowed

        return encoding_overflowed(model.whole, peak)

    def run(streams: Any, count: int) -> list[Array]:
        return encode_step(steps, streams, count, settle, overflowed)

    for chunk in chunks:
        samples = audio.check(chunk)
        for start in range(0, len(samples), audio.rate):  # a second, however much came
            frames.add(audio.push(samples[start : start + audio.rate]))
            yield from pieces_of(frames, run)
    if not config.frames(audio.total):
        raise XCodec2Error(
            f"the stream has {audio.total} samples at {config.input_rate} Hz; "
            f"this model needs at least {config.min_samples}"
        )
    frames.add(audio.finish())
    frames.end(config.padded_frames(audio.given), config.frames(audio.given))
    yield from pieces_of(frames, run)


def stream_decode(model: QuickModel, chunks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Chunks of codes (t,) as they come → chunks of samples (n,) float32, none empty."""
    steps, frames, given = CompiledSteps(model.engine), frames_of_codes(model.config), 0

    def overflowed() -> XCodec2Error:
        from xcodec2.codec.inference.overflow import decoding_overflowed

        return decoding_overflowed(model.whole)

    def run(streams: Any, count: int) -> list[Array]:
        return decode_step(steps, streams, count, overflowed)

    for chunk in chunks:
        codes = model.as_codes(np.asarray(chunk)).array
        for start in range(0, len(codes), MAX_STEP):
            frames.add(codes[start : start + MAX_STEP])
            given += len(codes[start : start + MAX_STEP])
            yield from pieces_of(frames, run)
    if given:
        frames.end(given, given)
        yield from pieces_of(frames, run)


def pieces_of(frames: Frames[Any], run: Any) -> Iterator[np.ndarray]:
    """What a stream can give now, at most one piece."""
    (pieces,) = drain([frames], run)
    if pieces and len(found := np.concatenate(pieces)):
        yield found
    if frames.problem is not None:
        raise frames.problem
