"""Streams by ONNX Runtime: step graphs, whose caches go in and come out.

Only models with a finite receptive field have them. Each frame is computed once; codes are those of
`OnnxCodec.encode` for the whole, sound is that of `OnnxCodec.decode` up to rounding. t frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.checked_codes import checked_step, is_empty
from xcodec2.errors import AudioError, XCodec2Error

if TYPE_CHECKING:
    from xcodec2.onnx.runtime import Array, OnnxCodec

STEP = 4  # frames
MAX_STEP = 50  # frames given to a graph at once
UNKNOWN = 1 << 40  # length of what has not ended
ENCODER_STEP, DECODER_STEP = "encoder_step.onnx", "decoder_step.onnx"
FEEDS = ("frames", "start", "length")


class OnnxStream:
    """What both directions share: values in, frame by frame; results out as they become final.

    Args:
        codec: Whose graphs run.
        name: Of the step graph's file.
        size: Values in a frame.
        delay: Frames that results lag behind.
        back: Frames to keep before the newest.
        step: Frames that are computed together, until the end.
    """

    def __init__(
        self, codec: OnnxCodec, name: str, *, size: int, delay: int, back: int, step: int
    ) -> None:
        self.step = checked_step(step)
        self.codec, self.size, self.delay, self.back = codec, size, delay, back
        self.session = codec.step_session(name)
        self.most = codec.fixed_step or MAX_STEP
        inputs = [i for i in self.session.get_inputs() if i.name not in FEEDS]
        self.caches: dict[str, Array] = {
            i.name: np.zeros([1, *i.shape[1:]], np.float32) for i in inputs
        }
        self.values: Array = np.zeros(0)
        self.first = self.done = 0  # the frame `values` begin with; frames given to the graph
        self.length: int | None = None

    def between(self, first: int, last: int) -> Array:
        """Values of frames first … last, (n·size,), with zeros behind the end."""
        start, stop = (first - self.first) * self.size, (last - self.first) * self.size
        values = self.values[start:stop]
        return np.pad(values, (0, stop - start - len(values)))

    def run(self) -> Iterator[tuple[int, list[Array]]]:
        """Give the graph the frames that are ready: the time of the first result, and results (t,
        …) that are of the recording.
        """
        while count := min(self.ready(), self.most):
            frames = self.between(self.done, self.done + count)
            feeds = {
                "frames": frames.reshape(1, count, self.size) if self.size > 1 else frames[None],
                "start": np.array([self.done]),
                "length": np.array([UNKNOWN if self.length is None else self.length]),
            }
            found = self.session.run(None, feeds | self.caches)
            results = len(found) - len(self.caches)
            self.caches = dict(zip(self.caches, found[results:], strict=True))
            time = self.done - self.delay
            self.done += count
            skipped = min(max(-time, 0), count)
            stop = count if self.length is None else min(count, self.length - time)
            yield (
                time + skipped,
                [array[0].reshape(count, -1)[skipped:stop].flatten() for array in found[:results]],
            )
            dropped = max(self.done - self.back - self.first, 0)
            self.values, self.first = self.values[dropped * self.size :], self.first + dropped

    def ready(self) -> int:
        """Frames that can be given to the graph now."""
        if self.length is not None:
            rest = self.length + self.delay - self.done
            fixed = self.codec.fixed_step
            return -(-rest // fixed) * fixed if fixed else rest  # frames behind the end are zeros
        there = self.first + len(self.values) // self.size - self.done
        return there - there % self.step


class OnnxEncoderStream(OnnxStream):
    """One recording that is encoded as it arrives; `OnnxCodec.encoder_stream` makes it."""

    def __init__(self, codec: OnnxCodec, step: int = STEP) -> None:
        facts = codec.facts
        back = facts.encoder_back + facts.encoder_ahead + MAX_STEP
        ahead = facts.encoder_ahead
        super().__init__(codec, ENCODER_STEP, size=facts.hop, delay=ahead, back=back, step=step)
        self.values = np.zeros(0, np.float32)
        self.num_samples = 0

    def push(self, chunk: Any) -> Array:
        """Take in a chunk, and give the codes that are final by now.

        Args:
            chunk: (n,) floats at the encoder's rate, also none.

        Returns:
            (t,) int64, possibly none.

        Raises:
            AudioError: It is something else.
            XCodec2Error: The stream is finished.
        """
        wave = np.asarray(chunk)
        if wave.ndim != 1 or wave.dtype.kind != "f" or not np.isfinite(wave).all():
            raise AudioError(
                "a chunk of audio must be finite floats (n,) in -1 … 1, not "
                f"{wave.dtype} of shape {wave.shape}"
            )
        self.check_open()
        self.num_samples += len(wave)
        self.values = np.concatenate([self.values, wave.astype(np.float32, copy=False)])
        return self.codes()

    def finish(self) -> Array:
        """End the recording: the last codes, (t,) int64.

        Raises:
            AudioError: There was too little audio.
            XCodec2Error: It is finished already.
        """
        self.check_open()
        facts = self.codec.facts
        if self.num_samples < facts.shortest:
            raise AudioError(
                f"the stream has {self.num_samples} samples; "
                f"this model needs at least {facts.shortest}"
            )
        self.length = self.num_samples // facts.hop + 1
        return self.codes()

    def check_open(self) -> None:
        """Raise XCodec2Error behind the end."""
        if self.length is not None:
            raise XCodec2Error("the stream is finished: begin another")

    def codes(self) -> Array:
        """What is final now. Codes that rounding could move are found as for the whole."""
        found = []
        for time, (codes, margins) in self.run():
            if self.length is not None:  # a frame more than has a code, without feature padding
                kept = self.codec.facts.frames(self.num_samples) - time
                codes, margins = codes[: max(kept, 0)], margins[: max(kept, 0)]
            for index in np.flatnonzero(margins < self.codec.facts.tolerance):
                known = self.done if self.length is None else self.length
                codes[index] = self.codec.code_alone(time + int(index), known, self.between)
            found.append(codes)
        return np.concatenate(found) if found else np.zeros(0, np.int64)


class OnnxDecoderStream(OnnxStream):
    """One row of codes that is decoded as it arrives; `OnnxCodec.decoder_stream` makes it."""

    def __init__(self, codec: OnnxCodec, step: int = STEP) -> None:
        ahead = codec.facts.decoder_ahead
        super().__init__(codec, DECODER_STEP, size=1, delay=ahead, back=0, step=step)
        self.values = np.zeros(0, np.int64)
        self.finished, self.given = False, 0

    def push(self, codes: Any) -> Array:
        """Take in codes, and give the samples that are final by now.

        Args:
            codes: (t,) integers, also none, or Codes.

        Returns:
            (n,) float32, possibly none.

        Raises:
            XCodec2Error: They are not codes of this model, or the stream is finished.
        """
        if self.finished:
            raise XCodec2Error("the stream is finished: begin another")
        if is_empty(codes):
            return np.zeros(0, np.float32)
        row = self.codec.as_codes(codes).array
        self.values = np.concatenate([self.values, row])  # int64 and int32: int64
        self.given += len(row)
        return self.samples()

    def finish(self) -> Array:
        """End the stream: the last samples, (n,) float32.

        Raises:
            XCodec2Error: It is finished already.
        """
        if self.finished:
            raise XCodec2Error("the stream is finished: begin another")
        self.finished = True
        if self.given:
            self.length = self.given
        return self.samples()

    def samples(self) -> Array:
        """What is final now."""
        found = [samples for _, (samples,) in self.run()]
        return np.concatenate(found) if found else np.zeros(0, np.float32)


def as_it_comes(
    stream: OnnxEncoderStream | OnnxDecoderStream, chunks: Iterable[Any]
) -> Iterator[Array]:
    """What a stream gives for chunks, and at its end; nothing empty."""
    for chunk in chunks:
        if len(found := stream.push(chunk)):
            yield found
    if len(found := stream.finish()):
        yield found
