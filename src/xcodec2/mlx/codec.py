"""`MlxCodec`: audio in, codes out, and back, by MLX; whole recordings and streams.

N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import numpy as np
import torch
import torch.nn.functional as F

from xcodec2.audio.io import load_audio
from xcodec2.checked_codes import checked_step, is_empty
from xcodec2.codec.quantizer import bound_twice, center, digits_to_codes
from xcodec2.codec.rates import Rates
from xcodec2.codes import Codes, given_codes
from xcodec2.errors import XCodec2Error
from xcodec2.mlx.decoder import MlxDecoder
from xcodec2.mlx.encoder import MlxEncoder, Samples
from xcodec2.mlx.step import UNKNOWN, Step
from xcodec2.mlx.weights import MlxWeights
from xcodec2.model import XCodec2Model

DecoderType = Literal["float32", "float16", "bfloat16", "int8", "int4"]
DECODER_TYPES: dict[str, tuple[mx.Dtype, int]] = {
    "float32": (mx.float32, 0),
    "float16": (mx.float16, 0),
    "bfloat16": (mx.bfloat16, 0),
    "int8": (mx.float16, 8),
    "int4": (mx.float16, 4),
}
EXACT = (
    "quantizer.",
    *(f"acoustic_decoder.{part}." for part in ("fc", "embed", "norm", "upsampler", "head")),
)
STEP, MAX_STEP = 4, 50  # frames
MAX_FRAMES = 3001  # in one pass, where the receptive field has no limit


class MlxCodec(Rates):
    """One model, run by MLX on its default device; `from_pretrained` makes it.

    The encoder always computes in float32. Features are computed by PyTorch on the CPU.

    Args:
        model: A whole model, float32, whose weights are copied.
        decoder: What the decoder is held in: "float32", "float16", "bfloat16", or "int8" and
            "int4", whose scales and other weights are float16, on a CPU float32.

    Raises:
        XCodec2Error: The decoder's type is none of these, or the model has no encoder.
    """

    def __init__(self, model: XCodec2Model, decoder: DecoderType = "float32") -> None:
        if decoder not in DECODER_TYPES:
            raise XCodec2Error(f"decoder is one of {', '.join(DECODER_TYPES)}, not {decoder!r}")
        model.require_encoder()
        self.config, self.model_id = model.config, model.model_id
        self.weights_hash, self.levels = model.weights_hash, model.config.levels
        self.identity = model.identity
        state = model.state_dict()
        inside = {key for key in state if key.startswith("acoustic_decoder.")}
        exact = {key for key in state if key.startswith(EXACT)}
        dtype, bits = DECODER_TYPES[decoder]
        if bits and mx.default_device() == mx.Device(mx.cpu):
            dtype = mx.float32  # products with float16 scales take many times as long there
        encoder = {key: state[key] for key in state if key not in inside}
        self.encoder = MlxEncoder(MlxWeights(encoder, mx.float32), self.config)
        self.decoder = MlxDecoder(
            MlxWeights({key: state[key] for key in inside - exact}, dtype, bits),
            MlxWeights({key: state[key] for key in exact}, mx.float32),
            self.config,
            model.acoustic_decoder.head.loudest,
        )

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path = "nano", *, decoder: DecoderType = "float32"
    ) -> MlxCodec:
        """Load any checkpoint that `XCodec2Model.from_pretrained` loads.

        Args:
            name_or_path: "nano" (bundled), a folder, a checkpoint file, or a Hub id.
            decoder: What the decoder is held in.

        Raises:
            XCodec2Error: It cannot be loaded.
        """
        return cls(XCodec2Model.from_pretrained(name_or_path), decoder)

    def encode(self, audio: Any, sample_rate: int | None = None) -> np.ndarray:
        """Speech → codes (T,) int64.

        Args:
            audio: What `XCodec2Model.encode` takes, a single one.
            sample_rate: In Hz, needed for arrays.

        Raises:
            XCodec2Error: The audio cannot be read or is too short, or longer than a minute where
                the receptive field has no limit.
        """
        waveform = load_audio(audio, sample_rate, target_rate=self.config.input_rate).waveform
        frames = self.config.frames(len(waveform))
        if not frames:
            raise XCodec2Error(
                f"the audio has {len(waveform)} samples at {self.config.input_rate} Hz; "
                f"this model needs at least {self.config.min_samples}"
            )
        if self.config.receptive_field is not None and frames > MAX_STEP:
            stream = self.encoder_stream(step=MAX_STEP)
            return np.concatenate([stream.push(waveform.numpy()), stream.finish()])
        self.check_length(frames)
        padding = self.config.padded_samples(len(waveform)) - len(waveform)
        return self.codes_of(self.encoder.whole(F.pad(waveform, (0, padding))))[:frames]

    def decode(self, codes: Any) -> np.ndarray:
        """Codes → waveform (T·output_hop,) float32 at `sample_rate`, cut to the length of what was
        encoded where Codes say it.

        Args:
            codes: Codes, or integers (T,) as an array, a tensor or a list.

        Raises:
            XCodec2Error: They are no codes of this model, or more than a minute's where the
                receptive field has no limit.

        Warns:
            CodesWarning: The codes come from other weights, or at another frame rate.
        """
        found = self.as_codes(codes)
        size, row = found.decoded_samples(self.sample_rate), found.array
        if self.config.receptive_field is not None and len(row) > MAX_STEP:
            stream = self.decoder_stream(step=MAX_STEP)
            return np.concatenate([stream.push(row), stream.finish()])[:size]
        self.check_length(len(row))
        return np.array(self.decoder(mx.array(row.astype(np.int64))))[:size]

    def encoder_stream(self, step: int = STEP) -> MlxEncoderStream:
        """A session that encodes one recording at the input rate as it arrives.

        Args:
            step: Frames that are computed together.

        Raises:
            XCodec2Error: The receptive field has no limit.
        """
        return MlxEncoderStream(self, step)

    def decoder_stream(self, step: int = STEP) -> MlxDecoderStream:
        """A session that decodes codes as they arrive.

        Args:
            step: Frames that are computed together.

        Raises:
            XCodec2Error: The receptive field has no limit.
        """
        return MlxDecoderStream(self, step)

    def codes_of(self, projected: mx.array) -> np.ndarray:
        """(T, K) → (T,) int64, rounded where the others round: by PyTorch on the CPU.

        Raises:
            XCodec2Error: A number is not finite.
        """
        numbers = torch.from_numpy(np.array(projected))
        bounded = bound_twice(numbers, self.levels)
        if not bounded.isfinite().all():
            raise XCodec2Error("encoding overflowed: the audio is too loud")
        digits = bounded.round() + center(self.levels, bounded.device, bounded.dtype)
        return digits_to_codes(digits.long(), self.levels).numpy()

    def check_length(self, frames: int) -> None:
        """Raise XCodec2Error for more than fits into one pass."""
        if frames > MAX_FRAMES:
            raise XCodec2Error(
                f"{frames} frames are too long for one pass of a model whose receptive field has "
                f"no limit; give parts of up to {MAX_FRAMES}"
            )

    def as_codes(self, codes: Any) -> Codes:
        """Of one recording; raises CodesError for what this model does not have."""
        return given_codes(codes, self.identity)


class MlxStream:
    """What both directions share; as `xcodec2.onnx.streaming.OnnxStream`."""

    def __init__(self, codec: MlxCodec, step: int, delay: int) -> None:
        if codec.config.receptive_field is None:
            raise XCodec2Error(
                f"{codec.model_id} sees without limit and cannot stream on MLX; "
                "XCodec2Model streams it in windows"
            )
        self.codec, self.size, self.delay = codec, checked_step(step), delay
        self.caches: list[mx.array] = []
        self.done, self.known = 0, 0  # frames given to the layers, and there
        self.length: int | None = None

    def steps(self) -> Iterator[tuple[Step, int, slice]]:
        """Steps for the frames that are ready, their sizes, and which results are final."""
        while True:
            if self.length is not None:
                ready = self.length + self.delay - self.done
            else:
                ready = (self.known - self.done) // self.size * self.size
            count = min(ready, MAX_STEP)
            if count < 1:
                return
            step = Step(self.done, UNKNOWN if self.length is None else self.length, self.caches)
            time = self.done - self.delay
            skipped = min(max(-time, 0), count)
            stop = count if self.length is None else min(count, self.length - time)
            yield step, count, slice(skipped, max(stop, skipped))
            mx.eval(step.left)
            self.caches = step.left
            self.done += count

    def check_open(self) -> None:
        """Raise XCodec2Error behind the end."""
        if self.length is not None:
            raise XCodec2Error("the stream is finished: begin another")


class MlxEncoderStream(MlxStream):
    """One recording that is encoded as it arrives; `MlxCodec.encoder_stream` makes it."""

    def __init__(self, codec: MlxCodec, step: int = STEP) -> None:
        field = codec.config.receptive_field
        super().__init__(codec, step, field.encoder_ahead if field else 0)
        self.samples, self.num_samples = Samples(), 0

    def push(self, chunk: Any) -> np.ndarray:
        """Take in samples (n,) at the input rate; give the codes that are final, (t,) int64.

        Raises:
            XCodec2Error: They are no finite floats, or the stream is finished.
        """
        self.check_open()
        wave = np.asarray(chunk)
        if wave.ndim != 1 or wave.dtype.kind != "f" or not np.isfinite(wave).all():
            raise XCodec2Error(
                f"a chunk of audio is finite floats (n,), not {wave.dtype} of shape {wave.shape}"
            )
        self.num_samples += len(wave)
        fresh = torch.from_numpy(wave.astype(np.float32))
        self.samples.values = torch.cat([self.samples.values, fresh])
        self.known = self.num_samples // self.codec.config.hop
        return self.codes()

    def finish(self) -> np.ndarray:
        """End the recording: the last codes, (t,) int64.

        Raises:
            XCodec2Error: There was too little audio, or it is finished already.
        """
        self.check_open()
        config = self.codec.config
        if not config.frames(self.num_samples):
            raise XCodec2Error(
                f"the stream has {self.num_samples} samples; "
                f"this model needs at least {config.min_samples}"
            )
        self.length = config.padded_frames(self.num_samples)
        return self.codes()

    def codes(self) -> np.ndarray:
        """What is final now."""
        config, found = self.codec.config, [np.zeros(0, np.int64)]
        length = UNKNOWN if self.length is None else self.length
        for step, count, final in self.steps():
            projected = self.codec.encoder.step(self.samples, self.done, count, length, step)
            if self.length is not None:  # NeuCodec's last frame has no code
                last = config.frames(self.num_samples) - (self.done - self.delay)
                final = slice(final.start, min(final.stop, last))
            if final.stop > final.start:
                found.append(self.codec.codes_of(projected[final]))
        self.forget()
        return np.concatenate(found)

    def forget(self) -> None:
        """Drop samples that no frame to come sees."""
        hop = self.codec.config.hop
        keep = max((self.done - 4) * hop - self.samples.first, 0)
        self.samples.values, self.samples.first = (
            self.samples.values[keep:],
            self.samples.first + keep,
        )


class MlxDecoderStream(MlxStream):
    """One row of codes that is decoded as it arrives; `MlxCodec.decoder_stream` makes it."""

    def __init__(self, codec: MlxCodec, step: int = STEP) -> None:
        field = codec.config.receptive_field
        super().__init__(codec, step, field.decoder_ahead if field else 0)
        self.rows = np.zeros(0, np.int64)  # not given to the layers yet

    def push(self, codes: Any) -> np.ndarray:
        """Take in codes (t,), also none; give the samples that are final, (n,) float32.

        Raises:
            XCodec2Error: They are no codes of this model, or the stream is finished.
        """
        self.check_open()
        if is_empty(codes):
            return np.zeros(0, np.float32)
        fresh = self.codec.as_codes(codes).array
        self.rows = np.concatenate([self.rows, fresh])  # int64 and int32: int64
        self.known += len(fresh)
        return self.sound()

    def finish(self) -> np.ndarray:
        """End the stream: the last samples, (n,) float32; none where there were no codes.

        Raises:
            XCodec2Error: It is finished already.
        """
        self.check_open()
        self.length = self.known
        return self.sound() if self.known else np.zeros(0, np.float32)

    def sound(self) -> np.ndarray:
        """What is final now."""
        hop, found = self.codec.config.output_hop, [np.zeros(0, np.float32)]
        for step, count, final in self.steps():
            given, self.rows = self.rows[:count], self.rows[count:]
            given = np.pad(given, (0, count - len(given)))  # behind the end
            waveform = self.codec.decoder(mx.array(given), step)
            found.append(np.array(waveform[final.start * hop : final.stop * hop]))
        return np.concatenate(found)
