"""Recipes of language models: shipped ones, old keys, what is none, and their precision."""

from __future__ import annotations

import pytest
import torch

from xcodec2.errors import RecipeError
from xcodec2.llasa.training.recipe import SHIPPED, read_llasa_recipe
from xcodec2.llasa.training.train import precision


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_shipped_recipes_are_readable(name):
    recipe = read_llasa_recipe(name, ["steps=7", "trainer.use_cpu=true", "out=there"])
    assert (recipe.steps, recipe.trainer["use_cpu"], recipe.out) == (7, True, "there")


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("steps = 1", [], "recipe: lacks out, rows, learning_rate"),
        ("stesp = 1", [], "recipe: unknown stesp; known are out, rows"),
        ("steps = = 1", [], "not a readable recipe"),
        ("", ["steps"], "KEY=VALUE"),
        ("", ["steps=many"], "steps: must be of type int, not 'many'"),
        ("", ["precision=int4"], "precision: must be one of 'auto', 'float32'"),
        ("", ["rows=[]"], "names no folder"),
        ("", ["base=x"], "either a base or a shape"),
        ("", ["text_share=0.5"], "needs text files"),
        ("", ["seed.deep=1"], "seed is a value, not a table"),
    ],
)
def test_recipes_that_are_none_are_refused(tmp_path, text, changes, words):
    whole = (
        'out = "o"\nrows = ["r"]\nsteps = 1\nseed = 1\nlearning_rate = 1\n'
        "shape = { hidden_size = 8 }\n"
    )
    (tmp_path / "recipe.toml").write_text(text or whole)
    with pytest.raises(RecipeError, match=words):
        read_llasa_recipe(str(tmp_path / "recipe.toml"), changes)
    with pytest.raises(RecipeError, match=r"one of few, lora, paper, phonemes, small"):
        read_llasa_recipe("none")


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("least_rate", "min_lr_ratio", 0.5),
        ("listen", "audio_samples", 2),
        ("seen_only", "compact_vocabulary", False),
    ],
)
def test_old_keys_are_read_and_told(tmp_path, old, new, value):
    whole = 'out = "o"\nrows = ["r"]\nsteps = 1\nlearning_rate = 1\nshape = { hidden_size = 8 }\n'
    (tmp_path / "recipe.toml").write_text(f"{whole}{old} = {str(value).lower()}\n")
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        recipe = read_llasa_recipe(str(tmp_path / "recipe.toml"))
    assert getattr(recipe, new) == value
    with pytest.warns(DeprecationWarning, match="min_lr_ratio"):
        assert read_llasa_recipe("small", ["least_rate=0.25"]).min_lr_ratio == 0.25
    with pytest.warns(DeprecationWarning, match="inside is now few"):
        assert read_llasa_recipe("inside").compact_vocabulary


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_precision_follows_the_machine(monkeypatch, name):
    """The shipped recipes name none that a CPU, or an old GPU, has not."""
    recipe = read_llasa_recipe(name)
    assert precision(recipe) == "float32"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    assert precision(recipe) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    assert precision(recipe) == ("float32" if name == "few" else "bfloat16")
    assert precision(read_llasa_recipe(name, ["trainer.use_cpu=true"])) == "float32"
