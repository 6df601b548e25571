"""The codec: speech → codes → speech.

    waveform ─┬─ fbank → semantic encoder → adapter ─┐
              └─ acoustic encoder ───────────────────┴─ fc_encoder → quantizer → codes
    codes → quantizer's vectors → acoustic decoder → waveform

B batch, N samples, T frames (one code each), D width.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2 import notebook
from xcodec2.audio.io import Audio, AudioSource, load_audio
from xcodec2.codec.acoustic import SpectrogramEncoder, WaveformEncoder
from xcodec2.codec.config import FEATURE_HOP, FEATURE_WINDOW, ReceptiveField, XCodec2Config
from xcodec2.codec.decoder import AcousticDecoder
from xcodec2.codec.features import kaldi_fbank, normalise, speech_moments, stack_frames
from xcodec2.codec.inference import batches, streams
from xcodec2.codec.kernels.linear import Linear
from xcodec2.codec.quantizer import Quantizer
from xcodec2.codec.semantic import SemanticAdapter, SemanticEncoder
from xcodec2.codes import SPEECH_MARK, SPEECH_TOKEN, Codes
from xcodec2.errors import XCodec2Error
from xcodec2.identity import CodecIdentity
from xcodec2.printable import printable


class XCodec2Model(nn.Module):
    """XCodec2, NeuCodec, or a small model of the same shape.

    Built from a configuration it has random weights; :meth:`from_pretrained` loads trained ones.
    With `decoder_only` the encoder is left out (629 M → 187 M parameters at full size) and encoding
    raises.
    """

    def __init__(self, config: XCodec2Config | None = None, *, decoder_only: bool = False) -> None:
        super().__init__()
        self.config = config = config or XCodec2Config()
        self.model_id = "unnamed"
        self.decoder_only = decoder_only
        self.quantizer = Quantizer(config)
        self.acoustic_decoder = AcousticDecoder(config)
        if decoder_only:
            return
        self.semantic_encoder = SemanticEncoder(config)
        self.semantic_adapter = SemanticAdapter(config)
        self.acoustic_encoder: nn.Module = (
            WaveformEncoder(config)
            if config.acoustic_encoder == "waveform"
            else SpectrogramEncoder(config)
        )
        self.fc_encoder = Linear(config.latent_width, config.latent_width)

    # ---- the figure ------------------------------------------------------------------------------

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) at the input rate → its reconstruction (B, T·output_hop), with gradients; T as
        `config.frames(N)`.
        """
        vectors, _ = self.quantizer(self.latent(self.pad(waveform)))
        return self.acoustic_decoder(vectors)

    def latent(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        moments: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Padded waveform (B, P) → (B, T, semantic + acoustic width), before the quantiser.

        P and `lengths` (B,) are in samples, multiples of the hop (see :meth:`pad`). `moments` of
        the whole file's fbank are given when the waveform is a window of it.
        """
        features, feature_lengths = self.features(waveform, lengths, moments)
        semantic = self.semantic_adapter(
            self.semantic_encoder(features, feature_lengths), feature_lengths
        )
        acoustic = self.acoustic_encoder(waveform.to(self.dtype), lengths)
        frames = min(
            semantic.shape[-1], acoustic.shape[-1]
        )  # NeuCodec's semantic branch is one frame shorter
        both = torch.cat([semantic[..., :frames], acoustic[..., :frames]], dim=1)  # (B, D, T)
        return self.fc_encoder(both.transpose(1, 2))

    def features(
        self, waveform: Tensor, lengths: Tensor | None, moments: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, P) → normalised, stacked fbank (B, T, 160) and its lengths (B,) in frames."""
        side, stack = self.config.feature_padding, self.config.feature_stack
        fbank = kaldi_fbank(F.pad(waveform, (side, side)))
        if self.config.attention_window:
            moments = speech_moments()
        if lengths is not None:
            lengths = (lengths + 2 * side - FEATURE_WINDOW) // FEATURE_HOP + 1
        features = stack_frames(normalise(fbank, lengths, moments), stack).to(self.dtype)
        return features, None if lengths is None else lengths // stack

    def pad(self, waveform: Tensor) -> Tensor:
        """(B, N) → (B, P): zeros to a whole number of frames, at least one sample, so one frame
        more at N % hop = 0.
        """
        num_samples = waveform.shape[-1]
        return F.pad(
            waveform, (0, self.config.padded_frames(num_samples) * self.config.hop - num_samples)
        )

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
        """Speech → codes. A list of inputs gives a list, each item with the codes that it has
        alone.

        `audio`: a path, a bytes-like file, or a 1-D or (channels, samples) array or tensor of any
        float or integer type, for which `sample_rate` in Hz is needed. Channels are averaged, or
        `channel`, from 0, is taken; rates are converted. Inputs of up to `batches.EXACT_FRAMES` frames get full attention, longer ones
        overlapping windows. `progress` is called with the frames done and the frames in all. Raises
        XCodec2Error for what cannot be read, is empty, or holds NaN or infinity.
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
            codes: Codes, a path of a codes file, text of speech tokens (`<|s_17|>…`), or integers
                (T,) as a tensor, an array or a list, whose elements may be tensors without
                dimensions or single speech tokens. A list of any of these is a batch.
            progress: Is called with the frames done and the frames in all.

        Returns:
            The waveform, cut to the length of what was encoded where that is known.

        Raises:
            XCodec2Error: Codes are empty, not integers, or outside 0 … codebook_size - 1.

        Warns:
            CodesWarning: The codes come from other weights, or at another frame rate.
        """
        is_batch = isinstance(codes, list) and not is_sequence_of_codes(codes)
        items = [self.as_codes(item) for item in (codes if is_batch else [codes])]
        waveforms = batches.decode(self, [item.codes.cpu() for item in items], progress)
        results = [
            self.cut(waveform, item) for waveform, item in zip(waveforms, items, strict=True)
        ]
        return results if is_batch else results[0]

    def stream_decode(
        self,
        chunks: Iterable[Any] | Codes,
        *,
        step: int = streams.STEP,
        look_back: int = streams.LOOK_BACK,
        look_ahead: int = streams.LOOK_AHEAD,
    ) -> Iterator[Tensor]:
        """Chunks of codes of any sizes, or single integers, as they come → chunks of waveform,
        T·output_hop in all.

        Sound comes out `step` frames at a time, once `look_ahead` further frames are known; each
        window also sees `look_back` frames before it. Latency is (step + look_ahead)/frame_rate
        seconds, memory that of one window.
        """
        if isinstance(chunks, (Codes, Tensor, np.ndarray)):
            chunks = [chunks]
        if not isinstance(chunks, Iterable):
            raise XCodec2Error(
                f"stream_decode takes an iterator of chunks of codes, not {type(chunks).__name__}"
            )
        checked = (self.as_codes(as_chunk(chunk)).codes for chunk in chunks if not is_empty(chunk))
        return streams.decode(self, checked, step=step, look_back=look_back, look_ahead=look_ahead)

    def encode_code(self, input_waveform: Tensor, sample_rate: int = 16_000) -> Tensor:
        """(B, N) or (B, 1, N) at the input rate → (B, 1, T) int32, as the original package calls
        it.
        """
        self.require_encoder()
        if sample_rate != self.config.input_rate:
            raise XCodec2Error(
                f"encode_code takes {self.config.input_rate} Hz, not {sample_rate} Hz; "
                "use encode(audio, sample_rate)"
            )
        waveforms = as_tensor(input_waveform, "audio")
        if waveforms.ndim == 3 and waveforms.shape[1] == 1:
            waveforms = waveforms[:, 0]
        if waveforms.ndim != 2 or not len(waveforms):
            raise XCodec2Error(
                f"encode_code takes a tensor (B, N), not one of shape {tuple(waveforms.shape)}"
            )
        rows = [load_audio(row, sample_rate, target_rate=sample_rate).waveform for row in waveforms]
        return torch.stack(batches.encode(self, rows))[:, None].to(self.device, torch.int32)

    def decode_code(self, vq_code: Tensor) -> Tensor:
        """(B, 1, T) integer codes → (B, 1, T·output_hop) float32, as the original package calls
        it.
        """
        codes = as_tensor(vq_code, "codes")
        if codes.ndim != 3 or codes.shape[1] != 1 or not len(codes):
            raise XCodec2Error(
                f"decode_code takes codes (B, 1, T), not a tensor of shape {tuple(codes.shape)}"
            )
        rows = [self.as_codes(row[0]).codes.cpu() for row in codes]
        return torch.stack(batches.decode(self, rows))[:, None].to(self.device)

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
        if isinstance(codes, str) and (SPEECH_TOKEN.search(codes) or SPEECH_MARK.search(codes)):
            return Codes.from_text(codes, **own)
        if isinstance(codes, (str, os.PathLike)):
            name, codes = printable(codes), Codes.load(codes, **own)
        if isinstance(codes, Codes):
            self.check_origin(codes, name)
            return codes
        if isinstance(codes, list) and codes and is_sequence_of_codes(codes):
            if isinstance(codes[0], str):
                return Codes.from_text("".join(codes), **own)
            codes = [int(item) for item in codes]
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
        if codes.identity.check_decodable(own, name, stacklevel=5):
            self._fitting = (codes.identity, state)

    def cut(self, waveform: Tensor, codes: Codes) -> Tensor:
        if codes.num_samples is None or codes.sample_rate is None:
            return waveform
        return waveform[: max(1, round(codes.num_samples * self.sample_rate / codes.sample_rate))]

    def require_encoder(self) -> None:
        if self.decoder_only:
            raise XCodec2Error(
                "this model was loaded with decoder_only=True and cannot encode; load it without"
            )

    # ---- what it is, where it comes from ---------------------------------------------------------

    @property
    def sample_rate(self) -> int:
        """Hz of the decoded waveform."""
        return self.config.sample_rate

    @property
    def frame_rate(self) -> int:
        """Codes per second."""
        return self.config.frame_rate

    @property
    def codebook_size(self) -> int:
        return self.config.codebook_size

    @property
    def receptive_field(self) -> ReceptiveField | None:
        """How many frames codes and samples depend on; None where it is all of them, as in the
        published models.
        """
        return self.config.receptive_field

    @property
    def device(self) -> torch.device:
        return self.quantizer.project_out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of what goes from layer to layer."""
        return self.quantizer.project_out.weight.dtype

    @property
    def weights_hash(self) -> str | None:
        """16 hex digits over all weights that make codes; None without an encoder.

        A fine-tuned decoder keeps the hash: its codes are the same.
        """
        if self.decoder_only:
            return None
        tensors = {
            k: t for k, t in self.state_dict().items() if not k.startswith("acoustic_decoder.")
        }
        # changes whenever a weight does, but for writes through `.data`, which torch does not count
        state = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors.values()]
        if getattr(self, "_hashed", ([], ""))[0] != state:
            digest = hashlib.sha256()
            for key, tensor in sorted(tensors.items()):
                digest.update(f"{key}{tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            self._hashed = (state, digest.hexdigest()[:16])
        return self._hashed[1]

    @property
    def identity(self) -> CodecIdentity:
        """Whose codes it makes and takes."""
        return CodecIdentity(self.model_id, self.weights_hash, self.codebook_size, self.frame_rate)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "nano",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        decoder_only: bool = False,
    ) -> XCodec2Model:
        """Load trained weights, ready for inference.

        `name_or_path`: "nano" (inside the package), a folder, a checkpoint file, or a Hub id. The
        format is found by content; see :mod:`xcodec2.codec.checkpoints.load`. `dtype`: bfloat16 is
        faster, and codes differ; int8 (CPUs, no training) decodes faster still;
        :mod:`xcodec2.codec.inference.precision` says where each is used. Raises CheckpointError for
        anything missing, unexpected or unused.
        """
        from xcodec2.codec.checkpoints.load import load_model

        return load_model(cls, name_or_path, device=device, dtype=dtype, decoder_only=decoder_only)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors in transformers' form, or our own (warning) where
        it has none.
        """
        from xcodec2.codec.checkpoints.load import save_model

        save_model(self, folder)


def as_tensor(values: Any, what: str) -> Tensor:
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise XCodec2Error(
            f"{what} must be a tensor or an array, not {type(values).__name__}"
        ) from problem


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


def is_empty(chunk: Any) -> bool:
    """Whether a chunk holds no codes, which language models also send."""
    if isinstance(chunk, (Tensor, np.ndarray)):
        return chunk.shape == (0,)
    return isinstance(chunk, (list, tuple)) and not chunk
