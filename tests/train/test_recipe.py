"""Recipes: those in the package, changes, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from xcodec2 import XCodec2Config
from xcodec2.errors import RecipeError
from xcodec2.train.recipe import (
    RENAMED_KEYS,
    SHIPPED,
    Discriminators,
    read_recipe,
    to_toml,
)
from xcodec2.train.state import learning_rate_at

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
PUBLISHED_RATES = {0: 1e-5, 3000: 1e-4, 201_500: 6e-5, 400_000: 2e-5, 900_000: 2e-5}


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_resolve_and_read_back_as_they_were_written(path, tmp_path):
    recipe = read_recipe(path.stem)
    (tmp_path / "recipe.toml").write_text(to_toml(recipe))
    assert read_recipe(str(tmp_path / "recipe.toml")) == recipe
    assert recipe.run.out == f"runs/{path.stem}"
    if not recipe.start.checkpoint:
        XCodec2Config.from_dict(recipe.model)


def test_the_published_recipe_has_the_published_numbers():
    recipe = read_recipe("xcodec2-base")
    assert recipe.losses.used() == {
        "mel": 15,
        "adversarial": 1,
        "feature_matching": 1,
        "semantic": 5,
    }
    assert XCodec2Config.from_dict(recipe.model) == XCodec2Config()
    for step, rate in PUBLISHED_RATES.items():
        assert learning_rate_at(recipe.optimizer, step, recipe.run.steps) == pytest.approx(
            rate, rel=1e-3
        )
    assert recipe.optimizer.betas == (0.8, 0.9)
    assert recipe.discriminators == Discriminators()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("run.stepps=3", "recipe.run: unknown stepps; known are out, steps"),
        ("run.steps=lots", "recipe.run.steps: must be of type int, not 'lots'"),
        ("run.steps=0", "steps and batch must be at least 1"),
        ("run.precision=fp8", "must be one of 'no', 'fp16', 'bf16'"),
        ("losses.mel=true", "must be of type float"),
        ("optimizer.betas=[0.9]", "must have 2 values, not 1"),
        ("steps", "a change is KEY=VALUE"),
        ("data.augment.codecs=['ogg']", "data.augment.codecs: of opus, mp3, amr, alaw"),
        ("recognizer.share=0.0", "share must be above 0"),
        ("drop_acoustic=1.5", "drop_acoustic must be 0…1"),
        ("losses.adversarial=1.0", r"need a \[discriminators\] table"),
    ],
)
def test_a_wrong_change_is_one_clear_error(change, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe("nano", [change])


def test_changes_are_applied_over_the_file():
    recipe = read_recipe(
        "nano-gan", ["run.steps=7", 'data.sources=[{path="a b"}]', "run.out=runs/mine"]
    )
    assert (recipe.run.steps, recipe.run.out, recipe.run.batch) == (7, "runs/mine", 16)
    assert [source.path for source in recipe.data.sources] == ["a b"]
    assert recipe.model["width"] == 256  # from the base
    with pytest.raises(
        RecipeError, match=r"nanno: no such recipe; give a TOML file or one of .*nano"
    ):
        read_recipe("nanno")


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
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        for path in SHIPPED.glob("*.toml"):
            read_recipe(path.stem)


def test_recipes_that_name_each_other_as_base_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, base in (("a", "b.toml"), ("b", "./c.toml"), ("c", "a.toml"), ("self", "self.toml")):
        Path(f"{name}.toml").write_text(f'base = "{base}"\n')
    with pytest.raises(RecipeError, match=r"each other as base: a.toml → b.toml → c.toml → a.toml"):
        read_recipe("a.toml")
    with pytest.raises(RecipeError, match=r"each other as base: self.toml → self.toml"):
        read_recipe("self.toml")
    Path("nano.toml").write_text('base = "nano"\nema = 0.5\n')  # a file may be named as its base
    assert read_recipe("./nano.toml").ema == 0.5
