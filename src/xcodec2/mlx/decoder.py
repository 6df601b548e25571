"""From codes to waveform on MLX, in float32 or less. (1, T, D) throughout."""

from __future__ import annotations

import mlx.core as mx
import numpy as np

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.decoder import MIN_ENVELOPE
from xcodec2.mlx.encoder import in_window, silu
from xcodec2.mlx.step import Place, delayed
from xcodec2.mlx.weights import MlxWeights, sides_of

NAME = "acoustic_decoder"


class MlxDecoder:
    """The quantizer's way back, the decoder and its head.

    Args:
        weights: Of the decoder.
        exact: The quantizer's and the head's, which stay float32: phases do not bear less.
        config: The model's sizes.
        loudest: The head's largest magnitude.
    """

    def __init__(
        self,
        weights: MlxWeights,
        exact: MlxWeights,
        config: XCodec2Config,
        loudest: float,
    ) -> None:
        self.weights, self.exact, self.config, self.loudest = weights, exact, config, loudest
        levels = np.array(config.levels)
        self.radix = mx.array(np.cumprod([1, *levels[:-1]]))
        self.levels, self.center = mx.array(levels), mx.array(levels // 2)
        size = config.n_fft
        # as PyTorch's periodic window, in double
        self.window = mx.array(
            (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
        )

    def __call__(self, codes: mx.array, place: Place = None) -> mx.array:
        """(T,) → (T·output_hop,) float32; of a step as late as the decoder looks ahead."""
        digits = codes[:, None] // self.radix % self.levels
        values = ((digits - self.center) / self.center).astype(mx.float32)[None]
        x = self.exact.linear(values, "quantizer.project_out")
        x = self.exact.linear(x, f"{NAME}.fc")
        first, *sides = sides_of(self.config.decoder_kernels, self.config)
        x = self.exact.convolution(x, f"{NAME}.embed", first, place).astype(self.weights.dtype)
        for block in (0, 1):
            x = self.block(x, f"{NAME}.prior_net.{block}", sides[2 * block :], place)
        for layer in range(self.config.layers):
            x = self.layer(x, f"{NAME}.layers.{layer}", place)
        for block in (0, 1):
            x = self.block(x, f"{NAME}.post_net.{block}", sides[4 + 2 * block :], place)
        x = self.exact.layer_norm(x.astype(mx.float32), f"{NAME}.norm")
        if not self.config.upsampling:
            return self.head(x, place)
        return self.head(self.upsampled(x), None)[: len(codes) * self.config.output_hop]

    def block(
        self,
        x: mx.array,
        name: str,
        sides: list[tuple[int, int]],
        place: Place,
        weights: MlxWeights | None = None,
    ) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        weights = weights or self.weights
        norm = weights.layer_norm if self.config.attention_window else weights.group_norm
        y = silu(norm(x, f"{name}.norm1"))
        y = weights.convolution(y, f"{name}.conv1", sides[0], place)
        y = silu(norm(y, f"{name}.norm2"))
        skip = delayed(x, place, sides[0][1] + sides[1][1])
        return skip + weights.convolution(y, f"{name}.conv2", sides[1], place)

    def upsampled(self, x: mx.array) -> mx.array:
        """(1, T, D) → (1, T', D), as `xcodec2.codec.decoder.Upsampler` does."""
        name = f"{NAME}.upsampler"
        stages = zip(self.config.upsampling, self.config.upsampling_kernels, strict=True)
        for stage, (factor, kernel) in enumerate(stages):
            x = self.exact.transposed_convolution(
                x, f"{name}.upsample_layers.{stage}", factor, (kernel - factor) // 2
            )
            sides = [(1, 1), (1, 1)]
            x = self.block(x, f"{name}.resnet_blocks.{stage}", sides, None, self.exact)
        return silu(self.exact.linear(x, f"{name}.out_proj"))

    def layer(self, x: mx.array, name: str, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D)."""
        ahead = self.config.attention_window[1] if self.config.attention_window else 0
        skip = delayed(x, place, ahead)
        y = self.weights.rms_norm(x, f"{name}.input_layernorm")
        x = skip + self.attention(y, f"{name}.self_attn", place)
        y = self.weights.rms_norm(x, f"{name}.post_attention_layernorm")
        y = silu(self.weights.linear(y, f"{name}.mlp.fc1"))
        return x + self.weights.linear(y, f"{name}.mlp.fc2")

    def attention(self, x: mx.array, name: str, place: Place) -> mx.array:
        """(1, T, D) → (1, T, D), without positions."""
        q, k, v = (
            self.weights.linear(x, f"{name}.{part}_proj")
            .reshape(1, x.shape[1], self.config.heads, -1)
            .transpose(0, 2, 1, 3)
            for part in "qkv"
        )
        mask: mx.array | None
        if place is not None:
            q, k, v, _, mask = place.attended(q, k, v, self.config.attention_window)
        else:
            frames = mx.arange(x.shape[1])
            mask = in_window(frames[None] - frames[:, None], self.config.attention_window)
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask)
        return self.weights.linear(
            y.transpose(0, 2, 1, 3).reshape(1, y.shape[2], -1), f"{name}.o_proj"
        )

    def head(self, x: mx.array, place: Place) -> mx.array:
        """(1, T, D) → (T·hop,)."""
        size, hop = self.config.n_fft, self.config.head_hop
        spectra = self.exact.linear(x, f"{NAME}.head.linear")[0]
        bins = size // 2 + 1
        magnitude = mx.minimum(mx.exp(spectra[:, :bins]), self.loudest)
        phase = spectra[:, bins:]
        complex_spectra = magnitude * mx.cos(phase) + 1j * (magnitude * mx.sin(phase))
        frames = mx.fft.irfft(complex_spectra, size) * self.window
        power = mx.broadcast_to(self.window.square(), frames.shape)
        if place is None:
            side = (size - hop) // 2
            envelope = mx.maximum(overlap_add(power, hop)[side:-side], MIN_ENVELOPE)
            return overlap_add(frames, hop)[side:-side] / envelope
        late, count = size // hop // 2, len(frames)
        valid = place.valid(count, 2 * late)
        power = mx.broadcast_to(self.window.square(), (2 * late + count, size))
        if valid is not None:
            frames, power = frames * valid[2 * late :, None], power * valid[:, None]
        summed = overlap_add(place.extended(frames[None], 2 * late)[0], hop)
        first = late * hop + (size - hop) // 2
        place.delay += late
        envelope = overlap_add(power, hop)[first : first + count * hop]
        return summed[first : first + count * hop] / mx.maximum(envelope, MIN_ENVELOPE)


def overlap_add(frames: mx.array, hop: int) -> mx.array:
    """(T, n_fft) → ((T + 3)·hop,): each frame laid one hop behind the last."""
    count, size = frames.shape
    overlap = size // hop
    pieces = frames.reshape(count, overlap, hop)
    moved = [mx.pad(pieces[:, i], [(i, overlap - 1 - i), (0, 0)]) for i in range(overlap)]
    return sum(moved[1:], moved[0]).reshape(-1)
