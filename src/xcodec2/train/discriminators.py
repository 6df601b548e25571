"""The two discriminators of the published recipe: by period of the waveform, and by resolution of
its spectrogram.

Attribute names are those of the original package, so that a Lightning checkpoint's tensors fit by
name. B batch, N samples, C channels. Each gives, for every member, the outputs of all its layers;
the last is the score.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from xcodec2.codec.checkpoints.load import read_pickle
from xcodec2.errors import CheckpointError
from xcodec2.train.recipe import Discriminators

PERIOD_STRIDES = (3, 3, 3, 3, 1)
SPECTROGRAM_LAYERS = 3  # that halve both axes and double the channels
POWER_FLOOR = 1e-7
LOG_POWER_FLOOR = 1e-4  # about 40 dB below speech: what is quieter is nothing to judge
Layers = list[Tensor]

# The original's name of a module → ours.
LIGHTNING_NAMES = {"discriminator": "periods", "spec_discriminator": "spectrograms"}


class PeriodDiscriminator(nn.Module):
    """Looks at every `period`-th sample together.

    Args:
        period: In samples.
        sizes: Of its layers.
    """

    def __init__(self, period: int, sizes: Discriminators) -> None:
        super().__init__()
        self.period = period
        self.convs = nn.ModuleList()
        channels, wider = 1, sizes.period_channels
        for stride in PERIOD_STRIDES:
            conv = nn.Conv2d(channels, wider, (5, 1), (stride, 1), padding=(2, 0))
            self.convs.append(nn.Sequential(weight_norm(conv), nn.LeakyReLU(0.1)))
            channels, wider = wider, min(wider * sizes.period_growth, sizes.period_max_channels)
        self.output_conv = weight_norm(nn.Conv2d(channels, 1, (2, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> Layers:
        """(B, N) → each layer's output (B, C, frames, period), the score last."""
        rest = -waveform.shape[-1] % self.period
        x = F.pad(waveform[:, None], (0, rest), mode="reflect")
        x = x.unflatten(-1, (-1, self.period))  # (B, 1, N/period, period)
        layers = []
        for conv in self.convs:
            x = conv(x)
            layers.append(x)
        return [*layers, self.output_conv(x)]


class MultiPeriodDiscriminator(nn.Module):
    """A discriminator of each period."""

    def __init__(self, sizes: Discriminators) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            PeriodDiscriminator(period, sizes) for period in sizes.periods
        )

    def forward(self, waveform: Tensor) -> list[Layers]:
        """(B, N) → the layers' outputs of each period."""
        return [discriminator(waveform) for discriminator in self.discriminators]


class SpectrogramDiscriminator(nn.Module):
    """Convolutions over magnitudes of one window length.

    As published, over linear magnitudes, hop half the window. Or over logarithms of them, less each
    clip's mean, hop a quarter: what is blurred shows at once there, whatever the level, and a few
    hundred steps teach what linear magnitudes take thousands for.

    Args:
        n_fft: The window's length, in samples.
        sizes: Of its layers.
    """

    def __init__(self, n_fft: int, sizes: Discriminators) -> None:
        super().__init__()
        self.n_fft, self.log = n_fft, sizes.log_magnitudes
        channels, most = sizes.spectrogram_channels, sizes.spectrogram_max_channels
        self.model = nn.ModuleDict({"layer_0": self.layer(nn.Conv2d(1, channels, 5, 2, padding=2))})
        for n in range(1, SPECTROGRAM_LAYERS + 1):
            wider = min(2 * channels, most)
            self.model[f"layer_{n}"] = self.layer(nn.Conv2d(channels, wider, 5, 2, padding=2))
            channels = wider
        wider = min(2 * channels, most)
        self.model[f"layer_{n + 1}"] = self.layer(nn.Conv2d(channels, wider, 3, padding=1))
        self.model[f"layer_{n + 2}"] = self.normed(nn.Conv2d(wider, 1, 3, padding=1))

    def layer(self, conv: nn.Conv2d) -> nn.Sequential:
        """The convolution, normed, and its activation."""
        return nn.Sequential(self.normed(conv), nn.LeakyReLU(0.2))

    def normed(self, conv: nn.Conv2d) -> nn.Module:
        """The convolution, small random weights as published, and weight norm."""
        if not self.log:
            nn.init.normal_(conv.weight, 0, 0.02)
        return weight_norm(conv)

    def forward(self, waveform: Tensor) -> Layers:
        """(B, N) → each layer's output (B, C, F, frames), the score last."""
        x = self.magnitudes(waveform)[:, None]  # (B, 1, F, frames)
        layers = []
        for layer in self.model.values():
            x = layer(x)
            layers.append(x)
        return layers

    def magnitudes(self, waveform: Tensor) -> Tensor:
        """(B, N) → (B, F, frames), linear or logarithms around 0."""
        hop = self.n_fft // (4 if self.log else 2)
        window = torch.hann_window(self.n_fft, dtype=torch.float32, device=waveform.device)
        spectrum = torch.stft(waveform.float(), self.n_fft, hop, window=window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        if not self.log:
            return power.clamp(min=POWER_FLOOR).sqrt()
        logs = power.clamp(min=LOG_POWER_FLOOR).log10() / 2
        return logs - logs.mean((1, 2), keepdim=True)


class MultiScaleSpectrogramDiscriminator(nn.Module):
    """A discriminator of each window length."""

    def __init__(self, sizes: Discriminators) -> None:
        super().__init__()
        members = (SpectrogramDiscriminator(n_fft, sizes) for n_fft in sizes.ffts)
        self.model = nn.ModuleDict({f"disc_{i}": member for i, member in enumerate(members)})

    def forward(self, waveform: Tensor) -> list[Layers]:
        """(B, N) → the layers' outputs of each window length."""
        return [discriminator(waveform) for discriminator in self.model.values()]


class BothDiscriminators(nn.Module):
    """Those of periods and those of spectrograms."""

    def __init__(self, sizes: Discriminators) -> None:
        super().__init__()
        self.periods = MultiPeriodDiscriminator(sizes)
        self.spectrograms = MultiScaleSpectrogramDiscriminator(sizes)

    def forward(self, waveform: Tensor) -> list[Layers]:
        """(B, N) → the layers' outputs of all members.

        In float32 on a CPU: there oneDNN's bfloat16 gradients of spectrogram convolutions came out
        NaN (PyTorch 2.13, a processor with AVX-512).
        """
        with torch.autocast("cpu", enabled=False):
            return self.periods(waveform) + self.spectrograms(waveform)


def load_discriminators(discriminators: BothDiscriminators, path: str | Path) -> None:
    """Give discriminators trained weights; all tensors must be there and fit.

    Args:
        discriminators: Of the recipe's sizes.
        path: A run's own file, or the original's Lightning checkpoint.

    Raises:
        CheckpointError: The file holds none, or those of other sizes.
    """
    if Path(path).suffix != ".safetensors":
        tensors = from_lightning(read_pickle(Path(path)), discriminators.state_dict(), str(path))
        discriminators.load_state_dict(tensors)
        return
    try:
        discriminators.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as problem:
        reason = str(problem).splitlines()[-1].strip()
        raise CheckpointError(
            f"{path}: holds no discriminators of the recipe's sizes ({reason})"
        ) from problem


def from_lightning(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str
) -> dict[str, Tensor]:
    """The original's tensors by our names.

    Args:
        tensors: Of a Lightning checkpoint, by name.
        wanted: A state dict of the recipe's sizes.
        name: Of the checkpoint, for errors.

    Returns:
        A state dict that fits.

    Raises:
        CheckpointError: There are none, or they have other sizes.
    """
    found = {}
    for key, tensor in tensors.items():
        part, _, rest = key.partition(".")
        if part in LIGHTNING_NAMES:
            rest = rest.replace(".weight_g", ".parametrizations.weight.original0")
            rest = rest.replace(".weight_v", ".parametrizations.weight.original1")
            found[f"{LIGHTNING_NAMES[part]}.{rest}"] = tensor
    if not found:
        raise CheckpointError(
            f"{name}: holds no discriminators; give the original package's Lightning checkpoint"
        )
    wrong = sorted(found.keys() ^ wanted.keys())
    wrong = wrong or [key for key in wanted if found[key].shape != wanted[key].shape]
    if wrong:
        raise CheckpointError(
            f"{name}: its discriminators have other sizes than the recipe's, first at {wrong[0]!r}"
        )
    return found
