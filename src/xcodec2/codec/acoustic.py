"""The acoustic branch: what the waveform sounds like, one vector a frame.

Attribute names are those of the transformers checkpoint. B batch, C channels, T frames; N samples,
which shrink by each stride. Convolutions pad with zeros, activations hold the ends.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from xcodec2.codec.config import MEL_BINS, XCodec2Config
from xcodec2.codec.constants import PITCH_BINS, SPECTRA_SIDE
from xcodec2.codec.features import log_spectra, stack_frames, surrounded
from xcodec2.codec.kernels.convolution import Conv1d, FrameConv1d
from xcodec2.codec.kernels.linear import Linear
from xcodec2.codec.masking import zero_tail
from xcodec2.codec.snake import AntiAliasedSnake
from xcodec2.codec.step import Lengths, Step, delayed

DILATIONS = (1, 3, 9)


class ResidualUnit(nn.Module):
    """Activation, dilated convolution, activation, pointwise convolution, and a skip around all."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.snake1 = AntiAliasedSnake(channels)
        self.conv1 = Conv1d(channels, channels, 7, dilation=dilation, padding=3 * dilation)
        self.snake2 = AntiAliasedSnake(channels)
        self.conv2 = Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, C, N) → (B, C, N); `lengths` (B,) in samples at this rate."""
        y = self.conv1(self.snake1(x, lengths))
        y = self.snake2(y, lengths)
        return self.conv2(y).add_(x)  # in place: a large new array costs more than the sum


class EncoderBlock(nn.Module):
    """Three residual units, then twice the channels at a lower rate."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.res_unit1, self.res_unit2, self.res_unit3 = (
            ResidualUnit(channels, d) for d in DILATIONS
        )
        self.snake1 = AntiAliasedSnake(channels)
        padding = stride // 2 + stride % 2
        self.conv1 = Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=padding)

    def layers(self) -> list[Callable[[Tensor, Tensor | None], Tensor]]:
        """One after the other.

        Not one forward: its caller would hold the input, the largest array, to the end.
        """
        return [
            self.res_unit1,
            self.res_unit2,
            self.res_unit3,
            lambda x, lengths: self.conv1(self.snake1(x, lengths)),
        ]


class WaveformEncoder(nn.Module):
    """The published encoder: convolutions from 16 kHz down to the frame rate."""

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.strides = config.strides
        channels = config.acoustic_channels
        self.conv1 = Conv1d(1, channels, 7, padding=3)
        self.block = nn.ModuleList(
            EncoderBlock(channels * 2**i, s) for i, s in enumerate(config.strides)
        )
        channels *= 2 ** len(config.strides)
        self.snake1 = AntiAliasedSnake(channels)
        self.conv2 = Conv1d(channels, config.width, 3, padding=1)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, N) → (B, C, N/hop); N and `lengths` (B,) in samples, multiples of the hop."""
        x = self.conv1(zero_tail(waveform[:, None], lengths))
        for block, stride in zip(self.block, self.strides, strict=True):
            assert isinstance(block, EncoderBlock)
            for layer in block.layers():
                x = layer(x, lengths)
            lengths = None if lengths is None else lengths // stride
        return self.conv2(self.snake1(x, lengths))

    def add_weight_norm(self) -> None:
        """Part length from direction in every convolution, as the original trains.

        Checkpoints hold them folded.
        """
        for module in list(self.modules()):
            if isinstance(module, nn.Conv1d):
                weight_norm(module)


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, then an MLP at each frame, and a skip around them."""

    def __init__(self, channels: int, ahead: int = 3) -> None:
        super().__init__()
        self.ahead = ahead
        self.depthwise = FrameConv1d(channels, channels, 7, ahead=ahead, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.expand = Linear(channels, 4 * channels)
        self.project = Linear(4 * channels, channels)

    def forward(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, C, T) → (B, C, T); `lengths` (B,) in frames."""
        y = self.depthwise.over(x, lengths).transpose(1, 2)
        x = delayed(x, lengths, self.ahead)
        return x + self.project(F.gelu(self.expand(self.norm(y)))).transpose(1, 2)


class SpectrogramEncoder(nn.Module):
    """A cheaper ear for small models, which learn from log spectra at once and from raw samples
    hardly.
    """

    def __init__(self, config: XCodec2Config) -> None:
        super().__init__()
        self.hop, self.stack = config.encoder_hop, config.feature_stack
        first, *others = config.aheads(config.acoustic_kernels)
        self.embed = FrameConv1d(self.stack * (MEL_BINS + PITCH_BINS), config.width, 3, ahead=first)
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.width, ahead) for ahead in others)
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, waveform: Tensor, lengths: Lengths = None) -> Tensor:
        """(B, N) → (B, C, N/hop); N and `lengths` (B,) in samples, multiples of the hop."""
        return self.encode(log_spectra(self.surrounded(waveform, lengths)), lengths)

    def surrounded(self, waveform: Tensor, lengths: Lengths) -> Tensor:
        """(B, N) → (B, N + 2·SPECTRA_SIDE), zeros or a stream's samples on either side."""
        if isinstance(lengths, Step):
            return surrounded(waveform, lengths, self.hop, SPECTRA_SIDE)
        waveform = zero_tail(waveform[:, None], lengths)[:, 0]
        return F.pad(waveform, (SPECTRA_SIDE, SPECTRA_SIDE))

    def encode(self, spectra: Tensor, lengths: Lengths) -> Tensor:
        """(B, F, 160) log spectra → (B, C, T); `lengths` (B,) in samples."""
        spectra = stack_frames(spectra, self.stack).to(self.embed.weight.dtype)
        if isinstance(lengths, Tensor):
            lengths = lengths // self.hop
        x = self.embed.over(spectra.transpose(1, 2), lengths)
        for block in self.blocks:
            x = block(x, lengths)
        return self.norm(x.transpose(1, 2)).transpose(1, 2)
