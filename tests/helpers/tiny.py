"""Small models with random weights that behave like trained ones, and real speech to run them
on.
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import replace

import numpy as np
import soundfile
import torch
from paths import ROOT
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.quantizer import Quantized
from xcodec2.train.losses import LATENT_DEVIATION, LATENT_MEAN

ASSETS = ROOT / "src" / "xcodec2" / "assets"
BOUNDARY = 1e-3  # a latent this near to a boundary may round either way

XCODEC2 = XCodec2Config(
    semantic_width=64,
    semantic_layers=3,
    semantic_heads=4,
    semantic_ffn=128,
    acoustic_channels=4,
    width=64,
    layers=2,
    heads=4,
    head_width=16,
    ffn=128,
)
NEUCODEC = replace(XCODEC2, sample_rate=24_000, feature_padding=0)
SPECTROGRAM = replace(XCODEC2, acoustic_encoder="spectrogram", spectrogram_layers=2)


def speech() -> Tensor:
    """(N,) float32 at 16 kHz: the clip inside the package; the caller's own."""
    return torch.from_numpy(demo_samples().copy())


@functools.cache
def demo_samples() -> np.ndarray:
    """Of `speech`, read once."""
    samples, rate = soundfile.read(ASSETS / "demo.flac", dtype="float32")
    assert rate == 16_000
    return samples


def long_speech(seconds: float) -> Tensor:
    """(N,) float32 at 16 kHz: the clip, then backwards and quieter, again and again."""
    clip = torch.cat([speech(), 0.5 * speech().flip(0)])
    return clip.repeat(int(seconds * 16_000 / len(clip)) + 1)[: int(seconds * 16_000)]


def random_model(config: XCodec2Config = XCODEC2, seed: int = 0) -> XCodec2Model:
    """Weights of sane size, no norm or bias at its default, and codes that use all levels of all
    dimensions. The model is the caller's own, and may be changed.
    """
    return copy.deepcopy(_random_model(config, seed))


@functools.cache
def _random_model(config: XCodec2Config, seed: int) -> XCodec2Model:
    model = XCodec2Model(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise * (2 / parameter[0].numel()) ** 0.5)
            elif name.endswith((".alpha", ".beta")):
                parameter.copy_(0.5 * noise)
            elif name.endswith(".bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(1 + 0.2 * noise)
        head = model.acoustic_decoder.head.linear
        head.weight.mul_(0.5)
        head.bias[: len(head.bias) // 2] -= 1  # log-magnitudes that give audio of speech's level
        balance_branches(model)
        spread_levels(model)
    return model


def balance_branches(model: XCodec2Model) -> None:
    """Let both branches be heard alike; a random waveform encoder is 100 000 times as loud as the
    semantic one.
    """
    if model.config.acoustic_encoder != "waveform":
        return
    waveform = model.pad(speech()[None])
    loudness = (
        model.encode_features(waveform).adapted.std() / model.acoustic_encoder(waveform).std()
    )
    model.acoustic_encoder.conv2.weight.mul_(loudness)
    model.acoustic_encoder.conv2.bias.mul_(loudness)


def spread_levels(model: XCodec2Model) -> None:
    """Scale and shift the quantizer's input so that each dimension meets its four levels about
    equally often.
    """
    projected = quantized(model, speech()).projected[0]
    scale = LATENT_DEVIATION / projected.std(0)
    projection = model.quantizer.project_in
    projection.bias.copy_((projection.bias - projected.mean(0)) * scale + LATENT_MEAN)
    projection.weight.mul_(scale[:, None])


def quantized(model: XCodec2Model, waveform: Tensor) -> Quantized:
    """What the quantizer makes of a waveform (N,)."""
    return model.quantize(model.encode_features(model.pad(waveform[None])).latent)


def misses_beyond_rounding(
    model: XCodec2Model, waveform: Tensor, codes: Tensor, expected: Tensor
) -> int:
    """How many codes (T,) differ from `expected` though the float64 latent is nowhere near a
    boundary.
    """
    wrong = (codes != expected).nonzero().flatten()
    if not len(wrong):
        return 0
    with torch.no_grad():
        margin = quantized(model.double(), waveform.double()).margin[0]
    model.float()
    return int((margin[wrong] > BOUNDARY).sum())


def noise(*size: int, seed: int = 0) -> Tensor:
    """Normally distributed, always the same."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def snr(reference: Tensor, other: Tensor) -> float:
    """dB of `reference` over what `other` differs by."""
    return 10 * math.log10(reference.square().sum() / (reference - other).square().sum())
