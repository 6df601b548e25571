"""The losses of reconstruction, and the one that keeps the levels in use."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import speech
from torch.nn import functional as F

from xcodec2.signal import mel
from xcodec2.train import losses


def test_mel_filters_equal_the_reference():
    reference = pytest.importorskip("transformers.audio_utils").mel_filter_bank
    for window, bins in zip(mel.MEL_WINDOWS, mel.MEL_BINS, strict=True):
        ours = mel.slaney_mel(window, bins, 16_000, torch.device("cpu"))
        theirs = reference(
            window // 2 + 1, bins, 0, 8000, 16_000, norm="slaney", mel_scale="slaney"
        )
        np.testing.assert_allclose(ours, theirs.T, atol=1e-6)


def test_losses_are_zero_for_the_target_itself_and_grow_with_noise():
    target = speech()[None, :16_000]
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    for loss in (
        lambda x: losses.mel_loss(x, target, 512, 16_000),
        lambda x: losses.spectral_convergence(x, target, 512),
        lambda x: losses.log_magnitude_loss(x, target, 512),
    ):
        assert loss(target) == 0
        assert 0 < loss(target + 0.001 * noise) < loss(target + 0.1 * noise)


def test_known_values():
    target = speech()[None, :16_000]
    assert losses.spectral_convergence(0 * target, target, 512).item() == pytest.approx(1, abs=1e-3)
    tone = torch.sin(torch.arange(16_000) * 2 * torch.pi * 1000 / 16_000)[None]
    assert (
        losses.mel_loss(0.1 * tone, tone, 512, 16_000) < 1.001
    )  # a factor of ten is 1 in log10, less at the floor
    assert mel.magnitudes(tone, 512)[0, 32, 8:-8].mean().item() == pytest.approx(
        128, rel=1e-3
    )  # half the window's sum


def test_balance_wants_the_four_levels_alike():
    from xcodec2.codec.quantizer import bound_twice

    normal = torch.randn(4, 5000, 8, generator=torch.Generator().manual_seed(0))
    good = normal * losses.LATENT_DEVIATION + losses.LATENT_MEAN
    assert losses.level_balance(good) < 0.01
    assert losses.level_balance(good + 1) > 0.5
    assert losses.level_balance(good * 0.2) > 0.3
    assert losses.level_balance(good[..., :1].expand(-1, -1, 8)) > 0.5
    digits = bound_twice(good, (4,) * 8).round().long() + 2
    assert (F.one_hot(digits, 4).float().mean((0, 1)) - 0.25).abs().max() < 0.05


def test_adversarial_losses_by_hand():
    real = [[torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.5])]]
    made = [[torch.tensor([2.0, 3.0]), torch.tensor([0.0, 0.5])]]
    assert losses.generator_adversarial_loss(made).item() == pytest.approx((1 + 0.25) / 2)
    assert [loss.item() for loss in losses.discriminator_loss(real, made)] == pytest.approx(
        [0.125, 0.125]
    )
    assert losses.feature_matching(real, made).item() == pytest.approx(0.5)
    tone = torch.sin(torch.arange(3200) * 0.3)[None]
    assert losses.rms_loss(0.1 * tone, tone, 320).item() == pytest.approx(1, abs=1e-3)
