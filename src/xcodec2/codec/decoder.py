"""The decoder: vectors at the frame rate → spectra → waveform.

Attribute names are those of the transformers checkpoint. B batch, T frames, D width, H heads. The
attention has no positions: the original's rotary embedding turns by head index, which cancels
between query and key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.constants import MAX_MAGNITUDE, MIN_ENVELOPE, NORM_GROUPS, XCODEC2_WINDOW
from xcodec2.codec.kernels.convolution import Conv1d
from xcodec2.codec.kernels.linear import Linear, SiLULinear
from xcodec2.codec.masking import mean_and_variance, valid_mask, window_mask, zero_tail
from xcodec2.codec.step import Lengths, Step, delayed

EPS = 1e-6
# frames up to which bfloat16 scores (2 bytes for each head and pair) are better written whole on a
# CPU
SHORT = 1000


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm over channels and time whose statistics stop at each item's end."""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, D, T) → (B, D, T); `lengths` (B,) in frames."""
        if lengths is None:
            return super().forward(x)
        grouped = x.unflatten(1, (self.num_groups, -1))  # (B, G, C/G, T)
        per_channel = grouped.flatten(0, 1).transpose(1, 2).float()  # (B·G, T, C/G)
        mean, variance = mean_and_variance(
            per_channel, lengths.repeat_interleave(self.num_groups), unbiased=False
        )
        group_mean = mean.mean(-1, keepdim=True)
        # the variance of a union: mean of the variances and variance of the means
        group_variance = (variance + (mean - group_mean).square()).mean(-1, keepdim=True)
        shape = (x.shape[0], self.num_groups, 1, 1)
        normal = (grouped - group_mean.view(shape)) * (
            group_variance.view(shape) + self.eps
        ).rsqrt()
        return (normal.flatten(1, 2) * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class FrameNorm(nn.LayerNorm):
    """LayerNorm of each frame alone: what stands in GroupNorm's place where the receptive field is
    finite.
    """

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """(B, C, T), whatever the lengths."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def norm_of(config: XCodec2Config) -> nn.Module:
    """Over channels and, where the field has no limit, over time."""
    if config.attention_window:
        return FrameNorm(config.width, eps=EPS)
    return MaskedGroupNorm(NORM_GROUPS, config.width, eps=EPS)


class ResNetBlock(nn.Module):
    """Norm, SiLU and convolution, twice, and a skip around them."""

    def __init__(self, config: XCodec2Config, aheads: Sequence[int]) -> None:
        super().__init__()
        width = config.width
        self.ahead = sum(aheads)
        self.norm1 = norm_of(config)
        self.conv1 = Conv1d(width, width, 3, ahead=aheads[0])
        self.norm2 = norm_of(config)
        self.dropout = nn.Dropout(config.dropout)
        self.conv2 = Conv1d(width, width, 3, ahead=aheads[1])

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, D, T) → (B, D, T); `lengths` (B,) in frames."""
        y = self.conv1.over(F.silu(self.norm1(x, lengths)), lengths)
        y = self.dropout(F.silu(self.norm2(y, lengths)))
        return delayed(x, lengths, self.ahead) + self.conv2.over(y, lengths)


class Attention(nn.Module):
    """Self-attention over the whole utterance, without positions."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.heads, self.window = config.heads, config.attention_window
        attended = config.heads * config.head_width  # the decoder's width in every published model
        self.q_proj = Linear(config.width, attended, bias=False)
        self.k_proj = Linear(config.width, attended, bias=False)
        self.v_proj = Linear(config.width, attended, bias=False)
        self.o_proj = Linear(attended, config.width, bias=False)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, head width)
            for part in self.project(x)
        )
        if isinstance(lengths, Step):
            y = attend(*lengths.attended(q, k, v, self.window))
        else:
            y = attend(q, k, v, self.mask(x, lengths))
        return self.o_proj(y.transpose(1, 2).flatten(2))

    def mask(self, x: Tensor, lengths: Tensor | None) -> Tensor | None:
        """Which keys of (B, T, D) each query sees, to broadcast to (B, H, T, T); None is all."""
        mask = None if lengths is None else valid_mask(lengths, x.shape[1])[:, None, None]
        if not self.window:
            return mask
        frames = torch.arange(x.shape[1], device=x.device)
        near = window_mask(frames, frames, self.window)
        return near if mask is None else near & mask

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, T, D) → queries, keys and values, each (B, T, H·head width)."""
        return self.q_proj(x), self.k_proj(x), self.v_proj(x)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention of (B, H, T, head width)."""
    low = q.device.type == "cpu" and q.dtype == torch.bfloat16
    if not low or q.shape[2] > SHORT:
        return F.scaled_dot_product_attention(q, k, v, mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).to(v.dtype) @ v


class MLP(nn.Module):
    """Two linear layers with SiLU between them."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.fc1 = SiLULinear(config.width, config.ffn, bias=False)
        self.fc2 = Linear(config.ffn, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        return self.fc2(self.fc1(x))


class TransformerLayer(nn.Module):
    """Attention and MLP, each behind a norm and with a skip around it."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.width, eps=EPS)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.width, eps=EPS)
        self.mlp = MLP(config)
        self.ahead = config.attention_window[1] if config.attention_window else 0

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T, D); `lengths` (B,) in frames."""
        x = delayed(x, lengths, self.ahead, 1) + self.self_attn(self.input_layernorm(x), lengths)
        return x + self.mlp(self.post_attention_layernorm(x))


class Upsampler(nn.Module):
    """More frames of fewer channels, stage by stage, and back to the decoder's width: what
    Anime-XCodec2 at 44.1 kHz has before its head.

    A kernel longer than its factor by an odd number gives one frame more than the factor says;
    nothing is cut before the waveform.
    """

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.upsample_layers, self.resnet_blocks = nn.ModuleList(), nn.ModuleList()
        stages = zip(config.upsampling, config.upsampling_kernels, strict=True)
        plain = replace(config, upsampling=(), upsampling_kernels=(), dropout=0.0)
        for stage, (factor, kernel) in enumerate(stages, 1):
            width = config.width >> stage
            self.upsample_layers.append(
                nn.ConvTranspose1d(
                    2 * width, width, kernel, stride=factor, padding=(kernel - factor) // 2
                )
            )
            self.resnet_blocks.append(ResNetBlock(replace(plain, width=width), (1, 1)))
        self.out_proj = Linear(width, config.width)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) → (B, T', D) and its lengths, both (B,) in frames."""
        x = x.transpose(1, 2)
        for layer, block in zip(self.upsample_layers, self.resnet_blocks, strict=True):
            assert isinstance(layer, nn.ConvTranspose1d)
            x = layer(zero_tail(x, lengths))
            if lengths is not None:
                factor, kernel = layer.stride[0], layer.kernel_size[0]
                lengths = lengths * factor + (kernel - factor) % 2
            x = block(x, lengths)
        return F.silu(self.out_proj(x.transpose(1, 2))), lengths


class ISTFTHead(nn.Module):
    """Log-magnitudes and phases → waveform, by an inverse STFT that gives exactly one hop of
    samples a frame.
    """

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.n_fft, self.hop = config.n_fft, config.head_hop
        self.linear = Linear(config.width, config.n_fft + 2)
        # A magnitude is a sum over the window: the same loudness needs more in a longer one.
        # NeuCodec and the others whose heads were lengthened elsewhere never had it.
        derived = not config.feature_padding or config.pooling > 1 or config.upsampling
        longer = 1.0 if derived else config.n_fft / XCODEC2_WINDOW
        self.loudest = MAX_MAGNITUDE * max(1.0, longer)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, D) → (B, T·hop) float32."""
        log_magnitude, phase = self.linear(x).float().chunk(2, dim=-1)
        spectrum = torch.polar(log_magnitude.exp().clamp(max=self.loudest), phase)
        return self.inverse_stft(spectrum, lengths)

    def inverse_stft(self, spectrum: Tensor, lengths: Lengths) -> Tensor:
        """(B, T, n_fft/2 + 1) complex → (B, T·hop), each row over its own window powers."""
        window = torch.hann_window(self.n_fft, dtype=torch.float32, device=spectrum.device)
        frames = torch.fft.irfft(spectrum, self.n_fft) * window  # (B, T, n_fft)
        if isinstance(lengths, Step):
            return self.inverse_step(frames, window.square(), lengths, self.overlap_add)
        powers = window.square().expand(1, frames.shape[1], -1)
        if lengths is not None:
            valid = valid_mask(lengths, frames.shape[1])[..., None]
            frames, powers = frames * valid, powers * valid
        side = (self.n_fft - self.hop) // 2
        envelope = self.overlap_add(powers)[:, side:-side].clamp(min=MIN_ENVELOPE)
        return self.overlap_add(frames)[:, side:-side] / envelope

    def inverse_step(
        self, frames: Tensor, power: Tensor, step: Step, overlap_add: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Windowed frames → the samples that no frame to come has a part in.

        Args:
            frames: (B, t, n_fft).
            power: (n_fft,), the window squared.
            step: Of the streams.
            overlap_add: (B, T, n_fft) → (B, (T + 3)·hop).

        Returns:
            (B, t·hop).
        """
        late = self.n_fft // self.hop // 2  # frames until a hop of samples has all its parts
        count, valid = frames.shape[1], step.valid(frames.shape[1], 2 * late)
        powers = power.expand(1, 2 * late + count, -1)
        if valid is not None:
            frames, powers = frames * valid[:, 2 * late :, None], powers * valid[..., None]
        summed = overlap_add(step.extended(frames, 2 * late, 1))
        first = late * self.hop + (self.n_fft - self.hop) // 2
        now = slice(first, first + count * self.hop)
        step.delay += late
        return summed[:, now] / overlap_add(powers)[:, now].clamp(min=MIN_ENVELOPE)

    def overlap_add(self, frames: Tensor) -> Tensor:
        """(B, T, n_fft) → (B, (T + 3)·hop): each frame laid one hop behind the last."""
        batch, count, _ = frames.shape
        overlap = self.n_fft // self.hop
        out = frames.new_zeros(batch, count + overlap - 1, self.hop)
        for part, piece in enumerate(frames.unflatten(-1, (overlap, self.hop)).unbind(2)):
            out[:, part : part + count] += piece
        return out.flatten(1)


class Decoded(NamedTuple):
    """What the decoder makes of vectors.

    Attributes:
        waveform: (B, T·hop) float32.
        hidden: (B, D, T), what its last block gave, before norm and head.
    """

    waveform: Tensor
    hidden: Tensor


class AcousticDecoder(nn.Module):
    """Convolutions, attention over the whole utterance, convolutions, and an inverse STFT."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.fc = Linear(config.latent_width, config.width)
        first, *aheads = config.aheads(config.decoder_kernels)
        self.embed = Conv1d(config.width, config.width, 7, ahead=first)
        self.prior_net = nn.ModuleList(ResNetBlock(config, aheads[i : i + 2]) for i in (0, 2))
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.post_net = nn.ModuleList(ResNetBlock(config, aheads[i : i + 2]) for i in (4, 6))
        self.norm = nn.LayerNorm(config.width, eps=EPS)
        self.upsampler = Upsampler(config) if config.upsampling else None
        self.head = ISTFTHead(config)
        self.output_hop = config.output_hop

    def forward(self, vectors: Tensor, lengths: Lengths = None) -> Decoded:
        """(B, T, semantic + acoustic width) → waveform; `lengths` (B,) in frames."""
        x = self.fc(vectors).transpose(1, 2)  # (B, D, T)
        return self.from_embedded(self.embed.over(x, lengths), lengths)

    def from_embedded(self, x: Tensor, lengths: Lengths = None) -> Decoded:
        """The rest of `forward`, from (B, D, T)."""
        for block in self.prior_net:
            x = block(x, lengths)
        x = x.transpose(1, 2)  # (B, T, D)
        for layer in self.layers:
            x = layer(x, lengths)
        x = x.transpose(1, 2)
        for block in self.post_net:
            x = block(x, lengths)
        y = self.norm(x.transpose(1, 2))
        if self.upsampler is None:
            return Decoded(self.head(y, lengths), x)
        assert not isinstance(lengths, Step)  # no finite receptive field
        waveform = self.head(*self.upsampler(y, lengths))
        return Decoded(waveform[:, : x.shape[2] * self.output_hop], x)
