"""From features and waveform to what the quantizer rounds, on MLX, always in float32.

(1, T, D) throughout; features come from PyTorch's CPU, whose float64 they need.
"""

from __future__ import annotations

import math

import mlx.core as mx
import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec import features
from xcodec2.codec.acoustic import DILATIONS
from xcodec2.codec.config import FEATURE_HOP, XCodec2Config
from xcodec2.codec.snake import NO_ZERO_DIVISION, kaiser_sinc
from xcodec2.mlx.step import Place, Step, delayed
from xcodec2.mlx.weights import MlxWeights, array_of, sides_of

LAYER_NORM_EPS = 1e-5  # of the conformer
LEAST = -1e30  # a score that weighs nothing


class MlxEncoder:
    """Both branches, where they join, and the projection to K numbers.

    Args:
        weights: Of the whole model but its decoder.
        config: Its sizes.
    """

    def __init__(self, weights: MlxWeights, config: XCodec2Config) -> None:
        self.weights, self.config = weights, config
        taps = kaiser_sinc(torch.device("cpu"), torch.float32)
        even, odd = taps[1::2], taps[::2]
        up = 2 * torch.stack([F.pad(even.flip(0), (0, 1)), F.pad(odd.flip(0), (1, 0))])
        down = torch.stack([F.pad(even, (1, 0)), F.pad(odd, (0, 1))])
        self.up, self.down = array_of(up)[..., None], array_of(down).T[None]

    def whole(self, waveform: Tensor) -> mx.array:
        """Padded samples (P,) → what the quantizer bounds, (T, K)."""
        side = self.config.feature_padding
        spectra = self.spectra(F.pad(waveform, (features.SPECTRA_SIDE,) * 2))
        return self.project(self.fbank(F.pad(waveform, (side, side))), spectra, waveform, None)

    def step(self, between: Samples, done: int, count: int, length: int, step: Step) -> mx.array:
        """The same for new frames of a stream, as late as the encoder looks ahead.

        Args:
            between: Gives the recording's samples from one index to another, zeros outside.
            done: Frames that were given before.
            count: New ones.
            length: Frames of the padded recording.
            step: Of the stream.
        """
        hop, side = self.config.hop, self.config.feature_padding

        def surrounded(before: int, behind: int, own: Step) -> Tensor:
            late = math.ceil(behind / hop)
            own.delay += late
            first, stop = (done - late) * hop - before, (done - late + count) * hop + behind
            return between(first, min(stop, length * hop + behind), stop - first)

        semantic = step.branch(fewer=0 if side else 1)
        fbank = self.fbank(surrounded(side, 2 * FEATURE_HOP - side, semantic))
        acoustic = semantic.branch()
        acoustic.length, acoustic.delay = step.length, step.delay
        spectra = self.spectra(surrounded(features.SPECTRA_SIDE, features.SPECTRA_SIDE, acoustic))
        return self.project(fbank, spectra, None, (semantic, acoustic))

    def fbank(self, waveform: Tensor) -> mx.array:
        """Surrounded samples → normalized, stacked fbank (1, T, 160)."""
        moments = features.speech_moments() if self.config.attention_window else None
        fbank = features.normalize_fbank(features.kaldi_fbank(waveform[None]), None, moments)
        return array_of(features.stack_frames(fbank, self.config.feature_stack))

    def spectra(self, waveform: Tensor) -> mx.array | None:
        """Surrounded samples → log spectra (1, T, 320), where the acoustic encoder takes them."""
        if self.config.acoustic_encoder != "spectrogram":
            return None
        spectra = features.log_spectra(waveform[None])
        return array_of(features.stack_frames(spectra, self.config.feature_stack))

    def project(
        self,
        fbank: mx.array,
        spectra: mx.array | None,
        waveform: Tensor | None,
        places: tuple[Step, Step] | None,
    ) -> mx.array:
        """What both branches take → (T, K)."""
        semantic, acoustic = places or (None, None)
        adapted = self.adapter(self.conformer(fbank, semantic), semantic)
        if spectra is not None:
            heard = self.spectrogram_encoder(spectra, acoustic)
        else:
            assert waveform is not None
            heard = self.waveform_encoder(array_of(waveform)[None, :, None])
        if semantic is not None and acoustic is not None:
            delay = max(semantic.delay, acoustic.delay)
            adapted = semantic.delayed(adapted, delay - semantic.delay)
            heard = acoustic.delayed(heard, delay - acoustic.delay)
        heard = heard[:, : adapted.shape[1]]  # NeuCodec's semantic branch is one frame shorter
        latent = self.weights.linear(mx.concatenate([adapted, heard], axis=-1), "fc_encoder")
        if (size := self.config.pooling) > 1:
            whole = latent.shape[1] // size
            latent = latent[:, : whole * size].reshape(1, whole, size, -1).mean(axis=2)
        return self.weights.linear(latent, "quantizer.project_in")[0]

    # ---- semantic branch -------------------------------------------------------------------------

    def conformer(self, fbank: mx.array, place: Place) -> mx.array:
        """(1, T, 160) → (1, T, D)."""
        name = "semantic_encoder.feature_projection"
        x = self.weights.layer_norm(fbank, f"{name}.layer_norm", LAYER_NORM_EPS)
        x = self.weights.linear(x, f"{name}.projection")
        for layer in range(self.config.semantic_layers):
            x = self.conformer_layer(x, f"semantic_encoder.encoder.layers.{layer}", place)
        return x

    def conformer_layer(self, x: mx.array, name: str, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        ahead = self.config.attention_window[1] if self.config.attention_window else 0
        x = x + 0.5 * self.feed_forward(self.norm(x, f"{name}.ffn1_layer_norm"), f"{name}.ffn1")
        y = self.attention(self.norm(x, f"{name}.self_attn_layer_norm"), f"{name}.self_attn", place)
        x = delayed(x, place, ahead) + y
        x = x + self.convolution_module(x, f"{name}.conv_module", place)
        x = x + 0.5 * self.feed_forward(self.norm(x, f"{name}.ffn2_layer_norm"), f"{name}.ffn2")
        return self.norm(x, f"{name}.final_layer_norm")

    def norm(self, x: mx.array, name: str) -> mx.array:
        """The conformer's layer norm."""
        return self.weights.layer_norm(x, name, LAYER_NORM_EPS)

    def feed_forward(self, x: mx.array, name: str) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        x = silu(self.weights.linear(x, f"{name}.intermediate_dense"))
        return self.weights.linear(x, f"{name}.output_dense")

    def attention(self, x: mx.array, name: str, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D), scores with the clamped distance from query to key."""
        config = self.config
        q, k, v = (
            self.weights.linear(x, f"{name}.linear_{part}")
            .reshape(1, x.shape[1], config.semantic_heads, -1)
            .transpose(0, 2, 1, 3)
            for part in "qkv"
        )
        mask: mx.array | None
        if place is not None:
            q, k, v, distances, mask = place.attended(q, k, v, config.attention_window)
        else:
            frames = mx.arange(x.shape[1])
            distances = frames[None] - frames[:, None]
            mask = in_window(distances, config.attention_window)
        scale = q.shape[-1] ** -0.5
        table = self.weights.arrays[f"{name}.distance_embedding.weight"]
        left, right = config.attention_left, config.attention_right
        index = mx.clip(distances, -left, right) + left
        by_distance = (q @ table.T) * scale  # each of the few distances once
        bias = mx.take_along_axis(
            by_distance, mx.broadcast_to(index[None, None], (*q.shape[:3], k.shape[2])), axis=-1
        )
        if mask is not None:
            bias = mx.where(mask, bias, LEAST)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=bias)
        return self.weights.linear(
            y.transpose(0, 2, 1, 3).reshape(1, y.shape[2], -1), f"{name}.linear_out"
        )

    def convolution_module(self, x: mx.array, name: str, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        width, kernel = self.config.semantic_width, self.config.semantic_conv_kernel
        x = self.weights.linear(self.norm(x, f"{name}.layer_norm"), f"{name}.pointwise_conv1")
        x = x[..., :width] * mx.sigmoid(x[..., width:])
        x = self.weights.convolution(
            x, f"{name}.depthwise_conv", (kernel - 1, 0), place, groups=width
        )
        x = silu(self.norm(x, f"{name}.depthwise_layer_norm"))
        return self.weights.linear(x, f"{name}.pointwise_conv2")

    def adapter(self, x: mx.array, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        sides, name = sides_of(self.config.adapter_kernels, self.config), "semantic_adapter.conv"
        x = mx.maximum(self.weights.convolution(x, f"{name}1", sides[0], place), 0)
        skip = delayed(x, place, sides[1][1] + sides[2][1])
        x = mx.maximum(self.weights.convolution(x, f"{name}2", sides[1], place), 0)
        x = self.weights.convolution(x, f"{name}3", sides[2], place)
        return self.weights.convolution(x + skip, f"{name}4", sides[3], place)

    # ---- acoustic branch -------------------------------------------------------------------------

    def spectrogram_encoder(self, spectra: mx.array, place: Place) -> mx.array:
        """(1, T, 320) → (1, T, D)."""
        name = "acoustic_encoder"
        first, *others = sides_of(self.config.acoustic_kernels, self.config)
        x = self.weights.convolution(spectra, f"{name}.embed", first, place)
        for layer, sides in enumerate(others):
            block = f"{name}.blocks.{layer}"
            y = self.weights.convolution(
                x, f"{block}.depthwise", sides, place, groups=self.config.width
            )
            y = self.weights.linear(self.weights.layer_norm(y, f"{block}.norm"), f"{block}.expand")
            x = delayed(x, place, sides[1]) + self.weights.linear(gelu(y), f"{block}.project")
        return self.weights.layer_norm(x, f"{name}.norm")

    def waveform_encoder(self, x: mx.array) -> mx.array:
        """(1, P, 1) → (1, T, D)."""
        name = "acoustic_encoder"
        x = self.weights.convolution(x, f"{name}.conv1", (3, 3))
        for layer, stride in enumerate(self.config.strides):
            block = f"{name}.block.{layer}"
            for unit, dilation in enumerate(DILATIONS, 1):
                x = self.residual_unit(x, f"{block}.res_unit{unit}", dilation)
            x = self.snake(x, f"{block}.snake1")
            padding = stride // 2 + stride % 2
            x = self.weights.convolution(x, f"{block}.conv1", (padding, padding), stride=stride)
        return self.weights.convolution(self.snake(x, f"{name}.snake1"), f"{name}.conv2", (1, 1))

    def residual_unit(self, x: mx.array, name: str, dilation: int) -> mx.array:
        """(1, N, C) → (1, N, C)."""
        side = 3 * dilation
        y = self.weights.convolution(
            self.snake(x, f"{name}.snake1"), f"{name}.conv1", (side, side), dilation=dilation
        )
        return x + self.weights.linear(self.snake(y, f"{name}.snake2"), f"{name}.conv2")

    def snake(self, x: mx.array, name: str) -> mx.array:
        """(1, N, C) → (1, N, C): twice the rate, x + sin²(αx)/β, and back.

        Even and odd values of the doubled rate are two channels of one signal, and all signals are
        rows of one batch.
        """
        rows = x[0].T[..., None]  # (C, N, 1)
        held = mx.concatenate(
            [mx.repeat(rows[:, :1], 3, axis=1), rows, mx.repeat(rows[:, -1:], 3, axis=1)], axis=1
        )
        doubled = mx.conv1d(held, self.up)  # (C, N, 2)
        alpha = mx.exp(self.weights.arrays[f"{name}.act.alpha"])[:, None, None]
        beta = mx.exp(self.weights.arrays[f"{name}.act.beta"])[:, None, None] + NO_ZERO_DIVISION
        doubled = doubled + mx.sin(doubled * alpha).square() / beta
        first = mx.broadcast_to(doubled[:, :1, :1], (len(rows), 3, 2))
        last = mx.broadcast_to(doubled[:, -1:, 1:], (len(rows), 3, 2))
        return mx.conv1d(mx.concatenate([first, doubled, last], axis=1), self.down)[..., 0].T[None]


class Samples:
    """A recording's samples as they are known: (first, stop, size) → (size,), zeros outside."""

    def __init__(self) -> None:
        self.values = torch.empty(0, dtype=torch.float32, device="cpu")
        self.first = 0

    def __call__(self, first: int, stop: int, size: int) -> Tensor:
        """Samples first … stop, and zeros behind them up to `size`."""
        before = max(-first, 0)
        known = self.values[max(first - self.first, 0) : max(stop - self.first, 0)]
        return F.pad(known, (before, size - before - len(known)))


def in_window(distances: mx.array, window: tuple[int, ...]) -> mx.array | None:
    """Which keys a query sees; None is all."""
    if not window:
        return None
    return mx.logical_and(distances >= -window[0], distances <= window[1])


def silu(x: mx.array) -> mx.array:
    """x·σ(x)."""
    return x * mx.sigmoid(x)


def gelu(x: mx.array) -> mx.array:
    """x·Φ(x), exactly."""
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2
