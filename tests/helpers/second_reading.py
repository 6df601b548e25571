"""A second implementation of what the derivatives of XCodec2 change, from their written facts alone
and under the original names: xcodec2-25TPS-24k (arXiv 2601.20185) and Anime-XCodec2 at 44.1 kHz.

It shares no code with the package: NumPy for codes, plain functions of torch for the decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def block(x: Tensor, weights: Weights, name: str) -> Tensor:
    """The decoder's residual block on (1, C, T)."""
    y = x
    for i in (1, 2):
        scale, shift = weights[f"{name}.norm{i}.weight"], weights[f"{name}.norm{i}.bias"]
        groups = y.reshape(1, 32, -1)
        groups = groups - groups.mean(-1, keepdim=True)
        groups = groups / (groups.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        y = groups.reshape(y.shape) * scale[:, None] + shift[:, None]
        y = y * torch.sigmoid(y)
        y = F.conv1d(
            y, weights[f"{name}.conv{i}.weight"], weights[f"{name}.conv{i}.bias"], padding=1
        )
    return x + y


def transformer(x: Tensor, weights: Weights, name: str, heads: int) -> Tensor:
    """One layer on (T, D); every frame sees every other, and nothing tells their order."""

    def rms(y: Tensor, norm: str) -> Tensor:
        return y / (y.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{norm}.weight"]

    q, k, v = linear(rms(x, f"{name}.att_norm"), weights, f"{name}.att.c_attn").chunk(3, dim=-1)
    found = []
    for head_q, head_k, head_v in zip(
        q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True
    ):
        scores = head_q @ head_k.T / head_q.shape[-1] ** 0.5
        found.append(torch.softmax(scores, -1) @ head_v)
    x = x + linear(torch.cat(found, -1), weights, f"{name}.att.c_proj")
    y = linear(rms(x, f"{name}.ffn_norm"), weights, f"{name}.mlp.fc1")
    return x + linear(y * torch.sigmoid(y), weights, f"{name}.mlp.fc2")


def weight_normed(weights: Weights, name: str) -> Tensor:
    gain, direction = weights[f"{name}.weight_g"], weights[f"{name}.weight_v"]
    flat = direction.flatten(1)
    return (flat / flat.pow(2).sum(1, keepdim=True).sqrt() * gain.flatten(1)).view_as(direction)


def decode(weights: Weights, codes: Sequence[int], heads: int, factors: Sequence[int]) -> Tensor:
    """Codes → all samples that the inverse STFT gives, with its "same" padding."""
    digits = np.array([[code >> (2 * k) & 3 for k in range(8)] for code in codes])
    x = linear(
        torch.tensor((digits - 2) / 2, dtype=torch.float32),
        weights,
        "generator.quantizer.project_out",
    )
    x = linear(x, weights, "fc_post_a").T[None]
    backbone = "generator.backbone"
    x = F.conv1d(
        x, weights[f"{backbone}.embed.weight"], weights[f"{backbone}.embed.bias"], padding=3
    )
    for i in (0, 1):
        x = block(x, weights, f"{backbone}.prior_net.{i}")
    y, i = x[0].T, 0
    while f"{backbone}.transformers.{i}.att_norm.weight" in weights:
        y, i = transformer(y, weights, f"{backbone}.transformers.{i}", heads), i + 1
    x = y.T[None]
    for i in (0, 1):
        x = block(x, weights, f"{backbone}.post_net.{i}")
    name = f"{backbone}.final_layer_norm"
    y = F.layer_norm(
        x[0].T, (x.shape[1],), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6
    )
    for i, factor in enumerate(factors):
        layer = f"generator.upsampler.upsample_layers.{i}"
        kernel = weight_normed(weights, layer)
        cut = (kernel.shape[-1] - factor) // 2
        wide = F.conv_transpose1d(y.T[None], kernel, weights[f"{layer}.bias"], stride=factor)
        wide = wide[..., cut : wide.shape[-1] - cut]
        y = block(wide, weights, f"generator.upsampler.resnet_blocks.{i}")[0].T
    if factors:
        y = linear(y, weights, "generator.upsampler.out_proj")
        y = y * torch.sigmoid(y)
    return inverse_stft(linear(y, weights, "generator.head.out"))


def inverse_stft(spectra: Tensor) -> Tensor:
    """(T, n_fft + 2) log-magnitudes and phases → (T·n_fft/4,), summed frame by frame."""
    bins = spectra.shape[1] // 2
    size, hop = 2 * (bins - 1), (bins - 1) // 2
    magnitude = spectra[:, :bins].exp().clamp(max=100).double()
    phase = spectra[:, bins:].double()
    frames = torch.fft.irfft(torch.complex(magnitude * phase.cos(), magnitude * phase.sin()), size)
    window = 0.5 - 0.5 * torch.cos(2 * torch.pi * torch.arange(size, dtype=torch.double) / size)
    out = torch.zeros(hop * (len(frames) - 1) + size, dtype=torch.double)
    power = torch.zeros_like(out)
    for i, frame in enumerate(frames):
        out[i * hop : i * hop + size] += frame * window
        power[i * hop : i * hop + size] += window**2
    side = (size - hop) // 2
    return (out[side:-side] / power[side:-side]).float()


def pooled_codes(weights: Weights, latent: np.ndarray) -> list[int]:
    """Latents (T, D) behind fc_prior, at 50 a second → codes, 25 a second: AvgPool1d(2, 2), then
    the quantizer, which bounds twice.
    """
    pairs = latent[: len(latent) // 2 * 2].reshape(-1, 2, latent.shape[1]).mean(1)
    name = "generator.quantizer.project_in"
    x = pairs @ weights[f"{name}.weight"].double().numpy().T
    x = x + weights[f"{name}.bias"].double().numpy()
    half = 3 * 1.001 / 2
    for _ in range(2):
        x = np.tanh(x + np.arctanh(0.5 / half)) * half - 0.5
    digits = np.round(x).astype(int) + 2
    return [int(sum(digit << (2 * k) for k, digit in enumerate(row))) for row in digits]
