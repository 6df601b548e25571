"""Steps of streams by the engine: some new frames of each, with what their last steps left.

B streams, t frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xcodec2.codec.compiled.arithmetic import kaldi_fbank, log_spectra, normalized, stacked
from xcodec2.codec.compiled.codec import CompiledCodec
from xcodec2.codec.compiled.program import Array, Program, ProgramState
from xcodec2.codec.config import FEATURE_HOP, XCodec2Config
from xcodec2.codec.constants import MIN_ENVELOPE, SPECTRA_SIDE, TOLERANCE
from xcodec2.codec.frames import MAX_STEP, STEP, Frames
from xcodec2.errors import XCodec2Error


@dataclass
class Between:
    """What is kept of one stream between its steps.

    Attributes:
        state: By the layers.
        windows: (2 · late, n_fft), the windowed frames of the inverse STFT that still overlap.
    """

    state: ProgramState
    windows: Array


class CompiledSteps:
    """A codec with a finite receptive field, whose streams take steps.

    Args:
        codec: The codec.
    """

    def __init__(self, codec: CompiledCodec) -> None:
        self.codec, self.config = codec, codec.config
        self.late = self.config.n_fft // self.config.output_hop // 2
        ones = np.ones((1, 4 * self.late + 1, 1), np.float32)
        self.envelope = self.hop_of(codec.synthesis.power * ones, 1)  # where all frames are inside

    # ---- encoder --------------------------------------------------------------------------------

    @cached_property
    def sides(self) -> tuple[int, int, int]:
        """Samples before and behind its frames that the fbank sees, and frames it waits for."""
        before = self.config.feature_padding
        behind = 2 * FEATURE_HOP - before
        return before, behind, math.ceil(behind / self.config.hop)

    def project(self, streams: Sequence[Frames[Between]], count: int) -> Array:
        """Give the encoder the next `count` frames of each → (B, t, K), what is bounded next."""
        config, encoder, hop = self.config, self.codec.encoder, self.config.hop
        before, behind, late = self.sides
        wait = math.ceil(SPECTRA_SIDE / hop)
        starts = [stream.done for stream in streams]
        heard = np.stack([
            stream.span((stream.done - late) * hop - before,
                        (stream.done + count - late) * hop + behind)
            for stream in streams
        ])  # fmt: skip
        seen = np.stack([
            stream.span((stream.done - wait) * hop - SPECTRA_SIDE,
                        (stream.done + count - wait) * hop + SPECTRA_SIDE)
            for stream in streams
        ])  # fmt: skip
        stack = config.hop // FEATURE_HOP
        features = stacked(normalized(kaldi_fbank(heard), True), stack)
        spectra = stacked(log_spectra(seen), stack)
        given = [(encoder.features, features), (encoder.spectra, spectra)]
        lengths, states = [s.known for s in streams], self.states(streams, encoder.program)
        found = encoder.program.run(given, encoder.projected, states, starts, lengths)
        for stream in streams:
            stream.done += count
        return found

    # ---- decoder --------------------------------------------------------------------------------

    def sound(self, streams: Sequence[Frames[Between]], count: int) -> Array:
        """Give the decoder the next `count` codes of each → (B, t · output_hop) samples."""
        decoder = self.codec.decoder
        starts, lengths = [s.done for s in streams], [s.known for s in streams]
        codes = np.stack([stream.take(count) for stream in streams])
        values = self.codec.levels.values(codes)
        states = self.states(streams, decoder.program)
        given = [(decoder.values, values)]
        spectrum = decoder.program.run(given, decoder.spectrum, states, starts, lengths)
        return self.inverse(streams, self.codec.synthesis.frames(spectrum), starts)

    def inverse(
        self, streams: Sequence[Frames[Between]], frames: Array, starts: list[int]
    ) -> Array:
        """Windowed frames (B, t, n_fft) → the samples that no frame to come has a part in."""
        count, late = frames.shape[1], self.late
        lag = self.codec.decoder.way.lag
        earliest = min(starts) - lag - 2 * late
        inside = earliest >= 0 and all(
            start + count - lag <= s.known for start, s in zip(starts, streams, strict=True)
        )
        if not inside:
            offsets = np.arange(-2 * late, count) - lag
            times = np.array(starts)[:, None] + offsets
            valid = (times >= 0) & (times < np.array([s.known for s in streams])[:, None])
            powers = self.codec.synthesis.power * valid[..., None].astype(np.float32)
            frames = np.where(valid[:, 2 * late :, None], frames, np.float32(0))
        kept = [stream.kept for stream in streams]
        held = np.stack([k.windows for k in kept if k is not None])
        laid = np.concatenate([held, frames], axis=1)
        for k, row in zip(kept, laid, strict=True):
            assert k is not None
            k.windows = row[count:]
        summed = self.hop_of(laid, count)
        if inside:
            hops = summed.reshape(len(streams), count, -1)
            return np.asarray(hops / self.envelope).reshape(len(streams), -1)
        envelope = np.maximum(self.hop_of(powers, count), np.float32(MIN_ENVELOPE))
        return np.asarray(summed / envelope)

    def hop_of(self, frames: Array, count: int) -> Array:
        """(B, 2 · late + t, n_fft) → the t hops of samples in the middle of their sum."""
        hop = self.config.output_hop
        first = self.late * hop + (self.config.n_fft - hop) // 2
        return self.codec.synthesis.overlap_add(frames)[:, first : first + count * hop]

    # ---- both -----------------------------------------------------------------------------------

    def states(self, streams: Sequence[Frames[Between]], program: Program) -> list[ProgramState]:
        """What the layers keep of each stream, from its beginning on."""
        for stream in streams:
            if stream.kept is None:
                windows = np.zeros((2 * self.late, self.config.n_fft), np.float32)
                stream.kept = Between(program.begin(), windows)
        return [stream.kept.state for stream in streams if stream.kept is not None]


def frames_of_speech(config: XCodec2Config, step: int = STEP) -> Frames[Any]:
    """A stream of speech (n,) at the input rate, for a model with a finite receptive field."""
    field = config.receptive_field
    assert field is not None
    back = field.encoder_back + field.encoder_ahead + MAX_STEP
    return Frames(size=config.hop, step=step, delay=field.encoder_ahead, back=back)


def frames_of_codes(config: XCodec2Config, step: int = STEP) -> Frames[Any]:
    """A stream of codes (t,), likewise."""
    field = config.receptive_field
    assert field is not None
    return Frames(size=1, step=step, delay=field.decoder_ahead, dtype=np.int64)


def encode_step(
    steps: CompiledSteps,
    streams: Sequence[Frames[Between]],
    count: int,
    settle: Callable[[Frames[Between], int], int],
    overflowed: Callable[[float], XCodec2Error],
) -> list[Array]:
    """Give the encoder the next `count` frames of each stream → codes (t,) int64 that are final.

    Args:
        steps: Of the model.
        streams: Whose frames are ready.
        count: How many.
        settle: Gives the code of a stream's frame where rounding could decide.
        overflowed: What is said of sound with such a peak.
    """
    projected = steps.project(streams, count)
    codes, margins = steps.codec.levels.codes(projected)
    results = []
    for row, stream in enumerate(streams):
        final = stream.final(count)
        found = codes[row, final]
        if not np.isfinite(projected[row, final]).all():
            peak = np.abs(stream.between(stream.done - count, stream.done)).max()
            stream.problem = overflowed(float(peak))
        time = stream.done - count - stream.delay + final.start
        for frame in np.flatnonzero(margins[row, final] < TOLERANCE).tolist():
            found[frame] = settle(stream, time + frame)
        results.append(found)
        stream.forget()
    return results


def decode_step(
    steps: CompiledSteps,
    streams: Sequence[Frames[Between]],
    count: int,
    overflowed: Callable[[], XCodec2Error],
) -> list[Array]:
    """Give the decoder the next `count` codes of each stream → samples (t·output_hop,) float32 that
    are final.
    """
    hop, sound = steps.config.output_hop, steps.sound(streams, count)
    results = []
    for row, stream in enumerate(streams):
        final = stream.final(count)
        samples = sound[row, final.start * hop : final.stop * hop]
        if not np.isfinite(samples).all():
            stream.problem = overflowed()
        results.append(samples)
        stream.forget()
    return results
