"""The semantic teacher: features and phones, and recordings without labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training import MODEL, TEACHER, write_speech

from xcodec2 import XCodec2Model
from xcodec2.errors import TrainingError
from xcodec2.train.generator import (
    starting_codec,
)
from xcodec2.train.loop import train
from xcodec2.train.recipe import (
    read_recipe,
)


def test_a_semantic_encoder_learns_from_its_teacher_and_from_phones(tmp_path):
    write_speech(tmp_path / "speech", count=2)
    (tmp_path / "features").mkdir()
    (tmp_path / "labels").mkdir()
    generator = np.random.default_rng(0)
    for name in ("0.flac", "1.flac"):
        np.save(
            tmp_path / "features" / f"{name}.npy",
            generator.standard_normal((21, 4)).astype(np.float16),
        )
        (tmp_path / "labels" / f"{Path(name).stem}.lab").write_text(
            "#\n0.20000 100 a\n0.50000 100 b\n"
        )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TEACHER.format(folder=tmp_path) + MODEL)
    model = XCodec2Model.from_pretrained(train(read_recipe(str(recipe))))
    torch.manual_seed(0)
    before = starting_codec(read_recipe(str(recipe)))
    moved = {
        name.partition(".")[0]
        for name, tensor in model.state_dict().items()
        if not torch.allclose(tensor, before.state_dict()[name], rtol=1e-3, atol=1e-3)
    }
    assert moved == {"semantic_encoder"}
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert '"phones"' in log
    assert '"valid/phone_accuracy"' in log
    (tmp_path / "features" / "0.flac.npy").unlink()
    lost = read_recipe(str(recipe), [f"run.out={tmp_path / 'lost'}"])
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(
            TrainingError, match=r"no features of 0\.flac; run scripts/teacher_features\.py"
        ),
    ):
        train(lost)
    with pytest.raises(
        TrainingError, match="neither a column that names label files nor a folder of them"
    ):
        train(read_recipe(str(recipe), [f"run.out={tmp_path / 'none'}", "teacher.phones=phonemes"]))


def test_steps_without_labels_are_no_part_of_the_mean(tmp_path):
    write_speech(tmp_path / "speech", count=2)
    (tmp_path / "features").mkdir()
    (tmp_path / "labels").mkdir()
    for name in ("0.flac", "1.flac"):
        np.save(tmp_path / "features" / f"{name}.npy", np.eye(21, 4, dtype=np.float16))
    (tmp_path / "labels" / "0.lab").write_text("#\n0.00100 100 a\n0.50000 100 b\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(TEACHER.format(folder=tmp_path) + MODEL)
    train(
        read_recipe(
            str(recipe), ["run.steps=12", "run.batch=1", "optimizer.learning_rate=[[0, 0.0]]"]
        )
    )
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "features" in line]
    assert 0 < sum("phones" in line for line in steps) < len(steps) == 12
    assert min(line["phones"] for line in steps if "phones" in line) > 0.1
    assert steps[0]["loss"] == pytest.approx(
        steps[0]["features"] + steps[0].get("phones", 0), rel=1e-4
    )
