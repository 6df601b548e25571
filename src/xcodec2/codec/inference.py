"""How a model encodes and decodes: the state that it must be in, and one pass each way over a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2.codec.model import XCodec2Model


@contextmanager
def inference(model: XCodec2Model) -> Iterator[None]:
    """No gradients, no dropout even in the middle of training, no autocast: the weights' dtype is the precision."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        for module in training:
            module.training = True


def encode_rows(
    model: XCodec2Model,
    rows: Tensor,
    lengths: Tensor | None = None,
    moments: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Padded waveforms (B, P) → codes (B, T) int64 on the CPU; see XCodec2Model.latent."""
    with inference(model):
        latent = model.latent(rows.to(model.device), lengths, moments)
        _, codes = model.quantizer(latent)
    if not latent.isfinite().all() or (codes < 0).any():
        raise XCodec2Error(
            f"encoding overflowed: the audio is too loud for {model.dtype} (its peak is {rows.abs().max():.3g}), "
            "or the model's weights are damaged"
        )
    return codes.cpu()


def decode_rows(model: XCodec2Model, rows: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Codes (B, T) → waveforms (B, T·output_hop) float32 on the CPU."""
    with inference(model):
        waveforms = model.acoustic_decoder(model.quantizer.vectors(rows.to(model.device)), lengths)
    if not waveforms.isfinite().all():
        raise XCodec2Error(f"decoding overflowed {model.dtype}: use float32; if it was, the weights are damaged")
    return waveforms.cpu()
