"""Sessions that encode or decode as sound or codes arrive.

>>> stream = model.encoder_stream(48_000)
>>> for chunk in microphone:
...     codes = stream.push(chunk)
>>> codes = stream.finish()

Where `model.receptive_field` is finite, what comes out is what `encode` or `decode` gives for the
whole, each frame is computed once, and many sessions take their steps as one batch (`push_all`).
Elsewhere windows run, one session after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xcodec2.audio.stream import AudioStream
from xcodec2.codec.compiled.streams import frames_of_codes, frames_of_speech
from xcodec2.codec.frames import MAX_STEP, STEP, Frames, drain
from xcodec2.codec.inference import compiled, frames, streams, window_encoder
from xcodec2.codec.inference.engine import engine_of
from xcodec2.codec.inference.streams import WindowDecoder, check_window
from xcodec2.codec.inference.window_encoder import WindowEncoder
from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2.model import XCodec2Model

NOTHING = torch.empty(0, dtype=torch.float32, device="cpu")

__all__ = ["DecoderStream", "EncoderStream", "finish_all", "push_all"]


def __dir__() -> list[str]:
    return sorted(__all__)


class EncoderStream:
    """One recording that is encoded as it arrives; `model.encoder_stream` makes it.

    Args:
        model: Which encodes.
        sample_rate: Of the chunks, in Hz; other rates than the model's are resampled as they come.
        step: Frames whose codes are computed together: more cost less, and come later.
        look_back: Frames before them that each window sees; only where the receptive field has no
            limit.
        look_ahead: Frames behind them, likewise; a finite field says itself how far it looks.

    Raises:
        XCodec2Error: The model has no encoder, the rate is none, or a window has no size.
    """

    def __init__(
        self,
        model: XCodec2Model,
        sample_rate: int,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> None:
        model.require_encoder()
        self.model, self.config = model, model.config
        self.audio = AudioStream(sample_rate, self.config.input_rate)
        self.waiting: list[np.ndarray] = []  # less than a frame, which is not worth a call
        self.state: Frames[Any] | WindowEncoder
        self.engine = engine_of(model)  # None where PyTorch takes the steps
        if field := model.receptive_field:
            step = STEP if step is None else step
            check_window(step, 0, field.encoder_ahead, least=0)
            self.state = frames_of_speech(self.config, step)
            self.latency = (step + field.encoder_ahead) / model.frame_rate
        else:
            defaults = window_encoder.STEP, window_encoder.LOOK_BACK, window_encoder.LOOK_AHEAD
            step, look_back, look_ahead = with_defaults((step, look_back, look_ahead), defaults)
            self.state = WindowEncoder(model, step, look_back, look_ahead)
            self.latency = (step + look_ahead) / model.frame_rate
        self.finished = False
        self.held: list[Tensor] = []  # results that no call has given yet

    def push(self, chunk: Any) -> Tensor:
        """Take in a chunk, and give the codes that are final by now.

        Args:
            chunk: (n,) samples of any float or integer type, also none.

        Returns:
            (t,) int32, possibly none.

        Raises:
            XCodec2Error: The chunk is not 1-D audio, or the stream is finished.
        """
        return push_all([self], [chunk])[0]

    def finish(self) -> Tensor:
        """End the recording: the last codes, (t,) int32.

        Raises:
            XCodec2Error: It was empty or too short, or is finished already.
        """
        return finish_all([self])[0]

    def check(self, chunk: Any) -> np.ndarray:
        """A chunk in the form that `accept` takes; raises XCodec2Error, and keeps nothing of it."""
        return self.audio.check(chunk)

    def accept(self, samples: np.ndarray) -> None:
        """Take in what was checked, and compute nothing yet."""
        self.waiting.append(self.audio.push(samples))
        if sum(map(len, self.waiting)) >= self.config.hop:
            self.hand_over()

    def hand_over(self) -> None:
        """Let the frames have the samples that wait."""
        if self.waiting:
            samples = np.concatenate(self.waiting)
            if isinstance(self.state, Frames):
                self.state.add(samples)
            else:
                self.state.add(torch.from_numpy(samples))
        self.waiting = []

    def check_end(self) -> None:
        """Raise XCodec2Error where there is too little audio to end with."""
        num_samples = self.audio.total
        if not self.config.frames(num_samples):
            raise XCodec2Error(
                f"the stream has {num_samples} samples at {self.config.input_rate} Hz; "
                f"this model needs at least {self.config.min_samples}"
            )

    def end(self) -> None:
        """No chunk will follow."""
        self.waiting.append(self.audio.finish())
        num_samples = self.audio.given
        self.hand_over()
        if isinstance(self.state, Frames):
            results = self.config.frames(num_samples)
            self.state.end(self.config.padded_frames(num_samples), results)
        else:
            self.state.end()

    def release(self) -> Tensor:
        """The codes that no call has given yet, (t,) int32."""
        codes = torch.cat([codes.to(torch.int32) for codes in self.held])
        self.held = []
        return codes


class DecoderStream:
    """One row of codes that is decoded as it arrives; `model.decoder_stream` makes it.

    Args:
        model: Which decodes.
        step: Frames that are computed together: more cost less, and come later.
        look_back: Frames before them that each window sees; only where the receptive field has no
            limit.
        look_ahead: Frames behind them, likewise; a finite field says itself how far it looks.

    Raises:
        XCodec2Error: A window has no size.
    """

    def __init__(
        self,
        model: XCodec2Model,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> None:
        self.model = model
        self.given = 0  # codes
        self.state: Frames[Any] | WindowDecoder
        self.engine = engine_of(model)
        if field := model.receptive_field:
            step = STEP if step is None else step
            check_window(step, 0, field.decoder_ahead, least=0)
            self.state = frames_of_codes(model.config, step)
            self.latency = (step + field.decoder_ahead) / model.frame_rate
        else:
            defaults = streams.STEP, streams.LOOK_BACK, streams.LOOK_AHEAD
            step, look_back, look_ahead = with_defaults((step, look_back, look_ahead), defaults)
            self.state = WindowDecoder(model, step, look_back, look_ahead)
            self.latency = (step + look_ahead) / model.frame_rate
        self.finished = False
        self.held: list[Tensor] = []  # results that no call has given yet

    def push(self, codes: Any) -> Tensor:
        """Take in codes, and give the samples that are final by now.

        Args:
            codes: Of any number, also one or none, in any form that `model.decode` takes.

        Returns:
            (n,) float32 at the model's rate, possibly none.

        Raises:
            XCodec2Error: They are not codes of this model, or the stream is finished.
        """
        return push_all([self], [codes])[0]

    def finish(self) -> Tensor:
        """End the stream: the last samples, (n,) float32; none where there were no codes.

        Raises:
            XCodec2Error: It is finished already.
        """
        return finish_all([self])[0]

    def check(self, codes: Any) -> Tensor:
        """Codes in the form that `accept` takes; raises XCodec2Error, and keeps nothing of them."""
        return self.model.chunk_codes(codes)

    def accept(self, codes: Tensor) -> None:
        """Take in what was checked, and compute nothing yet."""
        self.given += len(codes)
        if isinstance(self.state, Frames):
            self.state.add(codes.cpu().numpy())
        else:
            self.state.add(codes)

    def check_end(self) -> None:
        """Any number of codes is enough."""

    def end(self) -> None:
        """No codes will follow."""
        if isinstance(self.state, WindowDecoder):
            self.state.end()
        elif self.given:
            self.state.end(self.given, self.given)

    def release(self) -> Tensor:
        """The samples that no call has given yet, (n,) float32."""
        samples = torch.cat([samples.float() for samples in self.held])
        self.held = []
        return samples


Stream = EncoderStream | DecoderStream


def push_all(sessions: Sequence[Stream], chunks: Sequence[Any]) -> list[Tensor]:
    """Push one chunk into each of many sessions, which then compute their frames together.

    Args:
        sessions: Of any models and ages, each once.
        chunks: As many, each as `push` takes it.

    Returns:
        What `push` of each returns.

    Raises:
        XCodec2Error: A chunk is refused; then no session has taken any. Or a session overflowed;
            then it is finished, and the others give what they have in the next call.
    """
    if len(sessions) != len(chunks):
        raise XCodec2Error(f"{len(sessions)} sessions need as many chunks, not {len(chunks)}")
    check_open(sessions)
    checked = [session.check(chunk) for session, chunk in zip(sessions, chunks, strict=True)]
    for session, values in zip(sessions, checked, strict=True):
        session.accept(values)  # type: ignore[arg-type]  # each its own kind
    return results_of(sessions)


def finish_all(sessions: Sequence[Stream]) -> list[Tensor]:
    """End many sessions, which compute their last frames together.

    Args:
        sessions: Each once.

    Returns:
        What `finish` of each returns.

    Raises:
        XCodec2Error: A session is finished already, or one that encodes had too little audio; then
            none is ended. Or one overflowed, as in `push_all`.
    """
    check_open(sessions)
    for session in sessions:
        session.check_end()
    for session in sessions:
        session.end()
        session.finished = True
    return results_of(sessions)


def check_open(sessions: Sequence[Stream]) -> None:
    """Raise XCodec2Error where a session is finished, or comes twice."""
    if any(session.finished for session in sessions):
        raise XCodec2Error("the stream is finished: begin another")
    if len({id(session) for session in sessions}) < len(sessions):
        raise XCodec2Error("a session is there twice: push its chunks one after the other")


def results_of(sessions: Sequence[Stream]) -> list[Tensor]:
    """What each session can give now: those of one model and kind compute as one batch."""
    groups: dict[tuple[int, int, bool], list[int]] = {}
    results: dict[int, Tensor] = {}
    for index, session in enumerate(sessions):
        if isinstance(session.state, Frames):
            key = id(session.model), id(session.engine), isinstance(session, EncoderStream)
            groups.setdefault(key, []).append(index)
        else:
            parts = list(session.state.pieces())
            results[index] = torch.cat(parts) if parts else NOTHING
    for members in groups.values():
        states = [sessions[index].state for index in members]
        pieces = drain([s for s in states if isinstance(s, Frames)], runner(sessions[members[0]]))
        for index, arrays in zip(members, pieces, strict=True):
            results[index] = torch.from_numpy(np.concatenate(arrays)) if arrays else NOTHING
    for index, session in enumerate(sessions):
        session.held.append(results[index])
    for session in sessions:
        if isinstance(session.state, Frames) and session.state.problem is not None:
            session.finished = True
            raise session.state.problem
    return [session.release() for session in sessions]


def runner(session: Stream) -> Callable[[Sequence[Frames[Any]], int], list[Any]]:
    """What gives frames of sessions like this one to the layers."""
    encodes, engine = isinstance(session, EncoderStream), session.engine
    if engine is None:
        return partial(frames.encode_frames if encodes else frames.decode_frames, session.model)
    run = compiled.encode_frames if encodes else compiled.decode_frames
    return partial(run, session.model, engine)


def codes_as_they_come(session: EncoderStream, chunks: Iterable[Any]) -> Iterator[Tensor]:
    """What `stream_encode` gives: chunks of audio → chunks of codes (t,) int32, none empty."""
    for chunk in chunks:
        samples = session.check(chunk)
        for start in range(0, len(samples), session.audio.rate):  # a second, however much came
            codes = session.push(samples[start : start + session.audio.rate])
            if len(codes):
                yield codes
    codes = session.finish()
    if len(codes):
        yield codes


def sound_as_it_comes(session: DecoderStream, chunks: Iterable[Any]) -> Iterator[Tensor]:
    """What `stream_decode` gives: chunks of codes → chunks of samples (n,) float32, none empty."""
    for chunk in chunks:
        for codes in session.check(chunk).split(MAX_STEP):
            session.accept(codes)
            yield from pieces_of(session)
    session.end()
    session.finished = True
    yield from pieces_of(session)


def pieces_of(session: DecoderStream) -> Iterator[Tensor]:
    """What a session can give now, window by window where it has windows."""
    if isinstance(session.state, WindowDecoder):
        yield from session.state.pieces()
    elif len(samples := results_of([session])[0]):
        yield samples


def with_defaults(
    given: tuple[int | None, int | None, int | None], defaults: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Step, look-back and look-ahead: the default of each that is None."""
    step, back, ahead = (d if g is None else g for g, d in zip(given, defaults, strict=True))
    return step, back, ahead
