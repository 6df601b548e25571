"""`from xcodec2.train import train`, and recipes and checkpoints by their names of before."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings

import pytest
import torch
from training import toy_recipe, write_recipe

import xcodec2.train
from xcodec2 import XCodec2Model
from xcodec2.errors import RecipeError
from xcodec2.train import Recipe, export_newest, read_recipe, train


@pytest.mark.parametrize("form", ["a recipe", "a name and changes"])
def test_train_takes_a_recipe_or_its_name_with_changes(tmp_path, form):
    changes = ["run.steps=1", f"run.out={tmp_path / 'mine'}"]
    path = write_recipe(tmp_path)
    recipe = read_recipe(path) if form == "a recipe" else path
    folder = train(recipe, changes)
    assert folder == tmp_path / "mine" / "model"
    assert XCodec2Model.from_pretrained(folder).sample_rate == 16_000
    resumed = train(recipe, [*changes, "run.steps=2"], resume=True)
    assert export_newest(read_recipe(path, changes)) == resumed == folder


def test_a_wrong_change_to_a_recipe_is_told(tmp_path):
    recipe = toy_recipe(tmp_path)
    with pytest.raises(RecipeError, match="unknown stepps"):
        train(recipe, ["run.stepps=1"])
    assert not (tmp_path / "run").exists()


def test_the_face_is_shown_and_costs_nothing_before_it_is_used():
    assert set(xcodec2.train.__all__) <= set(dir(xcodec2.train))
    assert Recipe.__module__ == "xcodec2.train.recipe"
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        xcodec2.train.trian  # noqa: B018
    code = "import sys, xcodec2.train; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_of_before_is_resumed_without_a_word(finished, tmp_path):
    """Its checkpoint and its resolved recipe have the names that there were."""
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-00000006.pt").unlink()
    newest = tmp_path / "run" / "checkpoints" / "step-00000004.pt"
    content = torch.load(newest, weights_only=True)
    old = {
        "optimizer": "optimiser",
        "discriminator_optimizer": "discriminator_optimiser",
        "ema_weights": "average",
    }
    assert old.keys() <= content["state"].keys()
    content["state"] = {old.get(name, name): part for name, part in content["state"].items()}
    torch.save(content, newest)
    resolved = tmp_path / "run" / "recipe.toml"
    text = resolved.read_text()
    for new, before in {
        "optimizer": "optimiser",
        "learning_rate": "rate",
        "relative_steps": "of_run",
        "period_max_channels": "period_most",
        "spectrogram_max_channels": "spectrogram_most",
        "recognizer": "recogniser",
        "max_crops": "most_crops",
        "equalizer": "equaliser",
        'engine = "steps"\n': "",
    }.items():
        assert new in text
        text = text.replace(new, before)
    resolved.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", DeprecationWarning)
        train(toy_recipe(finished, f"run.out={tmp_path / 'run'}"), resume=True)
    states = [
        torch.load(folder / "run" / "checkpoints" / "step-00000006.pt", weights_only=True)["state"]
        for folder in (finished, tmp_path)
    ]
    for part in ("generator", "ema_weights", "discriminators"):
        for name, tensor in states[0][part].items():
            assert torch.equal(tensor, states[1][part][name]), name
