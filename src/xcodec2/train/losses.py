"""Losses: of reconstruction on waveforms (B, N), of what discriminators say, and of the quantiser's
levels.

Each is a mean over the batch, computed in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.evaluate.mel import slaney_mel

MEL_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
MEL_BINS = (5, 10, 20, 40, 80, 160, 320)
MAGNITUDE_FLOOR = 1e-5

Judged = list[list[Tensor]]  # for each member of the discriminators, the outputs of its layers

# Where a double bound maps the standard normal's quartiles to its three thresholds, for four
# levels.
LATENT_MEAN, LATENT_DEVIATION = -0.2, 0.9


def magnitudes(waveform: Tensor, window: int) -> Tensor:
    """(B, N) → (B, F, frames), hop a quarter of the window."""
    hann = torch.hann_window(window, dtype=torch.float32, device=waveform.device)
    spectrum = torch.stft(
        waveform.float(), window, window // 4, window=hann, return_complex=True, pad_mode="constant"
    )
    return (spectrum.real.square() + spectrum.imag.square() + MAGNITUDE_FLOOR**2).sqrt()


def mel_loss(predicted: Tensor, target: Tensor, window: int, sample_rate: int) -> Tensor:
    """L1 between log10 mel magnitudes."""
    filters = slaney_mel(window, MEL_BINS[MEL_WINDOWS.index(window)], sample_rate, predicted.device)
    wrong, right = (
        (filters @ magnitudes(w, window)).clamp(min=MAGNITUDE_FLOOR).log10()
        for w in (predicted, target)
    )
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


def hears_as_real(made: Judged) -> Tensor:
    """Least squares, for the generator: every member's score of what was made should be 1; summed
    over members.
    """
    return torch.stack([(1 - layers[-1].float()).square().mean() for layers in made]).sum()


def tells_apart(real: Judged, made: Judged) -> tuple[Tensor, Tensor]:
    """Least squares, for the discriminators: 1 for what is real and 0 for what was made; each
    summed over members.
    """
    found = torch.stack([(1 - layers[-1].float()).square().mean() for layers in real]).sum()
    fooled = torch.stack([layers[-1].float().square().mean() for layers in made]).sum()
    return found, fooled


def feature_matching(real: Judged, made: Judged) -> Tensor:
    """L1 between the outputs of all layers before the score, summed over layers and members."""
    pairs = [
        pair for r, m in zip(real, made, strict=True) for pair in zip(r[:-1], m[:-1], strict=True)
    ]
    return torch.stack([F.l1_loss(m.float(), r.detach().float()) for r, m in pairs]).sum()


def level_balance(projected: Tensor) -> Tensor:
    """Keep the K quantised numbers (B, T, K) spread over their levels and independent of each
    other.

    Without it several dimensions stay on one level half of the time, and capacity is wasted.
    Moments of the batch are held where four equally likely levels need them, covariances at zero.
    """
    flat = projected.flatten(0, 1)
    mean, deviation = flat.mean(0), flat.std(0)
    centred = (flat - mean) / deviation.clamp(min=1e-3)
    correlation = centred.T @ centred / (len(flat) - 1)
    off_diagonal = correlation - torch.diag(correlation.diagonal())
    moments = (mean - LATENT_MEAN).square().mean() + (deviation - LATENT_DEVIATION).square().mean()
    return moments + off_diagonal.square().mean()
