"""Discriminators: their shape, their gradients, and whose weights they take."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xcodec2.errors import CheckpointError
from xcodec2.train.discriminators import BothDiscriminators, from_lightning, load_discriminators
from xcodec2.train.recipe import (
    Discriminators,
    read_recipe,
)


def test_discriminators_have_the_published_shape():
    both = BothDiscriminators(Discriminators())
    scores = both(torch.randn(2, 9600))
    assert len(scores) == 5 + 8
    assert [len(layers) for layers in scores] == [6] * 5 + [6] * 8
    assert [layers[4].shape[1] for layers in scores[:5]] == [512] * 5
    assert [layers[4].shape[1] for layers in scores[5:]] == [512] * 8


def test_gradients_of_discriminators_are_finite_in_bfloat16():
    discriminators = BothDiscriminators(read_recipe("nano-gan").discriminators)
    with torch.autocast("cpu", torch.bfloat16):
        layers = discriminators(0.1 * torch.randn(4, 8000))
    torch.stack([member[-1].float().square().mean() for member in layers]).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in discriminators.parameters())


def test_discriminators_of_log_magnitudes_do_not_hear_the_level():
    sizes = read_recipe("nano-3-gan").discriminators
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(2, 8000)
    for log in (True, False):
        discriminators = BothDiscriminators(replace(sizes, log_magnitudes=log))
        for quiet, loud in zip(discriminators(noise), discriminators(4 * noise), strict=True):
            heard = (quiet[-1] - loud[-1]).abs().max() / quiet[-1].std()
            assert (heard < 0.1) == log


def test_gradients_of_discriminators_are_finite_in_silence():
    silence = torch.zeros(1, 8000, requires_grad=True)
    members = BothDiscriminators(read_recipe("nano-3-gan").discriminators)(silence)
    torch.stack([layers[-1].square().mean() for layers in members]).sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


def test_discriminators_load_from_a_lightning_checkpoint_and_nothing_else(tmp_path):
    sizes = Discriminators(
        periods=(2, 3),
        period_channels=2,
        period_max_channels=4,
        ffts=(78,),
        spectrogram_channels=2,
        spectrogram_max_channels=4,
    )
    trained, fresh = BothDiscriminators(sizes), BothDiscriminators(sizes)
    names = {"periods": "discriminator", "spectrograms": "spec_discriminator"}
    old = {"generator.x": torch.zeros(1)}
    for key, tensor in trained.state_dict().items():
        part, _, rest = key.partition(".")
        rest = rest.replace(".parametrizations.weight.original0", ".weight_g")
        old[f"{names[part]}.{rest.replace('.parametrizations.weight.original1', '.weight_v')}"] = (
            tensor
        )
    torch.save({"state_dict": old}, tmp_path / "last.ckpt")
    load_discriminators(fresh, tmp_path / "last.ckpt")
    waveform = torch.randn(1, 2000)
    for expected, found in zip(trained(waveform), fresh(waveform), strict=True):
        assert torch.equal(expected[-1], found[-1])
    with pytest.raises(CheckpointError, match="other sizes than the recipe's"):
        load_discriminators(
            BothDiscriminators(replace(sizes, ffts=(78, 126))), tmp_path / "last.ckpt"
        )
    with pytest.raises(CheckpointError, match="holds no discriminators"):
        from_lightning({"generator.x": torch.zeros(1)}, fresh.state_dict(), "last.ckpt")
