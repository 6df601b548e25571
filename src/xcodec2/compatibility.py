"""The original package's calls, by its names and in its shapes.

B batch, N samples, T frames.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xcodec2.audio.io import load_audio
from xcodec2.codec.inference import batches
from xcodec2.codec.network import CodecNetwork
from xcodec2.codes import Codes
from xcodec2.errors import XCodec2Error


class OriginalCalls(CodecNetwork):
    """`encode_code` and `decode_code`, for programs written for the original XCodec2Model."""

    def encode_code(self, input_waveform: Tensor, sample_rate: int = 16_000) -> Tensor:
        """Waveforms (B, N) or (B, 1, N) at the input rate → codes (B, 1, T) int32.

        Raises:
            XCodec2Error: another rate, another shape, or samples that are not finite.
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
        """Codes (B, 1, T) → waveforms (B, 1, T·output_hop) float32.

        Raises:
            XCodec2Error: another shape, or codes that this model does not have.
        """
        codes = as_tensor(vq_code, "codes")
        if codes.ndim != 3 or codes.shape[1] != 1 or not len(codes):
            raise XCodec2Error(
                f"decode_code takes codes (B, 1, T), not a tensor of shape {tuple(codes.shape)}"
            )
        size = self.config.codebook_size
        rows = [Codes(codes=row[0], codebook_size=size).codes.cpu() for row in codes]
        return torch.stack(batches.decode(self, rows))[:, None].to(self.device)


def as_tensor(values: Any, what: str) -> Tensor:
    """`values` as a tensor on the CPU, or where it is; XCodec2Error names `what` is none."""
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(values, device="cpu")
    except (TypeError, ValueError, RuntimeError) as problem:
        raise XCodec2Error(
            f"{what} must be a tensor or an array, not {type(values).__name__}"
        ) from problem
