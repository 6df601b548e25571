"""The codec as its users see it: audio in, codes out, and back.

>>> model = XCodec2Model.from_pretrained()
>>> codes = model.encode("speech.wav")
>>> waveform = model.decode(codes)

N samples, T frames (one code each).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from xcodec2 import notebook
from xcodec2.audio.io import Audio, AudioSource, load_audio
from xcodec2.checked_codes import is_empty, is_file_content
from xcodec2.codec.inference import batches
from xcodec2.codes import SPEECH_TOKEN, Codes, is_token_text
from xcodec2.compatibility import OriginalCalls
from xcodec2.errors import XCodec2Error
from xcodec2.pretrained import Pretrained
from xcodec2.printable import printable
from xcodec2.streaming import DecoderStream, EncoderStream, codes_as_they_come, sound_as_it_comes


class XCodec2Model(OriginalCalls, Pretrained):
    """XCodec2, NeuCodec, or a small model of the same shape: speech → codes → speech.

    Built from a configuration it has random weights, float32; `from_pretrained` loads trained
    ones. Called like a module it gives the reconstruction with gradients.

    Args:
        config: sizes and rates; the published XCodec2's by default.
        decoder_only: leave the encoder out (629 M → 187 M parameters at full size): no encoding.
        device: of the weights; by default that of a surrounding `with torch.device(…)`, or the CPU.
    """

    # ---- speech to codes and back ----------------------------------------------------------------

    @overload
    def encode(
        self,
        audio: AudioSource,
        sample_rate: int | None = None,
        *,
        channel: int | None = None,
        progress: batches.Progress | None = None,
    ) -> Codes: ...

    @overload
    def encode(
        self,
        audio: list[Any],
        sample_rate: int | None = None,
        *,
        channel: int | None = None,
        progress: batches.Progress | None = None,
    ) -> list[Codes]: ...

    def encode(
        self,
        audio: AudioSource | list[Any],
        sample_rate: int | None = None,
        *,
        channel: int | None = None,
        progress: batches.Progress | None = None,
    ) -> Codes | list[Codes]:
        """Speech → codes.

        Inputs of up to `batches.EXACT_FRAMES` frames get full attention, longer ones overlapping
        windows.

        Args:
            audio: a path, a bytes-like file, or a 1-D or (channels, samples) array or tensor of any
                float or integer type; rates are converted. Or a list of these.
            sample_rate: in Hz, needed for arrays and tensors.
            channel: the one to take, from 0; None averages them.
            progress: is called with the frames done and the frames in all.

        Returns:
            Codes (T,); for a list a list, each item with the codes that it has alone.

        Raises:
            XCodec2Error: the audio cannot be read, is empty, or holds NaN or infinity.
        """
        self.require_encoder()
        if isinstance(audio, list):
            loaded = [self.load_item(i, item, sample_rate, channel) for i, item in enumerate(audio)]
        else:
            loaded = [
                load_audio(audio, sample_rate, channel=channel, target_rate=self.config.input_rate)
            ]
        encoded = batches.encode(self, [item.waveform for item in loaded], progress)
        weights_hash = self.weights_hash
        notebook.remember(self, str(weights_hash))
        results = [
            Codes(
                codes=codes.to(torch.int32),
                num_samples=item.num_samples,
                sample_rate=item.sample_rate,
                frame_rate=self.frame_rate,
                codebook_size=self.codebook_size,
                model=self.model_id,
                weights_hash=weights_hash,
            )
            for codes, item in zip(encoded, loaded, strict=True)
        ]
        return results if isinstance(audio, list) else results[0]

    @overload
    def decode(
        self,
        codes: Codes | Tensor | np.ndarray | str | Path | list[int],
        *,
        progress: batches.Progress | None = None,
    ) -> Tensor: ...

    @overload
    def decode(
        self,
        codes: list[Tensor] | list[Codes] | list[np.ndarray] | list[str] | list[Path],
        *,
        progress: batches.Progress | None = None,
    ) -> list[Tensor]: ...

    def decode(
        self, codes: Any, *, progress: batches.Progress | None = None
    ) -> Tensor | list[Tensor]:
        """Codes → waveform (samples,) float32 at `sample_rate`; a list of items gives a list.

        Args:
            codes: Codes, a path or the bytes of a codes file, text of speech tokens
                (`<|s_17|>…`), or integers (T,) as a tensor, an array or a list, whose elements may
                be tensors without dimensions or single speech tokens. A list of any of these is a
                batch.
            progress: Is called with the frames done and the frames in all.

        Returns:
            The waveform, cut to the length of what was encoded where that is known.

        Raises:
            XCodec2Error: Codes are empty, not integers, or outside 0 … codebook_size - 1.

        Warns:
            CodesWarning: The codes come from other weights, or at another frame rate.
        """
        is_batch = isinstance(codes, list) and not is_sequence_of_codes(codes)
        # by map: a comprehension is a frame to warnings before Python 3.12, and none since
        items = list(map(self.as_codes, codes if is_batch else [codes]))
        waveforms = batches.decode(self, [item.codes.cpu() for item in items], progress)
        results = [
            self.cut(waveform, item) for waveform, item in zip(waveforms, items, strict=True)
        ]
        return results if is_batch else results[0]

    def stream_decode(
        self,
        chunks: Iterable[Any] | Codes | Path,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> Iterator[Tensor]:
        """Codes as they come → chunks of waveform, T·output_hop samples in all.

        Where `receptive_field` is finite, they are those of `decode` up to rounding, each frame is
        computed once, and latency is (step + decoder_ahead)/frame_rate seconds. Elsewhere windows
        are decoded, and it is (step + look_ahead)/frame_rate. Memory does not grow.

        Args:
            chunks: codes (t,) of any sizes, or single integers; or one file or text of codes.
            step: frames that are computed together; 4, of windows 25.
            look_back: frames before them that each window also sees; 100.
            look_ahead: frames behind them that must be known first; of windows 5. A finite
                field says both itself.

        Raises:
            XCodec2Error: a chunk holds no codes of this model, or a window has no size.
        """
        if isinstance(chunks, (Codes, Tensor, np.ndarray, str, bytes, os.PathLike)):
            chunks = [chunks]  # not letter by letter
        if not isinstance(chunks, Iterable):
            raise XCodec2Error(
                f"stream_decode takes an iterator of chunks of codes, not {type(chunks).__name__}"
            )
        session = self.decoder_stream(step=step, look_back=look_back, look_ahead=look_ahead)
        return sound_as_it_comes(session, chunks)

    def stream_encode(
        self,
        chunks: Iterable[Any],
        sample_rate: int,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> Iterator[Tensor]:
        """Speech as it comes → chunks of codes (t,) int32.

        Where `receptive_field` is finite, they are those of `encode`, each frame is computed once,
        and latency is (step + encoder_ahead)/frame_rate seconds. Elsewhere windows are encoded:
        codes differ here and there, and latency is (step + look_ahead)/frame_rate. Memory does not
        grow.

        Args:
            chunks: samples (n,) of any float or integer type and of any sizes, none included.
            sample_rate: in Hz; other rates than the model's are resampled as they come.
            step: frames whose codes are computed together; 4, of windows 25.
            look_back: frames before them that each window also sees; 250.
            look_ahead: frames behind them that must be known first; of windows 5. A finite
                field says both itself.

        Raises:
            XCodec2Error: a chunk is not audio, there were none, or a window has no size.
        """
        if isinstance(chunks, (Tensor, np.ndarray)):
            chunks = [chunks]
        if not isinstance(chunks, Iterable) or isinstance(chunks, (str, bytes)):
            raise XCodec2Error(
                "stream_encode takes an iterator of chunks of samples, not "
                f"{type(chunks).__name__}; encode takes files"
            )
        session = self.encoder_stream(
            sample_rate, step=step, look_back=look_back, look_ahead=look_ahead
        )
        return codes_as_they_come(session, chunks)

    def encoder_stream(
        self,
        sample_rate: int,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> EncoderStream:
        """A session that encodes one recording as it arrives; see `stream_encode`.

        Args:
            sample_rate: of the chunks, in Hz.
            step: frames whose codes are computed together.
            look_back: of windows, frames before them.
            look_ahead: of windows, frames behind them.

        Raises:
            XCodec2Error: the model has no encoder, the rate is none, or a window has no size.
        """
        return EncoderStream(
            self, sample_rate, step=step, look_back=look_back, look_ahead=look_ahead
        )

    def decoder_stream(
        self,
        *,
        step: int | None = None,
        look_back: int | None = None,
        look_ahead: int | None = None,
    ) -> DecoderStream:
        """A session that decodes codes as they arrive; see `stream_decode`.

        Args:
            step: frames that are computed together.
            look_back: of windows, frames before them.
            look_ahead: of windows, frames behind them.

        Raises:
            XCodec2Error: a window has no size.
        """
        return DecoderStream(self, step=step, look_back=look_back, look_ahead=look_ahead)

    def chunk_codes(self, chunk: Any) -> Tensor:
        """A chunk of codes (t,), a single code, or none, checked against this model."""
        if is_empty(chunk):
            return torch.empty(0, dtype=torch.long, device="cpu")
        return self.as_codes(as_chunk(chunk)).codes

    def load_item(
        self, index: int, audio: Any, sample_rate: int | None, channel: int | None
    ) -> Audio:
        """One of a list, named by its place when it is refused."""
        try:
            return load_audio(
                audio, sample_rate, channel=channel, target_rate=self.config.input_rate
            )
        except XCodec2Error as problem:
            raise type(problem)(f"item {index} of the list: {problem}") from problem

    def as_codes(self, codes: Any) -> Codes:
        """Codes, a file or text of them, or 1-D integers, checked against this model."""
        own: dict[str, Any] = {
            "frame_rate": self.frame_rate,
            "codebook_size": self.codebook_size,
        }
        name = "what is decoded"
        if isinstance(codes, str) and is_token_text(codes):
            return Codes.from_text(codes, **own)
        if isinstance(codes, (str, os.PathLike)):
            name, codes = printable(codes), Codes.load(codes, **own)
        elif is_file_content(codes):
            codes = Codes.load(codes, **own)
        if isinstance(codes, Codes):
            self.check_origin(codes, name)
            return codes
        if isinstance(codes, list) and codes and is_sequence_of_codes(codes):
            if isinstance(codes[0], str):
                return Codes.from_text("".join(codes), **own)
            codes = [item if isinstance(item, bool) else int(item) for item in codes]
        return Codes(codes=codes, **own)

    def check_origin(self, codes: Codes, name: str) -> None:
        """Refuse codes of another codebook and warn of other weights or another frame rate.

        What was found to fit is not looked at again until the encoder's weights change: the digest
        takes a moment.
        """
        weight = self.quantizer.project_in.weight
        state = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if getattr(self, "_fitting", None) == (codes.identity, state):
            return
        own = self.identity
        if any(parameter.dtype != torch.float32 for parameter in self.parameters()):
            # The digest is of the weights as they were rounded.
            own = replace(own, weights_hash=None)
        if codes.identity.check_decodable(own, name, stacklevel=4):
            self._fitting = (codes.identity, state)

    def cut(self, waveform: Tensor, codes: Codes) -> Tensor:
        """(N,) → as many samples as what was encoded had at this rate, where that is known."""
        return waveform[: codes.decoded_samples(self.sample_rate)]


def is_sequence_of_codes(items: list[Any]) -> bool:
    """Whether a list is one item: integers, tensors or arrays without dimensions, or tokens."""
    if items and all(isinstance(item, str) and SPEECH_TOKEN.fullmatch(item) for item in items):
        return True
    return all(
        isinstance(item, Integral)
        or (isinstance(item, (Tensor, np.ndarray)) and item.ndim == 0 and is_integer(item))
        for item in items
    )


def is_integer(values: Tensor | np.ndarray) -> bool:
    """Whether a tensor or array is of an integer type; bool is none."""
    if isinstance(values, np.ndarray):
        return values.dtype.kind in "iu"
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def as_chunk(chunk: Any) -> Any:
    """A single code as a chunk of one; everything else as it is."""
    if isinstance(chunk, (Tensor, np.ndarray)) and chunk.ndim == 0:
        return chunk.reshape(1)
    return [chunk] if isinstance(chunk, Integral) else chunk
