"""Crops: in an order that can be returned to, shared among processes, at two rates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from tiny import speech
from training import MODEL, toy_recipe, write_speech

from xcodec2 import XCodec2Config
from xcodec2.audio.io import save_audio
from xcodec2.errors import TrainingError
from xcodec2.train.data.crops import Batches
from xcodec2.train.recipe import (
    Recipe,
    read_recipe,
)


def batches(recipe: Recipe, **where) -> Batches:
    return Batches(recipe, XCodec2Config.from_dict(recipe.model), **where)


def test_crops_go_on_where_they_stopped(tmp_path):
    recipe = toy_recipe(tmp_path)
    straight = batches(recipe)
    expected = [straight.batch(step) for step in range(12)]  # into the third epoch
    assert len({batch.tensors["target"].numpy().tobytes() for batch in expected}) == 12
    for stop in (1, 5, 9):
        resumed = batches(recipe, positions=expected[stop].positions)
        for step in range(stop + 1, 12):
            batch = resumed.batch(step)
            assert torch.equal(batch.tensors["target"], expected[step].tensors["target"])
            assert batch.positions == expected[step].positions


def test_processes_share_the_recordings_out(tmp_path):
    recipe = toy_recipe(
        tmp_path, "data.augment.speed=0.0", "data.augment.noise=0.0", "data.augment.gain=0.0"
    )
    met = [set(), set()]
    wholes = [
        np.round(w * 32767) for w in (speech()[n * 8000 : (n + 1) * 8000].numpy() for n in range(4))
    ]
    for rank in (0, 1):
        source = batches(recipe, rank=rank, world=2)
        for step in range(6):
            for crop in source.batch(step).tensors["target"].numpy():
                start = np.round(crop[:200] * 32767)
                met[rank] |= {n for n, whole in enumerate(wholes) if holds(whole, start)}
    assert met == [{0, 2}, {1, 3}]
    with pytest.raises(TrainingError, match=r"fewer recordings than processes \(5\)"):
        batches(recipe, rank=4, world=5)


def crops_of(recipe: Recipe, steps: int) -> torch.Tensor:
    stream = batches(recipe)
    return torch.cat([stream.batch(step).tensors["target"] for step in range(steps)])


def holds(whole: np.ndarray, part: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(whole, len(part))
    return bool((np.abs(windows - part).max(-1) <= 1).any())


def test_an_unreadable_recording_is_left_out_and_said(tmp_path):
    recipe = toy_recipe(tmp_path)
    (tmp_path / "speech" / "0.flac").write_bytes(b"fLaC and no more")
    with pytest.warns(UserWarning, match=r"left out: .*0\.flac"):
        crops = crops_of(recipe, steps=12)
    assert crops.abs().amax(-1).min() > 0
    for path in (tmp_path / "speech").iterdir():
        path.write_bytes(b"fLaC and no more")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(TrainingError, match="in a row cannot be read"),
    ):
        batches(recipe)


def test_heard_and_target_are_one_sound_at_two_rates(tmp_path):
    save_audio(write_speech(tmp_path / "speech").parent / "x.flac", speech()[:8000], 16_000)
    recipe = toy_recipe_at(tmp_path, 24_000)
    batch = batches(recipe).batch(0)
    heard, target = batch.tensors["inputs"].numpy(), batch.tensors["target"].numpy()
    assert (heard.shape[1], target.shape[1]) == (5 * 320 - 1, 5 * 480)
    back = soxr.resample(target[0], 24_000, 16_000, "HQ")[: heard.shape[1]]
    assert np.abs(back - heard[0]).max() < 1e-4


def toy_recipe_at(folder: Path, rate: int) -> Recipe:
    path = folder / "recipe.toml"
    run = '[run]\nout = "x"\nsteps = 1\nbatch = 2\ncrop_seconds = 0.1\n'
    optimizer = "[optimizer]\nlearning_rate = [[0, 1e-3]]\n"
    path.write_text(
        f'{run}{optimizer}[data]\nsources = [{{ path = "{folder / "speech"}" }}]\n'
        f"{MODEL}sample_rate = {rate}\n"
    )
    return read_recipe(str(path))
