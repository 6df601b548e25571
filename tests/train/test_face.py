"""`from xcodec2.train import train`, and recipes and checkpoints by their names of before."""

from __future__ import annotations

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
from xcodec2.train.recipe import RENAMED_KEYS

OF_BEFORE = """
[run]
out = "x"
steps = 1
batch = 1
crop_seconds = 1.0
[optimiser]
rate = [[0, 1e-3], [1, 2e-3]]
of_run = true
[discriminators]
period_most = 4
spectrogram_most = 8
[discriminator_optimiser]
rate = [[0, 1e-4]]
of_run = true
[losses]
recogniser = 0.5
[recogniser]
share = 0.25
[data]
sources = [{ path = "speech" }]
most_crops = 3
valid_recogniser = "tiny"
[data.augment]
equaliser = 0.5
equaliser_db = 3.0
[teacher]
features = "features"
width = 4
rate = 50.0
"""


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


def test_every_key_of_before_is_read_with_a_warning(tmp_path):
    path = tmp_path / "old.toml"
    path.write_text(OF_BEFORE)
    with pytest.warns(DeprecationWarning, match="recipe key") as told:
        recipe = read_recipe(path)
    said = "\n".join(str(one.message) for one in told)
    assert all(f"recipe key {old} is now {new};" in said for old, new in RENAMED_KEYS.items())
    assert recipe.optimizer.learning_rate == ((0, 1e-3), (1, 2e-3))
    assert recipe.optimizer.relative_steps
    assert recipe.discriminator_optimizer.learning_rate == ((0, 1e-4),)
    assert recipe.discriminators.period_max_channels == 4
    assert recipe.discriminators.spectrogram_max_channels == 8
    assert (recipe.losses.recognizer, recipe.recognizer.share) == (0.5, 0.25)
    assert (recipe.data.max_crops, recipe.data.valid_recognizer) == (3, "tiny")
    assert (recipe.data.augment.equalizer, recipe.data.augment.equalizer_db) == (0.5, 3.0)
    assert recipe.teacher.feature_rate == 50.0


def test_changes_and_bases_of_before_reach_the_recipe_of_now(tmp_path):
    old = tmp_path / "old.toml"
    old.write_text('base = "nano-gan"\n[optimiser]\nrate = [[0, 0.5]]\n')
    with pytest.warns(DeprecationWarning, match=r"optimizer\.rate is now optimizer\.learning_rate"):
        recipe = read_recipe(old, ["discriminators={period_most=3}", "optimiser.of_run=true"])
    assert recipe.optimizer.learning_rate == ((0, 0.5),)
    assert recipe.optimizer.betas == (0.8, 0.9)  # of the base
    assert recipe.optimizer.relative_steps
    assert recipe.discriminators.period_max_channels == 3


def test_a_key_by_both_names_is_refused(tmp_path):
    path = tmp_path / "both.toml"
    path.write_text("[optimiser]\nrate = [[0, 1.0]]\n[optimizer]\nlearning_rate = [[0, 2.0]]\n")
    with pytest.raises(RecipeError, match="has both optimiser and optimizer; keep optimizer"):
        read_recipe(path)


def test_recipes_in_the_package_use_no_name_of_before():
    from xcodec2.train.recipe import SHIPPED

    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        for path in SHIPPED.glob("*.toml"):
            read_recipe(path.stem)


def test_a_run_of_before_is_resumed_without_a_word(tmp_path):
    """Its checkpoint and its resolved recipe have the names that there were."""
    whole = train(toy_recipe(tmp_path, f"run.out={tmp_path / 'whole'}", "run.steps=4"))
    train(toy_recipe(tmp_path, "run.steps=2"))
    newest = tmp_path / "run" / "checkpoints" / "step-00000002.pt"
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
        train(toy_recipe(tmp_path, "run.steps=4"), resume=True)
    states = [
        torch.load(folder / "checkpoints" / "step-00000004.pt", weights_only=True)["state"]
        for folder in (whole.parent, tmp_path / "run")
    ]
    for part in ("generator", "ema_weights", "discriminators"):
        for name, tensor in states[0][part].items():
            assert torch.equal(tensor, states[1][part][name]), name
