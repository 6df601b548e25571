"""The losses made after STOI, ESTOI and PESQ agree with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import speech

from xcodec2.signal.stoi import estoi, stoi
from xcodec2.train.perceptual import bark_bands, intelligibility_loss, loudness_loss

RATE = 16_000


def noisy(waveform: torch.Tensor, snr_db: float) -> torch.Tensor:
    noise = torch.randn(waveform.shape, generator=torch.Generator().manual_seed(0))
    return waveform + noise * waveform.square().mean().sqrt() * 10 ** (-snr_db / 20)


@pytest.mark.parametrize("snr_db", [15.0, 0.0])
def test_intelligibility_is_the_mean_of_stoi_and_estoi(snr_db):
    clean = speech()[: 3 * RATE]
    made = noisy(clean, snr_db)
    pair = clean.numpy(), made.numpy(), RATE
    mean = (stoi(*pair) + estoi(*pair)) / 2
    assert 1 - intelligibility_loss(made[None], clean[None], RATE).item() == pytest.approx(
        mean, abs=0.02
    )


def test_silence_around_speech_changes_nothing():
    clean = speech()[: 2 * RATE]
    clean[: RATE // 4] = 0
    made = noisy(clean, 5.0)
    silence = torch.zeros(RATE)
    longer = [torch.cat([silence, w, silence])[None] for w in (made, clean)]
    short = intelligibility_loss(made[None], clean[None], RATE)
    assert intelligibility_loss(*longer, RATE).item() == pytest.approx(short.item(), abs=0.02)


def test_loudness_orders_speech_as_pesq_does():
    pesq = pytest.importorskip("pesq").pesq
    clean = speech()[: 3 * RATE]
    low = torch.fft.irfft(
        torch.fft.rfft(clean) * (torch.arange(len(clean) // 2 + 1) < len(clean) // 8), len(clean)
    )
    versions = [noisy(clean, snr) for snr in (40.0, 25.0, 10.0, 0.0)] + [low]
    losses = [loudness_loss(made[None], clean[None], RATE).item() for made in versions]
    scores = [pesq(RATE, clean.numpy(), made.numpy(), "wb") for made in versions]
    assert np.corrcoef(losses, scores)[0, 1] < -0.8
    assert losses[:4] == sorted(losses[:4])
    assert loudness_loss(clean[None], clean[None], RATE).item() < 0.01


def test_an_even_filter_and_a_drifting_level_are_forgiven():
    clean = speech()[None, : 3 * RATE]
    tilt = torch.linspace(1, 0.4, clean.shape[1] // 2 + 1)
    filtered = torch.fft.irfft(torch.fft.rfft(clean) * tilt, clean.shape[1])
    drift = 1 + 0.4 * torch.sin(torch.arange(clean.shape[1]) * 2 * torch.pi / RATE)
    assert loudness_loss(noisy(clean, 20.0), clean, RATE) > 1
    assert loudness_loss(filtered, clean, RATE) < 0.1
    assert loudness_loss(drift * clean, clean, RATE) < 0.05


def test_level_and_silence_have_finite_gradients():
    silence = torch.zeros(2, RATE)
    made = torch.zeros(2, RATE, requires_grad=True)
    clean = speech()[None, :RATE].repeat(2, 1)
    for target in (silence, clean):
        for loss in (intelligibility_loss, loudness_loss):
            (gradient,) = torch.autograd.grad(loss(made, target, RATE), made)
            assert gradient.isfinite().all()
    quiet = 1e-3 * clean
    assert loudness_loss(noisy(quiet, 10), quiet, RATE).item() == pytest.approx(
        loudness_loss(noisy(clean, 10), clean, RATE).item(), rel=1e-2
    )


def test_bands_of_the_ear_cover_each_bin_once():
    bands = bark_bands(512, RATE, torch.device("cpu"))
    assert bands.shape == (49, 257)
    torch.testing.assert_close(bands.sum(0)[1:-1], torch.ones(255))
    assert (bands.sum(1) > 0).all()
