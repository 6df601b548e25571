"""How a model encodes and decodes: the state that it must be in, and one pass each way over a
batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from xcodec2.codec.inference.certain import code_of_row, uncertain_frames
from xcodec2.codec.inference.engine import decode_whole, encode_whole, engine_of
from xcodec2.codec.inference.fold import embed_codes
from xcodec2.codec.inference.overflow import decoding_overflowed, encoding_overflowed
from xcodec2.codec.network import CodecNetwork, Moments


@contextmanager
def inference(network: CodecNetwork) -> Iterator[None]:
    """No gradients, no dropout even in the middle of training, neither autocast nor TF32: the
    weights' dtype is the precision.
    """
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with (
            torch.no_grad(),
            torch.autocast(network.device.type, enabled=False),
            full_float32(network.device),
        ):
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """A GPU's float32 with all its bits: by default its convolutions round what they multiply to
    11, and 4 % of all codes change.
    """
    switches = float32_switches() if device.type == "cuda" else []
    before = [getattr(place, name) for place, name, _ in switches]
    for place, name, exact in switches:
        setattr(place, name, exact)
    try:
        yield
    finally:
        for (place, name, _), value in zip(switches, before, strict=True):
            setattr(place, name, value)


def float32_switches() -> list[tuple[Any, str, Any]]:
    """Where PyTorch keeps the precision of convolutions and matrix products, and what means all
    bits there.
    """
    products: Any = torch.backends.cuda.matmul
    convolutions: Any = torch.backends.cudnn
    if hasattr(products, "fp32_precision"):  # since PyTorch 2.9, where mixing both ways raises
        return [(products, "fp32_precision", "ieee"), (convolutions.conv, "fp32_precision", "ieee")]
    return [(products, "allow_tf32", False), (convolutions, "allow_tf32", False)]


def encode_rows(
    network: CodecNetwork,
    rows: Tensor,
    lengths: Tensor | None = None,
    moments: Moments | None = None,
) -> Tensor:
    """Padded waveforms (B, P) → codes (B, T) int64 on the CPU; see `encode_features`.

    Raises:
        XCodec2Error: something on the way was not finite.
    """
    with inference(network):
        if engine := engine_of(network):
            return encode_whole(network, engine, rows, lengths)
        latent = network.encode_features(rows.to(network.device), lengths, moments).latent
        quantized = network.quantize(latent)
        codes = quantized.codes.cpu()
        check_finite(network, latent, codes, rows)
        for row, margin in enumerate(quantized.margin):
            whole = rows.shape[1] if lengths is None else int(lengths[row])
            for frame in uncertain_frames(network, margin[: whole // network.config.hop]):
                codes[row, frame] = code_of_row(network, rows[row, :whole], frame)
    return codes


def check_finite(network: CodecNetwork, latent: Tensor, codes: Tensor, rows: Tensor) -> None:
    """Raise XCodec2Error where something on the way from `rows` to `codes` was not finite."""
    if not latent.isfinite().all() or (codes < 0).any():
        raise encoding_overflowed(network, float(rows.abs().max()))


def decode_rows(network: CodecNetwork, rows: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Codes (B, T) → waveforms (B, T·output_hop) float32 on the CPU; `lengths` (B,) in frames.

    Raises:
        XCodec2Error: a sample is not finite.
    """
    if engine := engine_of(network):
        return decode_whole(network, engine, rows, lengths)
    with inference(network):
        embedded = embed_codes(
            network.quantizer, network.acoustic_decoder, rows.to(network.device), lengths
        )
        waveforms = network.acoustic_decoder.from_embedded(embedded, lengths).waveform
    check_waveforms(network, waveforms)
    return waveforms.cpu()


def check_waveforms(network: CodecNetwork, waveforms: Tensor) -> None:
    """Raise XCodec2Error where a sample is not finite."""
    if not waveforms.isfinite().all():
        raise decoding_overflowed(network)
