"""Training at length and at size: two processes, one clip memorized, the published model's
first step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import speech
from training import toy_recipe, write_recipe

from xcodec2 import XCodec2Model
from xcodec2.audio.io import save_audio
from xcodec2.train.loop import train
from xcodec2.train.recipe import read_recipe

# What each process has lost in each step goes to a file of its own, beside the log of the means.
# Threads that wait for Python are not let in between, so that one which still holds something at
# the end is found more often.
WATCHED = """
import json, sys
from xcodec2.train.tasks import codec
from xcodec2.train.loop import train
from xcodec2.train.recipe import read_recipe

step = codec.train_step
def watched(state, batch, recipe):
    scalars = step(state, batch, recipe)
    with open(f"{sys.argv[2]}/seen-{state.accelerator.process_index}.jsonl", "a") as file:
        file.write(json.dumps({"step": state.step, "mel": scalars["mel"].item()}) + "\\n")
    return scalars
codec.train_step = watched
sys.setswitchinterval(100)
train(read_recipe(sys.argv[1], sys.argv[4:]), resume=sys.argv[3] == "resume")
"""
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]


def in_two_processes(folder: Path, resume: str, *changes: str) -> None:
    script = folder / "watched.py"
    script.write_text(WATCHED)
    command = [*LAUNCH, str(script), str(folder / "recipe.toml"), str(folder), resume, *changes]
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}  # what a process did that was aborted
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_hear_different_speech_learn_one_model_and_resume(tmp_path):
    write_recipe(tmp_path)
    in_two_processes(tmp_path, "start")
    seen = [lines(tmp_path / f"seen-{process}.jsonl") for process in (0, 1)]
    assert all(a["mel"] != b["mel"] for a, b in zip(*seen, strict=True))  # crops of their own
    logged = lines(tmp_path / "run" / "log.jsonl")
    assert [line["step"] for line in logged] == [1, 2, 3, 4, 5, 6]
    assert [line["mel"] for line in logged] == pytest.approx(
        [(a["mel"] + b["mel"]) / 2 for a, b in zip(*seen, strict=True)], rel=1e-4
    )
    in_two_processes(tmp_path, "start", f"run.out={tmp_path / 'cut'}", "run.steps=4")
    in_two_processes(tmp_path, "resume", f"run.out={tmp_path / 'cut'}")
    whole, cut = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("run", "cut")
    )
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    train(toy_recipe(tmp_path, f"run.out={tmp_path / 'one'}"))  # half the speech
    one = load_file(tmp_path / "one" / "model" / "model.safetensors")
    assert not torch.equal(one["fc_encoder.weight"], whole["fc_encoder.weight"])


@pytest.mark.slow
def test_nano_learns_one_clip_by_heart(tmp_path):
    """From random weights to STOI above 0.9 on the clip it hears. About six minutes."""
    clip = speech()[: 2 * 16_000]
    (tmp_path / "clip").mkdir()
    save_audio(tmp_path / "clip" / "0.flac", clip, 16_000)
    changes = [
        f'data.sources=[{{path="{tmp_path / "clip"}"}}]',
        f"data.valid={tmp_path / 'clip'}",
        f"run.out={tmp_path / 'run'}",
        *(
            "data.augment.gain=0",
            "data.augment.speed=0",
            "run.batch=2",
            "run.steps=600",
            "run.threads=1",
        ),
        *("run.log_every=50", "run.save_every=600", "run.validate_every=600"),
        "optimizer.learning_rate=[[0, 1e-4], [30, 1e-3], [450, 1e-3], [600, 5e-5]]",
    ]
    train(read_recipe("nano", changes))
    assert lines(tmp_path / "run" / "log.jsonl")[-1]["valid/stoi"] > 0.9


@pytest.mark.slow
def test_the_published_recipe_takes_a_step_at_full_size_and_saves_it(tmp_path):
    """Random weights, one crop of a second, float32: 10 GB of memory and of disk, about two
    minutes.
    """
    (tmp_path / "clip").mkdir()
    save_audio(tmp_path / "clip" / "0.flac", speech()[: 3 * 16_000], 16_000)
    changes = [
        f'data.sources=[{{path="{tmp_path / "clip"}"}}]',
        f"run.out={tmp_path / 'run'}",
        *("start.semantic_encoder=", "discriminators.alone_steps=0", "data.workers=1"),
        *(
            "run.batch=1",
            "run.crop_seconds=1",
            "run.steps=1",
            "run.log_every=1",
            "run.precision=no",
        ),
    ]
    model = train(read_recipe("xcodec2-base", changes))
    (line,) = lines(tmp_path / "run" / "log.jsonl")
    terms = {name: line[name] for name in ("mel", "adversarial", "feature_matching", "semantic")}
    assert line["loss"] == pytest.approx(
        15 * terms["mel"]
        + terms["adversarial"]
        + terms["feature_matching"]
        + 5 * terms["semantic"],
        rel=1e-4,
    )
    assert {"real", "fake"} <= line.keys()
    (saved,) = (tmp_path / "run" / "checkpoints").iterdir()
    state = torch.load(saved, weights_only=True, mmap=True)["state"]
    learning = [name for name in state["generator"] if name.startswith("codec.acoustic_encoder")]
    assert len(learning) > 50
    assert sum(tensor.numel() for tensor in state["generator"].values()) > 6e8
    codec = XCodec2Model.from_pretrained(model)
    assert codec.encode(speech()[:16_000], 16_000).codes.shape == (
        51,
    )  # one whole frame of padding
