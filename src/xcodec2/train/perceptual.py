"""Losses made after objective measures: of intelligibility after STOI and ESTOI, of quality after
PESQ's model of the ear.

Both are computed in float32 on waveforms (B, N). B batch, T frames. A model that is trained on them
is no longer judged by the measures that they follow; recognizers and predictors of opinion scores
still judge it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.cached_tensor import cached_tensor

TINY = 1e-8

# STOI (Taal et al., 2011), ESTOI (Jensen and Taal, 2016)
SHORT_SECONDS = 0.0256  # of a frame; frames overlap by half
BIN_HERTZ = 20
THIRDS, LOWEST_THIRD = 15, 150.0  # bands, and the center of the first in hertz
SEGMENT = 30  # frames that are correlated at a time
SEGMENT_STEP = 3
SPEECH_RANGE_DB = 40.0  # below the loudest frame; what is softer is no speech
CLIP = 1 + 10 ** (15 / 20)

# PESQ (ITU-T P.862)
EAR_SECONDS = 0.032
BARK_BANDS = 49
SPEECH_LEVEL_DB = 79.0  # sound pressure at which speech is listened to
ZWICKER = 0.23  # exponent of loudness over power
LOUDNESS_SCALE = 0.19  # one sone for 1 kHz at 40 dB
DEAD_ZONE = 0.25  # of the softer one of two loudnesses: such differences are masked
ADDED_FLOOR = 50.0  # power below which nothing counts as added
ADDED_RANGE = (3.0, 12.0)
MOST_DISTURBED = 45.0  # a frame can be
RESPONSE_FLOOR, GAIN_FLOOR = 1e3, 5e3  # powers below which filter and level are not looked for
GAIN_MEMORY = (0.8, 0.16, 0.04)  # how much a frame and those before it decide on its level
SYLLABLE = 20  # frames whose worst parts decide


def intelligibility_loss(made: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """1 - the mean of STOI and ESTOI.

    Args:
        made: (B, N).
        target: (B, N); below 0.4 seconds all of it is one segment.
        sample_rate: Of both, in hertz.
    """
    wanted = third_octaves(target, sample_rate)
    level = wanted.square().sum(1)  # (B, T)
    speech = level > level.amax(1, keepdim=True) * 10 ** (-SPEECH_RANGE_DB / 10)
    size = min(SEGMENT, level.shape[1])
    order = (~speech).long().argsort(dim=1, stable=True)[:, None].expand_as(wanted)
    x, y = (
        bands.gather(2, order).unfold(2, size, SEGMENT_STEP)
        for bands in (wanted, third_octaves(made, sample_rate))
    )  # (B, bands, segments, size), what is no speech at the end
    first = torch.arange(x.shape[2], device=x.device) * SEGMENT_STEP
    whole = first + size <= speech.sum(1, keepdim=True).clamp(min=size)  # (B, segments)
    level_of_both = x.norm(dim=-1, keepdim=True) / y.norm(dim=-1, keepdim=True).clamp(min=TINY)
    clipped = torch.minimum(y * level_of_both, x * CLIP)
    plain = (unit(x, 3) * unit(clipped, 3)).sum(3).mean(1)  # (B, segments)
    extended = (unit(unit(x, 3), 1) * unit(unit(y, 3), 1)).sum(1).mean(2)
    return 1 - ((plain + extended)[whole] / 2).mean()


def unit(x: Tensor, dim: int) -> Tensor:
    """Without mean and of norm one along a dimension."""
    x = x - x.mean(dim, keepdim=True)
    return x / (x.square().sum(dim, keepdim=True) + TINY).sqrt()


def third_octaves(waveform: Tensor, sample_rate: int) -> Tensor:
    """(B, N) → (B, 15, T) magnitudes in bands of a third of an octave from 150 Hz up."""
    power = power_spectrum(waveform, sample_rate // BIN_HERTZ, round(SHORT_SECONDS * sample_rate))
    bands = third_octave_bands(sample_rate, power.device)
    return (bands @ power + TINY).sqrt()


@cached_tensor
def third_octave_bands(sample_rate: int, device: torch.device) -> Tensor:
    """(15, bins): 1 where a bin lies in a band."""
    hertz = (
        torch.arange(sample_rate // BIN_HERTZ // 2 + 1, dtype=torch.float32, device="cpu")
        * BIN_HERTZ
    )
    centers = LOWEST_THIRD * 2 ** (torch.arange(THIRDS, dtype=torch.float32, device="cpu") / 3)
    inside = (hertz >= centers[:, None] * 2 ** (-1 / 6)) & (hertz < centers[:, None] * 2 ** (1 / 6))
    return inside.float().to(device)


def loudness_loss(made: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """How much worse than the target it sounds by PESQ's model of the ear, on about its scale.

    An even filter and a level that drifts are forgiven. Loudness that differs disturbs, more so
    where it was added, and in a syllable its worst part.

    Args:
        made: (B, N).
        target: (B, N).
        sample_rate: Of both, in hertz.
    """
    size = round(EAR_SECONDS * sample_rate)
    wanted, found = (power_spectrum(w, size, size) for w in (target, made))
    level = wanted.sum(1)  # (B, T)
    speech = level > level.amax(1, keepdim=True) * 10 ** (-SPEECH_RANGE_DB / 10)
    usual = (level * speech).sum(1) / speech.sum(1).clamp(min=1)
    gain = 10 ** (SPEECH_LEVEL_DB / 10) / usual.clamp(min=TINY)
    bands = bark_bands(size, sample_rate, made.device)
    threshold = hearing_threshold(sample_rate, made.device)
    wanted, found = (bands @ (power * gain[:, None, None]) for power in (wanted, found))
    wanted, found = forgiven(wanted, found, speech, threshold)
    exponent = loudness_exponent(sample_rate, made.device)
    loud, louder = (loudness(power, threshold, exponent) for power in (wanted, found))
    masked = DEAD_ZONE * torch.minimum(loud, louder)
    difference = ((louder - loud).abs() - masked).clamp(min=0)  # (B, bands, T)
    added = ((found + ADDED_FLOOR) / (wanted + ADDED_FLOOR)) ** 1.2
    added = torch.where(added < ADDED_RANGE[0], 0.0, added.clamp(max=ADDED_RANGE[1])).detach()
    width = 6 * math.asinh(sample_rate / 2 / 600)  # in Bark
    both = (difference.square().mean(1) + TINY).sqrt() * width  # (B, T)
    only_added = (difference * added).mean(1) * width
    total = (wanted * (wanted > threshold)).sum(1).detach()
    weight = ((total + 1e5) / 1e7) ** -0.04  # what is soft counts a little more
    symmetric, asymmetric = (
        worst_parts((disturbance * weight).clamp(max=MOST_DISTURBED)).mean()
        for disturbance in (both, only_added)
    )
    return 0.1 * symmetric + 0.0309 * asymmetric


def forgiven(
    wanted: Tensor, found: Tensor, speech: Tensor, threshold: Tensor
) -> tuple[Tensor, Tensor]:
    """Both powers (B, bands, T), the wanted one through the filter that the other has gone through,
    the other at the level of the wanted one.
    """
    count = speech.sum(1).clamp(min=1)[:, None]
    through, before = ((power * speech[:, None]).sum(2) / count for power in (found, wanted))
    response = ((through + RESPONSE_FLOOR) / (before + RESPONSE_FLOOR)).clamp(1e-2, 1e2)
    wanted = wanted * response[..., None]
    heard, given = ((power * (power > threshold)).sum(1) + GAIN_FLOOR for power in (wanted, found))
    gains = (heard / given).clamp(3e-4, 5.0)  # (B, T)
    padded = F.pad(gains[:, None], (len(GAIN_MEMORY) - 1, 0), value=1.0)
    memory = torch.tensor([[GAIN_MEMORY[::-1]]], device=gains.device, dtype=gains.dtype)
    smooth = F.conv1d(padded, memory)  # (B, 1, T)
    return wanted, found * smooth


def worst_parts(disturbance: Tensor) -> Tensor:
    """(B, T) → (B,): the sixth power's mean within syllables, the square's over them."""
    size = min(SYLLABLE, disturbance.shape[1])
    parts = disturbance.unfold(1, size, max(1, size // 2))
    # of relative sizes, for float32's sake
    most = parts.detach().amax(2, keepdim=True).clamp(min=TINY)
    sixth = ((parts / most) ** 6).mean(2) + TINY
    return ((sixth ** (1 / 3) * most[..., 0].square()).mean(1) + TINY).sqrt()


def loudness(power: Tensor, threshold: Tensor, exponent: Tensor) -> Tensor:
    """(B, bands, T) power → specific loudness after Zwicker, 0 below the threshold of hearing."""
    relative = (0.5 + 0.5 * power / threshold).clamp(min=1.0)
    return LOUDNESS_SCALE * (threshold / 0.5) ** exponent * (relative**exponent - 1)


@cached_tensor
def loudness_exponent(sample_rate: int, device: torch.device) -> Tensor:
    """(49, 1): Zwicker's, a little greater for the lowest bands."""
    edges = 6 * (bark_edges(sample_rate) / 600).asinh()
    bark = (edges[:-1] + edges[1:])[:, None] / 2
    return (ZWICKER * (6 / (bark + 2)).clamp(1.0, 2.0) ** 0.15).to(device)


@cached_tensor
def bark_bands(size: int, sample_rate: int, device: torch.device) -> Tensor:
    """(49, size/2 + 1): the share of each bin that lies in each of 49 bands of equal width."""
    hertz = (
        (torch.arange(size // 2 + 2, dtype=torch.float32, device="cpu") - 0.5) * sample_rate / size
    )
    edges = bark_edges(sample_rate)
    low = torch.maximum(hertz[:-1], edges[:-1, None])
    high = torch.minimum(hertz[1:], edges[1:, None])
    return ((high - low).clamp(min=0) * size / sample_rate).to(device)


@cached_tensor
def hearing_threshold(sample_rate: int, device: torch.device) -> Tensor:
    """(49, 1): the power that is just heard in the middle of each band, after Terhardt."""
    edges = bark_edges(sample_rate)
    khz = (edges[:-1] + edges[1:])[:, None] / 2000
    decibels = 3.64 * khz**-0.8 - 6.5 * (-0.6 * (khz - 3.3).square()).exp() + 1e-3 * khz**4
    return (10 ** (decibels / 10)).to(device)


def bark_edges(sample_rate: int) -> Tensor:
    """(50,) in hertz: equally far apart in Bark, 6 asinh(f / 600 Hz), up to half the rate."""
    top = math.asinh(sample_rate / 2 / 600)
    return torch.linspace(0, top, BARK_BANDS + 1, dtype=torch.float32, device="cpu").sinh() * 600


def power_spectrum(waveform: Tensor, n_fft: int, window: int) -> Tensor:
    """(B, N) → (B, bins, T) float32, frames overlapping by half."""
    hann = torch.hann_window(window, dtype=torch.float32, device=waveform.device)
    spectrum = torch.stft(
        waveform.float(),
        n_fft,
        window // 2,
        win_length=window,
        window=hann,
        return_complex=True,
        pad_mode="constant",
    )
    return spectrum.real.square() + spectrum.imag.square()
