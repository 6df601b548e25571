"""The script that trained the shipped nano, on the CPU: its crops, its steps, and what it does with
a bad gradient.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from tiny import speech

from xcodec2 import XCodec2Model
from xcodec2.train.recipe import Source, read_recipe

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
import train_nano_gpu

RATE = 16_000


@pytest.fixture
def trainer(tmp_path):
    """nano on its own demo clip, two crops of half a second a step."""
    soundfile.write(tmp_path / "clip.flac", speech().numpy(), RATE)
    recipe = read_recipe(
        "nano-gan", ["run.batch=2", "run.crop_seconds=0.5", "discriminators.seconds=0.3"]
    )
    recipe = replace(recipe, data=replace(recipe.data, sources=(Source(str(tmp_path)),)))
    return train_nano_gpu.Trainer(recipe, torch.device("cpu"))


def test_resampling_the_tape(trainer):
    wave = 20_000 * torch.sin(0.3 * torch.arange(30_000))
    trainer.tape.samples = wave.to(torch.int16)
    plain, faster = trainer.tape.resampled(torch.tensor([100, 100]), torch.tensor([1.0, 1.1]), 1000)
    torch.testing.assert_close(plain, trainer.tape.samples[100:1100] / 32_767, rtol=0, atol=1e-6)
    expected = 20_000 / 32_767 * torch.sin(0.3 * (100 + 1.1 * torch.arange(1000)))
    torch.testing.assert_close(faster, expected, rtol=0, atol=2e-4)


def test_crops_are_pieces_of_the_tape(trainer):
    options = replace(trainer.recipe.data.augment, speed=0.0, gain=0.0)
    tape = trainer.tape.samples / 32_767
    for crop in trainer.tape.crops(3, 4000, options):
        assert ((tape.unfold(0, 4000, 1) - crop).abs().amax(1) < 1e-6).any()


@pytest.mark.parametrize(
    ("phase", "codec_learns", "judges_learn"),
    [("reconstruct", True, False), ("alone", True, True), ("together", True, True)],
)
def test_who_learns_in_which_phase(trainer, phase, codec_learns, judges_learn):
    learners = trainer.codec_learner, trainer.judge_learner
    before = [
        [parameter.detach().clone() for parameter in learner.parameters] for learner in learners
    ]
    for learner in learners:
        learner.rate.fill_(1e-3)
    trainer.eager(phase, 0)
    changed = [
        any(not torch.equal(a, b) for a, b in zip(old, learner.parameters, strict=True))
        for old, learner in zip(before, learners, strict=True)
    ]
    assert changed == [codec_learns, judges_learn]


def test_a_gradient_that_is_not_finite_changes_nothing(trainer):
    learner = trainer.codec_learner
    learner.rate.fill_(1e-3)
    before = [parameter.detach().clone() for parameter in learner.parameters]
    learner.update(learner.parameters[0].sum() * float("inf"), 1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True))


def test_export_is_of_the_average(trainer, tmp_path):
    for average in trainer.average:
        average.mul_(0.5)
    trainer.export(tmp_path / "model")
    exported = XCodec2Model.from_pretrained(tmp_path / "model").state_dict()
    for name, tensor in trainer.generator.codec.state_dict().items():
        torch.testing.assert_close(exported[name], tensor / 2, rtol=1e-3, atol=1e-6)


def test_the_rate_rises_stays_and_falls():
    rates = [train_nano_gpu.rate_at(part) for part in (0.0, 0.01, 0.02, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.0, 7.5e-4, 1.5e-3, 1.5e-3, 7.6e-4, 2e-5])
