"""The codec as two functions from tensors to tensors, in operations that every ONNX runtime has.

What the model computes with Fourier transforms of complex numbers, blocks of queries or strided
views is written here with real matrices and slices. All rows of a batch have one length. B batch, N
samples, F fbank frames of 10 ms, T codes.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec import constants, features
from xcodec2.codec.acoustic import SpectrogramEncoder
from xcodec2.codec.config import FEATURE_HOP, FEATURE_WINDOW
from xcodec2.codec.constants import MIN_ENVELOPE
from xcodec2.codec.decoder import ISTFTHead
from xcodec2.codec.inference.fold import folded_kernel
from xcodec2.codec.network import CodecNetwork, replace_part
from xcodec2.codec.semantic import RelativeKeyAttention
from xcodec2.codec.snake import AntiAliasedSnake, kaiser_sinc
from xcodec2.codec.step import UNKNOWN, Step

CPU = torch.device("cpu")
Module = TypeVar("Module", bound=nn.Module)
PRECISE = torch.float64  # of the spectra: differences of large powers lose codes in float32


def fourier_matrix(n_fft: int, bins: int) -> Tensor:
    """(n_fft, 2·bins): real parts of the first `bins` frequencies, then imaginary parts."""
    rows, columns = (torch.arange(size, device=CPU) for size in (n_fft, bins))
    angles = 2 * math.pi / n_fft * torch.outer(rows, columns).remainder(n_fft).to(PRECISE)
    return torch.cat([angles.cos(), -angles.sin()], dim=1)


def overlapping(signal: Tensor, size: int) -> Tensor:
    """(B, N) → (B, F, size): frames one FEATURE_HOP apart; N a multiple of it, F = N/hop + 1 -
    size/hop rounded up.
    """
    blocks = signal.unflatten(1, (-1, FEATURE_HOP))
    whole, rest = divmod(size, FEATURE_HOP)
    count = blocks.shape[1] + 1 - whole - (1 if rest else 0)  # SymPy of old takes no True
    parts = [blocks[:, i : i + count] for i in range(whole)]
    if rest:
        parts.append(blocks[:, whole : whole + count, :rest])
    return torch.cat(parts, dim=-1)


class Fbank(nn.Module):
    """(B, N) → (B, F, 80) float64: `features.kaldi_fbank` for N a multiple of FEATURE_HOP."""

    spectrum: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        size = FEATURE_WINDOW
        ones = torch.ones(size - 1, dtype=torch.float32, device=CPU)
        emphasis = torch.eye(size, dtype=PRECISE, device=CPU)
        emphasis -= constants.PREEMPHASIS * torch.diag(ones, 1)
        emphasis[0, 0] = 1 - constants.PREEMPHASIS  # the first sample's predecessor is itself
        bins = constants.FBANK_FFT // 2 + 1
        spectrum = fourier_matrix(constants.FBANK_FFT, bins)[:size]
        self.register_buffer(
            "spectrum", emphasis @ (features.povey_window(CPU, PRECISE)[:, None] * spectrum)
        )
        self.register_buffer("filters", features.mel_filters(constants.FBANK_FFT, CPU, PRECISE))

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) → (B, F, 80) float64."""
        frames = overlapping(waveform.to(PRECISE) * constants.PCM_SCALE, FEATURE_WINDOW)
        real, imaginary = ((frames - frames.mean(-1, keepdim=True)) @ self.spectrum).chunk(
            2, dim=-1
        )
        energies = (real.square() + imaginary.square()) @ self.filters
        return energies.clamp(min=constants.ENERGY_FLOOR).log()


class Spectrogram(nn.Module):
    """`SpectrogramEncoder` for rows of one length."""

    mel: Tensor
    pitch: Tensor
    filters: Tensor

    def __init__(self, encoder: SpectrogramEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        for name, n_fft, bins in (
            ("mel", constants.FBANK_FFT, constants.FBANK_FFT // 2 + 1),
            ("pitch", features.PITCH_FFT, constants.PITCH_BINS),
        ):
            window = torch.hann_window(n_fft, dtype=PRECISE, device=CPU)
            self.register_buffer(
                name, window[:, None] * fourier_matrix(n_fft, bins) / math.sqrt(n_fft)
            )
        self.register_buffer("filters", features.mel_filters(constants.FBANK_FFT, CPU, PRECISE))

    def forward(self, waveform: Tensor, lengths: Step | None) -> Tensor:
        """(B, N) → (B, C, T)."""
        waveform = self.encoder.surrounded(waveform, lengths).to(PRECISE)
        mel = magnitudes_by_matrix(waveform, self.mel) @ self.filters
        spectra = torch.cat([mel, magnitudes_by_matrix(waveform, self.pitch)], dim=-1)
        return self.encoder.encode(features.log_scaled(spectra).float(), lengths)


def magnitudes_by_matrix(waveform: Tensor, transform: Tensor) -> Tensor:
    """(B, N + 2·SPECTRA_SIDE) → (B, N/160, bins): `features.centered_magnitudes` by a windowed
    Fourier matrix (n_fft, 2·bins).
    """
    size = len(transform)
    unused = constants.SPECTRA_SIDE - (size - FEATURE_HOP) // 2
    inner = waveform[:, unused : waveform.shape[1] - unused]
    frames = overlapping(F.pad(inner, (0, -size % FEATURE_HOP)), size)
    real, imaginary = (frames @ transform).chunk(2, dim=-1)
    return (real.square() + imaginary.square()).sqrt()


class WholeAttention(nn.Module):
    """`RelativeKeyAttention` with all queries at once."""

    def __init__(self, attention: RelativeKeyAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, lengths: Step | None) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        if lengths is not None:
            return self.attention(x, lengths)
        q, k, v = self.attention.project(x)
        attended = F.scaled_dot_product_attention(
            q, k, v, self.attention.score_bias(q, 0, q.shape[2], None)
        )
        return self.attention.linear_out(attended.transpose(1, 2).flatten(2))


class Polyphase(nn.Module):
    """`AntiAliasedSnake` by two small convolutions that all channels share: even and odd
    values of the doubled rate are two channels of one signal.
    """

    up: Tensor
    down: Tensor

    def __init__(self, snake: AntiAliasedSnake) -> None:
        super().__init__()
        self.act = snake.act
        taps = kaiser_sinc(CPU, torch.float32)
        even, odd = taps[1::2], taps[::2]
        self.register_buffer(
            "up",
            2 * torch.stack([F.pad(even.flip(0), (0, 1)), F.pad(odd.flip(0), (1, 0))])[:, None],
        )
        self.register_buffer("down", torch.stack([F.pad(even, (1, 0)), F.pad(odd, (0, 1))])[None])

    def forward(self, x: Tensor, lengths: None) -> Tensor:
        """(B, C, N) → (B, C, N)."""
        batch, channels, _ = x.shape
        rows = F.pad(x, (3, 3), mode="replicate").flatten(0, 1)[:, None]
        doubled = F.conv1d(rows, self.up).unflatten(0, (batch, channels))  # (B, C, 2, N)
        doubled = self.act(doubled.transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        first, last = doubled[:, :1, :1].expand(-1, 2, 3), doubled[:, 1:, -1:].expand(-1, 2, 3)
        return F.conv1d(torch.cat([first, doubled, last], dim=-1), self.down)[:, 0].unflatten(
            0, (batch, channels)
        )


class RealISTFT(nn.Module):
    """`ISTFTHead` for rows of one length: the inverse transform as a matrix."""

    inverse: Tensor
    powers: Tensor

    def __init__(self, head: ISTFTHead) -> None:
        super().__init__()
        self.head = head
        bins = head.n_fft // 2 + 1
        # each frequency stands for its mirror image as well
        twice = torch.full((bins,), 2.0, dtype=PRECISE, device=CPU)
        twice[[0, -1]] = 1
        inverse = fourier_matrix(head.n_fft, bins) * twice.repeat(2) / head.n_fft
        window = torch.hann_window(head.n_fft, dtype=torch.float32, device=CPU)
        self.register_buffer("inverse", (inverse.T * window).float())
        self.register_buffer("powers", window.square()[None, None])

    def forward(self, x: Tensor, lengths: Step | None) -> Tensor:
        """(B, T, D) → (B, T·hop)."""
        log_magnitude, phase = self.head.linear(x).chunk(2, dim=-1)
        magnitude = log_magnitude.exp().clamp(max=self.head.loudest)
        frames = (
            torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=-1) @ self.inverse
        )
        if lengths is not None:
            return self.head.inverse_step(frames, self.powers[0, 0], lengths, self.overlap_add)
        side = (self.head.n_fft - self.head.hop) // 2  # as much is cut from either end
        envelope = self.overlap_add(self.powers.expand(1, x.shape[1], -1))[:, side:-side]
        return self.overlap_add(frames)[:, side:-side] / envelope.clamp(min=MIN_ENVELOPE)

    def overlap_add(self, frames: Tensor) -> Tensor:
        """(B, T, n_fft) → (B, (T + 3)·hop): each frame laid one hop behind the last."""
        overlap = self.head.n_fft // self.head.hop
        pieces = frames.unflatten(-1, (overlap, self.head.hop)).unbind(2)
        moved = [F.pad(piece, (0, 0, i, overlap - 1 - i)) for i, piece in enumerate(pieces)]
        return sum(moved[1:], moved[0]).flatten(1)


class EncoderGraph(nn.Module):
    """(B, N) float32 waveforms at the input rate → (B, T) int64 codes, T as `config.frames(N)`;
    where the receptive field is finite, also their margins (B, T) (see `Quantized`).

    It takes the network over, and changes parts of it.
    """

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.network = network
        network.fbank = Fbank()
        adapted(network.semantic_encoder, RelativeKeyAttention, WholeAttention)
        if isinstance(network.acoustic_encoder, SpectrogramEncoder):
            network.acoustic_encoder = Spectrogram(network.acoustic_encoder)
        else:
            adapted(network.acoustic_encoder, AntiAliasedSnake, Polyphase)

    def forward(self, waveform: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(B, N) → (B, T) int64."""
        encoded = self.network.encode_features(self.network.pad(waveform))
        quantized = self.network.quantize(encoded.latent)
        if self.network.receptive_field is None:
            return quantized.codes
        return quantized.codes, quantized.margin

    def step(self, waveform: Tensor, step: Step) -> tuple[Tensor, ...]:
        """New frames of streams (B, t, hop) → codes (B, t) and their margins, so late as the
        encoder looks ahead.
        """
        quantized = self.network.quantize(
            self.network.encode_features(waveform.flatten(1), step).latent
        )
        return quantized.codes, quantized.margin


class DecoderGraph(nn.Module):
    """(B, T) int64 codes → (B, T·output_hop) float32 waveforms.

    It starts with one convolution (see `xcodec2.codec.inference.fold`), takes the network
    over, and changes parts of it.
    """

    kernel: Tensor

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        decoder = network.acoustic_decoder
        embed, kernel = decoder.embed, folded_kernel(network.quantizer, decoder).detach()
        self.quantizer, self.embed = network.quantizer, embed
        self.register_buffer(
            "kernel", kernel.unflatten(1, (-1, *embed.kernel_size))
        )  # (D, K + 1, size)
        self.acoustic_decoder = adapted(decoder, ISTFTHead, RealISTFT)

    def forward(self, codes: Tensor) -> Tensor:
        """(B, T) int64 → (B, T·output_hop)."""
        values = self.quantizer.values(codes).transpose(1, 2)  # (B, K, T)
        values = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
        embed = self.embed
        embedded = F.conv1d(embed.padded(values), self.kernel, embed.bias, padding=embed.padding)
        return self.acoustic_decoder.from_embedded(embedded).waveform

    def step(self, codes: Tensor, step: Step) -> tuple[Tensor, ...]:
        """New codes of streams (B, t) → (B, t·output_hop), so late as the decoder looks ahead."""
        values = self.quantizer.values(codes)
        values = step.zeroed(torch.cat([values, torch.ones_like(values[..., :1])], dim=-1), 1)
        values = step.extended(values, sum(self.embed.sides), 1).transpose(1, 2)
        step.delay += self.embed.sides[1]
        embedded = F.conv1d(values, self.kernel, self.embed.bias)
        return (self.acoustic_decoder.from_embedded(embedded, step).waveform,)


class StepGraph(nn.Module):
    """New frames of streams, their ages, and what the last step left → results, and what this one
    leaves.
    """

    def __init__(self, graph: EncoderGraph | DecoderGraph) -> None:
        super().__init__()
        self.codec = graph  # a GraphModule has a `graph` of its own

    def forward(
        self, frames: Tensor, start: Tensor, length: Tensor, caches: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Frames (B, t, …), starts and lengths (B,) int64 in frames (see `Step`)."""
        step = Step(start, length, caches)
        return self.codec.step(frames, step), step.left

    def fresh(self, frames: Tensor) -> list[Tensor]:
        """Caches of streams (B, t, …) that begin."""
        starts = torch.zeros(len(frames), dtype=torch.long, device=CPU)
        step = Step(starts, starts + UNKNOWN)
        with torch.no_grad():
            self.codec.step(frames, step)
        return [torch.zeros_like(cache) for cache in step.left]


def adapted(module: Module, kind: type[nn.Module], replacement: type[nn.Module]) -> Module:
    """`module` itself, with every part of a `kind` inside it replaced."""
    for name, part in list(module.named_modules()):
        if isinstance(part, kind):
            replace_part(module, name, replacement(part))
    return module
