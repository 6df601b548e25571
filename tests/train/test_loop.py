"""Training: exactly resumed after kill -9, stopped by what is not finite, and nothing lost on a
full disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from docs_blocks import PAGES, blocks
from safetensors.torch import load_file
from tiny import speech
from torch import Tensor
from training import toy_recipe, write_speech

from xcodec2 import XCodec2Model
from xcodec2.audio.io import save_audio
from xcodec2.cli import xcodec2
from xcodec2.errors import CheckpointError, TrainingError
from xcodec2.train import checkpoints, loop, losses
from xcodec2.train.loop import train
from xcodec2.train.recipe import Weights
from xcodec2.train.recognizer import HEARING
from xcodec2.train.tasks import codec

KILLED = """
import os, signal, sys
from xcodec2.train import checkpoints
from xcodec2.train.loop import train
from xcodec2.train.recipe import read_recipe

save = checkpoints.save
def save_and_die(folder, step, state, keep):
    save(folder, step, state, keep)
    if step == 4:
        (folder / "step-99999999.pt.tmp").write_bytes(b"half a file")
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints.save = save_and_die
train(read_recipe(sys.argv[1], [sys.argv[2]]))
"""


def weights_of(folder: Path) -> dict[str, Tensor]:
    state = torch.load(folder / "checkpoints" / "step-00000006.pt", weights_only=True)["state"]
    flat = {}
    for part in ("generator", "ema_weights", "discriminators"):
        flat |= {f"{part}.{name}": tensor for name, tensor in state[part].items()}
    for part in ("optimizer", "discriminator_optimizer"):
        for number, values in state[part]["state"].items():
            flat |= {
                f"{part}.{number}.{name}": torch.as_tensor(tensor)
                for name, tensor in values.items()
            }
    return flat


def curve(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name != "audio_per_second"}
        for line in lines
    ]


def test_killed_and_resumed_equals_never_killed(finished, tmp_path):
    recipe, out = finished / "recipe.toml", f"run.out={tmp_path / 'killed'}"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(recipe), out], check=False)
    assert killed.returncode == -9
    model = train(toy_recipe(finished, out), resume=True)
    expected, found = weights_of(finished / "run"), weights_of(tmp_path / "killed")
    assert expected.keys() == found.keys()
    assert len(expected) > 500
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert curve(finished / "run") == curve(tmp_path / "killed")
    assert [line["step"] for line in curve(finished / "run")] == [1, 2, 3, 4, 5, 6]
    loaded = XCodec2Model.from_pretrained(model)
    average = expected["ema_weights.quantizer.project_in.weight"]
    torch.testing.assert_close(
        loaded.quantizer.project_in.weight, average, rtol=1e-3, atol=1e-4
    )  # float16


def test_every_loss_has_a_weight_of_its_name_and_is_logged(finished):
    names = {field.name for field in dataclasses.fields(Weights)}
    names -= set(HEARING)  # which need a recognizer
    assert names <= set(curve(finished / "run")[1])
    with pytest.raises(AssertionError, match="differ"):
        codec.weighted_sum({"mel": torch.zeros(())}, {"rms": 1.0})


def test_discriminators_alone_come_first(finished):
    heard = ["adversarial" in line for line in curve(finished / "run")]
    assert heard == [False, *[True] * 5]
    assert all("real" in line and "fake" in line for line in curve(finished / "run"))


def test_a_loss_that_is_not_finite_stops_before_the_update_and_keeps_the_batch(
    tmp_path, monkeypatch
):
    recipe = toy_recipe(tmp_path)
    compute, calls = losses.rms_loss, []

    def broken(predicted: Tensor, target: Tensor, window: int) -> Tensor:
        calls.append(target)
        return compute(predicted, target, window) * (float("nan") if len(calls) == 4 else 1)

    monkeypatch.setattr(losses, "rms_loss", broken)
    with pytest.raises(
        TrainingError, match=r"step 3: .*rms nan.*not-finite-step-3-process-0\.safetensors"
    ):
        train(recipe)
    kept = load_file(tmp_path / "run" / "not-finite-step-3-process-0.safetensors")
    assert torch.equal(kept["target"], calls[3])
    assert [path.name for path in checkpoints.checkpoints(tmp_path / "run" / "checkpoints")] == [
        "step-00000002.pt"
    ]


def test_a_run_is_neither_overwritten_nor_invented(tmp_path):
    recipe = toy_recipe(tmp_path, "run.steps=1")
    with pytest.raises(TrainingError, match="holds no run to resume"):
        train(recipe, resume=True)
    train(recipe)
    with pytest.raises(TrainingError, match="holds a run already"):
        train(recipe)


@pytest.fixture(scope="module")
def validated(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a run that was validated, and what it printed without a terminal."""
    folder = tmp_path_factory.mktemp("validated")
    changes = ["run.steps=4", "run.log_every=2", "run.validate_every=4", "run.save_every=4"]
    data = [f"data.valid={folder / 'speech'}", "data.valid_clips=2"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        train(toy_recipe(folder, *changes, *data))
    return folder / "run", printed.getvalue()


def test_validation_leaves_sounds_pictures_and_figures(validated):
    run, _ = validated
    samples = run / "samples" / "step-00000004"
    assert sorted(path.suffix for path in samples.iterdir()) == [".flac", ".flac", ".png", ".png"]
    figures = curve(run)[-1]
    assert -1 <= figures["valid/stoi"] <= 1
    assert 0 < figures["valid/distinct_codes"] <= 1
    events = next((run / "tensorboard").iterdir()).read_bytes()
    assert all(name in events for name in (b"valid/stoi", b"self_guidance", b"0-0.flac"))


def test_a_job_without_a_terminal_says_how_it_goes(validated):
    lines = [line for line in validated[1].splitlines() if line.startswith("step")]
    assert [line.split(":")[0] for line in lines] == ["step 2 of 4", "step 4 of 4", "step 4 of 4"]
    assert "mel " in lines[0]
    assert "stoi " in lines[2]


def test_every_checkpoint_leaves_a_model_and_a_killed_run_can_be_exported(tmp_path, monkeypatch):
    recipe = toy_recipe(tmp_path, "run.steps=2", "run.save_every=1", "run.keep=1")
    made = []
    write = loop.export

    def watch(state, out) -> None:
        write(state, out)
        made.append(
            (state.step, XCodec2Model.from_pretrained(out / "model").quantizer.project_in.weight)
        )

    monkeypatch.setattr(loop, "export", watch)
    train(recipe)
    assert [step for step, _ in made] == [1, 2]
    assert not torch.equal(made[0][1], made[1][1])
    shutil.rmtree(tmp_path / "run" / "model")
    result = CliRunner().invoke(
        xcodec2, ["train", str(tmp_path / "recipe.toml"), "run.steps=2", "--export"]
    )
    assert result.exit_code == 0, result.output
    assert torch.equal(
        XCodec2Model.from_pretrained(tmp_path / "run" / "model").quantizer.project_in.weight,
        made[1][1],
    )


def test_discriminators_are_kept_and_another_run_begins_with_them(finished):
    kept = finished / "run" / "discriminators.safetensors"
    tensors = load_file(kept)
    again = toy_recipe(finished, f"start.discriminators={kept}")
    state = codec.starting_state(again, loop.make_accelerator(again))
    assert all(
        torch.equal(tensor, tensors[name])
        for name, tensor in state.discriminators.state_dict().items()
    )
    other = toy_recipe(finished, f"start.discriminators={kept}", "discriminators.period_channels=4")
    with pytest.raises(CheckpointError, match="no discriminators of the recipe's sizes"):
        codec.starting_state(other, loop.make_accelerator(other))


def test_a_longer_resume_stretches_a_schedule_of_shares(tmp_path):
    changes = [
        "optimizer.learning_rate=[[0, 0.0], [0.5, 1e-3], [1, 0.0]]",
        "optimizer.relative_steps=true",
    ]
    train(toy_recipe(tmp_path, "run.steps=2", *changes))
    train(toy_recipe(tmp_path, "run.steps=4", *changes), resume=True)
    rates = [line["learning_rate"] for line in curve(tmp_path / "run")]
    assert rates == pytest.approx([0, 1e-3, 1e-3, 5e-4])


def test_the_documented_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_speech(tmp_path / "recordings", count=2, seconds=1.0)
    save_audio(tmp_path / "speech.wav", speech()[:8000], 16_000)
    page = blocks(PAGES["docs/guides/training.md"])
    commands = [words[1:] for block in page for words in block.commands()]
    commands = [words for words in commands if "nano-gpu" not in words]  # needs nano's data
    assert [words[0] for words in commands] == ["train", "train", "reconstruct", "train"]
    small = ["run.batch=1", "run.crop_seconds=0.1", "run.threads=1", "run.save_every=1"]
    for words in commands:
        # one step, and one more where it is resumed
        steps = [f"run.steps={1 + ('--resume' in words)}"] if words[0] == "train" else []
        words = [word for word in words if not word.startswith("run.steps")] + (
            small + steps if steps else []
        )
        result = CliRunner().invoke(xcodec2, words)
        assert result.exit_code == 0, (words, result.output, result.exception)
    assert (
        XCodec2Model.from_pretrained(tmp_path / "runs" / "mine-24k" / "model").sample_rate == 24_000
    )
