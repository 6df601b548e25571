"""DistillMOS: Stahl and Gamper, 2025: a small network that learned from an XLS-R one, in the
package distillmos.

The package imports torchaudio for its command line; the network is written here and reads the
package's weights.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.defaults import float32_parameters
from xcodec2.evaluators import weights
from xcodec2.evaluators.waveform import SAMPLE_RATE, checked

SEGMENT = 122_880  # samples, 7.68 s
HOP, WINDOW = 160, 320
CHANNELS = (2, 64, 64, 128, 256, 256, 256)
WIDTH, HEADS, LAYERS = 200, 8, 7


class Network(nn.Module):
    """(B, 122880) → (B,) in 0…1."""

    def __init__(self) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        for layer, (before, after) in enumerate(itertools.pairwise(CHANNELS)):
            last = layer == len(CHANNELS) - 2
            stride = (2 if layer else 1, 2 if last else 1)  # over frequency, over time
            convolutions += [nn.Conv2d(before, after, 3, stride, (0, 1)), nn.LeakyReLU(0.1)]
        self.cnn = nn.Sequential(*convolutions)
        features = 4 * CHANNELS[-1]
        self.norm_input = nn.BatchNorm1d(features)
        self.norm = nn.BatchNorm1d(features)
        self.linear_proj = nn.Linear(features, WIDTH)
        positions = torch.zeros(1, SEGMENT // HOP // 2, WIDTH, dtype=torch.float32, device="cpu")
        self.register_buffer("pe", positions)
        block = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(block, LAYERS, enable_nested_tensor=False)
        self.norm_trans = nn.BatchNorm1d(WIDTH)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, 1)
        self.linear3 = nn.Linear(WIDTH, 1)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, N) at 16 kHz → (B,) scores between 0 and 1."""
        x = self.cnn(compressed_spectrum(waveform)).flatten(1, 2)  # (B, 1024, frames)
        x = self.linear_proj(self.norm(self.norm_input(x)).transpose(1, 2))
        x = self.transformer_encoder(x + self.pe)
        x = self.norm_trans(x.transpose(1, 2)).transpose(1, 2)
        attention = self.linear2(self.linear1(x).relu()).softmax(1)
        return self.linear3((attention * x).sum(1)).sigmoid().squeeze(1)


def compressed_spectrum(waveform: Tensor) -> Tensor:
    """(B, N) → (B, 2, 161, N/160): real and imaginary parts, their magnitude to the power 0.3."""
    side = (WINDOW - HOP) // 2
    padded = F.pad(waveform, (side, side), mode="reflect")
    window = torch.hann_window(WINDOW, dtype=waveform.dtype, device=waveform.device)
    spectrum = torch.view_as_real(
        torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
    )
    magnitude = spectrum.square().sum(-1, keepdim=True).sqrt().clamp(min=1e-12)
    return (magnitude**0.3 * spectrum / magnitude).permute(0, 3, 1, 2)


class DistillMOSPredictor:
    """DistillMOS (Stahl and Gamper, 2025), a small model of listeners' opinions, in PyTorch."""

    name = "DistillMOS"

    def __init__(self) -> None:
        self.implementation = f"v7, {weights.DISTILLMOS.described}"
        path = weights.find(weights.DISTILLMOS, "distillmos/weights/distill_mos_v7.pt")
        state = torch.load(path, map_location="cpu", weights_only=True)["model"]
        with float32_parameters("cpu"):
            self.network = Network().eval()
        self.network.load_state_dict({own_key(key): tensor for key, tensor in state.items()})

    @float32_parameters("cpu")
    def score(self, waveform: np.ndarray) -> float:
        """The mean over segments of 7.68 s, at most a second apart; shorter speech is padded with
        silence.
        """
        samples = torch.from_numpy(checked(waveform))
        beyond = max(0, len(samples) - SEGMENT)
        samples = F.pad(samples, (0, max(0, SEGMENT - len(samples))))
        hops = int(np.ceil(beyond / SAMPLE_RATE)) + 1
        starts = [int(share * beyond) for share in np.linspace(0, 1, hops)]
        ratings = []
        with torch.inference_mode():
            for start in starts:  # one at a time: memory stays flat for long speech
                segment = samples[None, start : start + SEGMENT]
                ratings.append(self.network(segment / (segment.abs().max() + 1e-8)).item())
        return 1 + 4 * float(np.mean(ratings))


def own_key(key: str) -> str:
    """The package nests its parts; here they lie side by side."""
    for prefix in (
        "transformer_pool_attn.",
        "transformer.position_encoding.",
        "transformer.",
        "pool.",
        "cnn.",
    ):
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
    return key
