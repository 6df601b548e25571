"""Losses: of reconstruction on waveforms (B, N), of what discriminators say, and of the quantizer's
levels.

Each is a mean over the batch, computed in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.signal.mel import log_mel, magnitudes

Outputs = list[list[Tensor]]  # for each member of the discriminators, the outputs of its layers

# Where a double bound maps the standard normal's quartiles to its three thresholds, for four
# levels.
LATENT_MEAN, LATENT_DEVIATION = -0.2, 0.9


def mel_loss(predicted: Tensor, target: Tensor, window: int, sample_rate: int) -> Tensor:
    """L1 between log10 mel magnitudes of (B, N), windows of `window` samples."""
    wrong, right = (log_mel(w, window, sample_rate) for w in (predicted, target))
    return F.l1_loss(wrong, right)


def spectral_convergence(predicted: Tensor, target: Tensor, window: int) -> Tensor:
    """Relative L2 distance of linear magnitudes: what is loud counts, so harmonics do."""
    wrong, right = magnitudes(predicted, window), magnitudes(target, window)
    return ((wrong - right).norm(dim=(1, 2)) / right.norm(dim=(1, 2)).clamp(min=1e-2)).mean()


def log_magnitude_loss(predicted: Tensor, target: Tensor, window: int) -> Tensor:
    """L1 between log10 linear magnitudes."""
    wrong, right = (magnitudes(w, window).clamp(min=1e-3).log10() for w in (predicted, target))
    return F.l1_loss(wrong, right)


def rms_loss(predicted: Tensor, target: Tensor, window: int) -> Tensor:
    """L1 between log10 levels of windows that do not overlap: holds the loudness."""
    wrong, right = (
        w.float().unfold(-1, window, window).square().mean(-1).clamp(min=1e-8).log10() / 2
        for w in (predicted, target)
    )
    return F.l1_loss(wrong, right)


def generator_adversarial_loss(made: Outputs) -> Tensor:
    """Least squares, for the generator: every member's score of what was made should be 1; summed
    over members.
    """
    return torch.stack([(1 - layers[-1].float()).square().mean() for layers in made]).sum()


def discriminator_loss(real: Outputs, made: Outputs) -> tuple[Tensor, Tensor]:
    """Least squares, for the discriminators: 1 for what is real and 0 for what was made; each
    summed over members.
    """
    found = torch.stack([(1 - layers[-1].float()).square().mean() for layers in real]).sum()
    fooled = torch.stack([layers[-1].float().square().mean() for layers in made]).sum()
    return found, fooled


def feature_matching(real: Outputs, made: Outputs) -> Tensor:
    """L1 between the outputs of all layers before the score, summed over layers and members."""
    pairs = [
        pair for r, m in zip(real, made, strict=True) for pair in zip(r[:-1], m[:-1], strict=True)
    ]
    return torch.stack([F.l1_loss(m.float(), r.detach().float()) for r, m in pairs]).sum()


def level_balance(projected: Tensor) -> Tensor:
    """Keep the K quantized numbers (B, T, K) spread over their levels and independent of each
    other.

    Without it several dimensions stay on one level half of the time, and capacity is wasted.
    Moments of the batch are held where four equally likely levels need them, covariances at zero.
    """
    flat = projected.flatten(0, 1)
    mean, deviation = flat.mean(0), flat.std(0)
    centered = (flat - mean) / deviation.clamp(min=1e-3)
    correlation = centered.T @ centered / (len(flat) - 1)
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    moments = (mean - LATENT_MEAN).square().mean() + (deviation - LATENT_DEVIATION).square().mean()
    return moments + off_diagonal.square().mean()
