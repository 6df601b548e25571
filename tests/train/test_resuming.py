"""A run that is resumed with another recipe is told what differs; recipes that go in circles."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hints import install_hint
from training import toy_recipe

from xcodec2.errors import MissingExtraError, TrainingError
from xcodec2.train.loop import train


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("begun")
    train(toy_recipe(folder, "run.steps=2"))
    return folder


@pytest.fixture
def run(begun, tmp_path) -> str:
    """A copy of that run; the recipe's change that goes on with it."""
    shutil.copytree(begun / "run", tmp_path / "copy")
    return f"run.out={tmp_path / 'copy'}"


def test_another_batch_crop_or_weight_is_told_and_resumed(begun, run):
    changes = ("run.batch=1", "run.crop_seconds=0.2", "losses.rms=0.5")
    with pytest.warns(UserWarning, match="resumed with another recipe") as told:
        train(toy_recipe(begun, run, "run.steps=3", *changes), resume=True)
    said = " ".join(str(warning.message) for warning in told)
    assert "run.batch was 2 and is 1" in said
    assert "run.crop_seconds was 0.1 and is 0.2" in said
    assert "losses.rms was 0.1 and is 0.5" in said
    assert "run.steps" not in said


def test_what_changes_no_step_is_not_told(begun, run):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(toy_recipe(begun, run, "run.steps=3", "run.keep=5", "data.workers=2"), resume=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('start.frozen=["semantic_encoder"]', "trained weights: semantic_encoder learned"),
        ('start.frozen=["semantic_encoder"]', r"start.frozen was \[\] and is \['semantic_encoder'"),
        ('start.frozen=["nothing"]', r"recipe\.start\.frozen: no part 'nothing'; there are"),
        ('start.frozen=["quantizer.nothing"]', "no part 'quantizer.nothing'"),
        ('start.fresh=["nothing"]', r"recipe\.start\.fresh: no part 'nothing'; there are"),
        ("losses.semantic=0.0", "losses.semantic was 0.1 and is 0.0"),
        ("model.ffn=64", "model.ffn was 32 and is 64"),
        ("discriminators.period_channels=4", "weights of the discriminators differ"),
    ],
)
def test_other_weights_are_refused_and_the_run_is_left_as_it_was(begun, run, change, words):
    out = Path(run.partition("=")[2])
    before = (out / "recipe.toml").read_text()
    for _ in range(2):  # the refused recipe does not become the one of before
        with pytest.raises(TrainingError, match=words):
            train(toy_recipe(begun, run, "run.steps=3", change), resume=True)
    assert (out / "recipe.toml").read_text() == before


def test_parts_that_did_not_learn_before_are_named(tmp_path):
    frozen = 'start.frozen=["semantic_encoder"]'
    train(toy_recipe(tmp_path, "run.steps=1", frozen))
    with pytest.raises(TrainingError, match="semantic_encoder did not learn before"):
        train(toy_recipe(tmp_path, "run.steps=2"), resume=True)
    assert torch.load(tmp_path / "run/checkpoints/step-00000001.pt")["state"]["step"] == 1


def test_training_asks_for_its_libraries_before_it_makes_a_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(
        MissingExtraError, match="training needs tensorboardX.*" + install_hint("train")
    ):
        train(toy_recipe(tmp_path, "run.steps=1"))
    assert not (tmp_path / "run").exists()


def test_a_film_without_its_decoder_is_no_unreadable_recording(tmp_path, monkeypatch):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.m4a").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    source = f'data.sources=[{{path="{tmp_path / "films"}", weight=1}}]'
    with pytest.raises(MissingExtraError, match=r"a\.m4a: reading \.m4a needs av"):
        train(toy_recipe(tmp_path, "run.steps=1", source))
