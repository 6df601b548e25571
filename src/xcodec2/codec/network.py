"""The network, from tensors to tensors: training, ONNX, extraction and inference all run this one.

    waveform ─┬─ fbank → semantic encoder → adapter ─┐
              └─ acoustic encoder ───────────────────┴─ fc_encoder → quantizer → codes
    codes → quantizer's vectors → acoustic decoder → waveform

B batch, N samples, P padded samples, T frames (one code each), D width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.acoustic import SpectrogramEncoder, WaveformEncoder
from xcodec2.codec.config import FEATURE_HOP, FEATURE_WINDOW, ReceptiveField, XCodec2Config
from xcodec2.codec.decoder import AcousticDecoder, Decoded
from xcodec2.codec.defaults import float32_parameters
from xcodec2.codec.features import (
    kaldi_fbank,
    normalize_fbank,
    speech_moments,
    stack_frames,
    surrounded,
)
from xcodec2.codec.kernels.convolution import FrameConv1d
from xcodec2.codec.kernels.linear import Linear
from xcodec2.codec.quantizer import Quantized, Quantizer
from xcodec2.codec.semantic import SemanticAdapter, SemanticEncoder
from xcodec2.codec.step import Lengths, Step
from xcodec2.errors import XCodec2Error

Moments = tuple[Tensor, Tensor]  # mean and variance of a fbank, each broadcastable to (B, 1, 80)


class Encoded(NamedTuple):
    """What the encoders make of a waveform.

    Attributes:
        semantic: (B, T, semantic width), the semantic encoder's output.
        adapted: (B, semantic width, T), the same behind the adapter.
        acoustic: (B, width, T), the acoustic encoder's output.
        latent: (B, T, semantic + acoustic width), what the quantizer rounds.
    """

    semantic: Tensor
    adapted: Tensor
    acoustic: Tensor
    latent: Tensor


class CodecNetwork(nn.Module):
    """XCodec2, NeuCodec, or a small model of the same shape.

    Args:
        config: sizes and rates; the published XCodec2's by default.
        decoder_only: leave the encoder out (629 M → 187 M parameters at full size).
        device: of the weights, which are random; the CPU by default.
    """

    def __init__(
        self,
        config: XCodec2Config | None = None,
        *,
        decoder_only: bool = False,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config or XCodec2Config()
        self.model_id = "unnamed"
        self.decoder_only = decoder_only
        self.fbank: Callable[[Tensor], Tensor] = kaldi_fbank
        with float32_parameters(device):
            self.quantizer = Quantizer(config)
            self.acoustic_decoder = AcousticDecoder(config)
            if not decoder_only:
                self._build_encoder(config)
        for module in self.modules():
            if isinstance(module, (FrameConv1d, Linear)):
                module.as_steps = bool(config.attention_window)

    def _build_encoder(self, config: XCodec2Config) -> None:
        self.semantic_encoder = SemanticEncoder(config)
        self.semantic_adapter = SemanticAdapter(config)
        self.acoustic_encoder: nn.Module = (
            WaveformEncoder(config)
            if config.acoustic_encoder == "waveform"
            else SpectrogramEncoder(config)
        )
        self.fc_encoder = Linear(config.latent_width, config.latent_width)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) at the input rate → its reconstruction (B, T·output_hop), with gradients.

        T is `config.frames(N)`.
        """
        encoded = self.encode_features(self.pad(waveform))
        quantized = self.quantize(encoded.latent)
        return self.decode_vectors(quantized.vectors).waveform

    def encode_features(
        self,
        waveform: Tensor,
        lengths: Lengths = None,
        moments: Moments | None = None,
        *,
        acoustic_gate: Tensor | None = None,
    ) -> Encoded:
        """Both branches and where they join, up to the quantizer.

        Args:
            waveform: (B, P) at the input rate, padded (see `pad`).
            lengths: (B,) samples of each row, multiples of the encoder's hop; None where all fill
                theirs. A step of streams: then the waveform is their new frames.
            moments: of the whole file's fbank, where the waveform is a window of it.
            acoustic_gate: (B, 1, 1), 0 where training drops the acoustic branch; None keeps it.
        """
        features, feature_lengths = self.features(waveform, lengths, moments)
        semantic = self.semantic_encoder(features, feature_lengths)
        adapted = self.semantic_adapter(semantic, feature_lengths)
        own = lengths.branch() if isinstance(lengths, Step) else lengths
        acoustic = self.acoustic_encoder(waveform.to(self.dtype), own)
        if isinstance(lengths, Step):
            assert isinstance(feature_lengths, Step)
            assert isinstance(own, Step)
            adapted, acoustic = lengths.together([(adapted, feature_lengths), (acoustic, own)], 2)
        elif not self.config.feature_padding:  # NeuCodec's semantic branch is one frame shorter
            acoustic = acoustic[..., : adapted.shape[-1]]
        if acoustic_gate is not None:
            acoustic = acoustic * acoustic_gate
        joined = torch.cat([adapted, acoustic], dim=1)  # (B, D, T)
        latent = pooled(self.fc_encoder(joined.transpose(1, 2)), self.config.pooling)
        return Encoded(semantic, adapted, acoustic, latent)

    def quantize(self, latent: Tensor) -> Quantized:
        """Round latents to codes.

        Args:
            latent: (B, T, D) float.

        Returns:
            Codes (B, T), the vectors that they stand for, and how sure each code is.
        """
        return self.quantizer(latent)

    def decode_vectors(self, vectors: Tensor, lengths: Lengths = None) -> Decoded:
        """Turn vectors into sound.

        Args:
            vectors: (B, T, D) float.
            lengths: (B,) in frames; all are whole when it is None. A step of streams: then the
                vectors are their new frames.

        Returns:
            The waveform (B, T·output_hop) float32, and what the last block gave.
        """
        return self.acoustic_decoder(vectors, lengths)

    def features(
        self, waveform: Tensor, lengths: Lengths = None, moments: Moments | None = None
    ) -> tuple[Tensor, Lengths]:
        """(B, P) → normalized, stacked fbank (B, T, 160) and its lengths (B,) in frames."""
        side, stack = self.config.feature_padding, self.config.feature_stack
        if self.config.attention_window:  # nothing of an utterance reaches all of its frames
            moments = speech_moments()
        if isinstance(lengths, Step):
            step = lengths.branch(fewer=0 if side else 1)
            waveform = surrounded(waveform, step, self.config.hop, side, 2 * FEATURE_HOP - side)
            fbank = normalize_fbank(self.fbank(waveform), None, moments)
            return stack_frames(fbank, stack).to(self.dtype), step
        fbank = self.fbank(F.pad(waveform, (side, side)))
        if lengths is not None:
            lengths = (lengths + 2 * side - FEATURE_WINDOW) // FEATURE_HOP + 1
        features = stack_frames(normalize_fbank(fbank, lengths, moments), stack).to(self.dtype)
        return features, None if lengths is None else lengths // stack

    def pad(self, waveform: Tensor) -> Tensor:
        """Add zeros to a whole number of encoder frames: at least one sample, so one frame more at
        N % hop = 0.

        Args:
            waveform: (B, N) at the input rate.

        Returns:
            (B, P), P a multiple of the encoder's hop.
        """
        num_samples = waveform.shape[-1]
        return F.pad(waveform, (0, self.config.padded_samples(num_samples) - num_samples))

    def require_encoder(self) -> None:
        """Raise XCodec2Error if this model was loaded without one."""
        if self.decoder_only:
            raise XCodec2Error(
                "this model was loaded with decoder_only=True and cannot encode; load it without"
            )

    @property
    def receptive_field(self) -> ReceptiveField | None:
        """How many frames codes and samples depend on; None where it is all of them, as in the
        published models.
        """
        return self.config.receptive_field

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.quantizer.project_out.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Of what goes from layer to layer."""
        return self.quantizer.project_out.weight.dtype


def pooled(latent: Tensor, size: int) -> Tensor:
    """(B, T, D) → (B, T//size, D): means of neighbors, an incomplete last group dropped."""
    if size == 1:
        return latent
    whole = latent.shape[1] - latent.shape[1] % size
    return latent[:, :whole].unflatten(1, (-1, size)).mean(2)


def replace_part(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put `part` in the place of the part of that name, as `set_submodule` of PyTorch 2.5 does."""
    parent, _, child = name.rpartition(".")
    setattr(module.get_submodule(parent), child, part)
