"""The engine of whole steps, on the CPU: its crops, its steps, what it does with a bad gradient,
what it leaves, and what it refuses.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import soundfile
import torch
from tiny import speech
from training import write_recipe

from xcodec2 import XCodec2Model
from xcodec2.errors import RecipeError, TrainingError
from xcodec2.train import Recipe, read_recipe, train
from xcodec2.train.engines import graphs
from xcodec2.train.engines.graphs import ALONE, RECONSTRUCT, TOGETHER, GraphTrainer
from xcodec2.train.loop import make_accelerator
from xcodec2.train.state import learning_rate_at

RATE = 16_000


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Recipe:
    """nano on its own demo clip, two crops of a quarter of a second a step."""
    folder = tmp_path_factory.mktemp("speech")
    soundfile.write(folder / "clip.flac", speech().numpy(), RATE)
    changes = ["run.batch=2", "run.crop_seconds=0.25", "discriminators.seconds=0.2"]
    return read_recipe("nano-gpu", [*changes, f'data.sources=[{{path="{folder}"}}]'])


@pytest.fixture(scope="module")
def only_trainer(recipe) -> GraphTrainer:
    return GraphTrainer(recipe, make_accelerator(recipe))


@pytest.fixture
def trainer(only_trainer) -> GraphTrainer:
    """Made once; nothing is noted, and no learning rate set."""
    only_trainer.set_learning_rates(0.0)
    only_trainer.sums.clear()
    return only_trainer


@pytest.fixture
def small(tmp_path) -> tuple[str, list[str]]:
    """A tiny recipe and the changes that run it by this engine: four steps, in every phase."""
    changes = [
        "run.engine=graphs",
        "graphs={seconds=1000.0, discriminators_from=0.25, adversarial_from=0.5}",
        "run.steps=4",
        "run.save_every=1",
        f"run.out={tmp_path / 'out'}",
        "optimizer={learning_rate=[[0, 1e-4]], relative_steps=true}",
        "discriminator_optimizer={learning_rate=[[0, 1e-3]], relative_steps=true}",
        "discriminators.alone_steps=0",
        "data.augment={gain=0.5, speed=0.5}",
    ]
    return str(write_recipe(tmp_path)), changes


def test_resampling_the_tape(trainer, monkeypatch):
    wave = 20_000 * torch.sin(0.3 * torch.arange(30_000))
    monkeypatch.setattr(trainer.tape, "samples", wave.to(torch.int16))
    plain, faster = trainer.tape.resampled(torch.tensor([100, 100]), torch.tensor([1.0, 1.1]), 1000)
    torch.testing.assert_close(plain, trainer.tape.samples[100:1100] / 32_767, rtol=0, atol=1e-6)
    expected = 20_000 / 32_767 * torch.sin(0.3 * (100 + 1.1 * torch.arange(1000)))
    torch.testing.assert_close(faster, expected, rtol=0, atol=2e-4)


def test_crops_are_pieces_of_the_tape(trainer):
    options = replace(trainer.recipe.data.augment, speed=0.0, gain=0.0)
    tape = trainer.tape.samples / 32_767
    for crop in trainer.tape.crops(3, 400, options):
        assert ((tape.unfold(0, 400, 1) - crop).abs().amax(1) < 1e-6).any()


@pytest.mark.parametrize(
    ("phase", "codec_learns", "discriminators_learn"),
    [(RECONSTRUCT, True, False), (ALONE, True, True), (TOGETHER, True, True)],
)
def test_who_learns_in_which_phase(trainer, phase, codec_learns, discriminators_learn):
    learners = trainer.learners
    before = [
        [parameter.detach().clone() for parameter in learner.parameters] for learner in learners
    ]
    for learner in learners:
        learner.learning_rate.fill_(1e-3)
    trainer.eager(phase, 0)
    changed = [
        any(not torch.equal(a, b) for a, b in zip(old, learner.parameters, strict=True))
        for old, learner in zip(before, learners, strict=True)
    ]
    assert changed == [codec_learns, discriminators_learn]


def test_a_gradient_that_is_not_finite_changes_nothing(trainer):
    learner = trainer.codec_learner
    learner.learning_rate.fill_(1e-3)
    before = [parameter.detach().clone() for parameter in learner.parameters]
    learner.update(learner.parameters[0].sum() * float("inf"))
    assert all(torch.equal(a, b) for a, b in zip(before, learner.parameters, strict=True))

    assert learner.skipped == 1


def test_a_run_without_one_finite_gradient_stops(trainer):
    trainer.note({"skipped": torch.tensor(1.0)})
    with pytest.raises(TrainingError, match="no gradient since the last log line was finite"):
        trainer.take_means()


def test_means_are_of_the_steps_that_had_a_loss(trainer):
    for value in (1.0, 3.0):
        trainer.note({"mel": torch.tensor(value)})
    trainer.note({"real": torch.tensor(5.0)})
    assert trainer.take_means() == {"mel": 2.0, "real": 5.0}
    assert trainer.take_means() == {}


def test_a_run_leaves_a_model_of_the_average_and_discriminators_to_begin_from(small, tmp_path):
    name, changes = small
    folder = train(name, [*changes, "ema=1.0"])  # the average stays where it was
    lines = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert ["real" in line for line in lines] == [False, True, True, True]
    assert ["adversarial" in line for line in lines] == [False, False, True, True]
    first = XCodec2Model.from_pretrained(folder).state_dict()
    assert read_recipe(tmp_path / "out/recipe.toml").run.engine == "graphs"
    again = [
        *(change for change in changes if not change.startswith("run.out")),
        f"run.out={tmp_path / 'again'}",
        f"start.checkpoint={folder}",
        f"start.discriminators={tmp_path / 'out/discriminators.safetensors'}",
        "run.steps=1",
        "model={}",
        "ema=1.0",
    ]
    second = XCodec2Model.from_pretrained(train(name, again)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("run.precision=fp16", "run.precision must be no or bf16"),
        ("data.augment.noise=0.5", "has gain and speed only; leave out noise"),
        ("data.augment.clean_target=true", "leave out clean_target"),
        ("optimizer.relative_steps=false", "optimizer.relative_steps must be true"),
        ("discriminators.alone_steps=3", "discriminators.first_step and alone_steps must be 0"),
        ("model.sample_rate=24000", "one sample rate, not 16000 and 24000 Hz"),
        ("run.crop_seconds=50.0", "give it more speech or shorten run.crop_seconds"),
    ],
)
def test_what_it_does_not_do_is_refused(small, tmp_path, change, message):
    name, changes = small
    with pytest.raises(TrainingError, match=message):
        train(name, [*changes, change])
    assert not (tmp_path / "out").exists()


def test_resuming_and_several_processes_are_refused(recipe, monkeypatch):
    with pytest.raises(TrainingError, match=r"is not resumed; .*start\.checkpoint=OUT/model"):
        train(recipe, resume=True)
    accelerator = make_accelerator(recipe)
    monkeypatch.setattr(type(accelerator), "num_processes", 2)
    assert list(graphs.unsupported(recipe, accelerator, False)) == ["runs in one process, not in 2"]


def test_a_run_that_is_there_is_left_alone(small, tmp_path):
    name, changes = small
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"holds a run already; choose another run\.out"):
        train(name, changes)


@pytest.mark.parametrize("change", ["run.engine=steps", "graphs.second=3"])
def test_engine_and_table_belong_together(change):
    with pytest.raises(RecipeError, match=r"belong together|unknown second"):
        read_recipe("nano-gpu", [change])


def test_the_plan_is_that_of_the_shipped_nano(recipe):
    shares = (0.0, 0.01, 0.02, 0.5, 0.75, 1.0)
    rates = [learning_rate_at(recipe.optimizer, share * 1000, 1000) for share in shares]
    assert rates == pytest.approx([0.0, 7.5e-4, 1.5e-3, 1.5e-3, 7.6e-4, 2e-5])
    phases = [graphs.phase_at(share, recipe) for share in (0.0, 0.49, 0.5, 0.51, 0.52, 0.99)]
    assert phases == [RECONSTRUCT] * 2 + [ALONE] * 2 + [TOGETHER] * 2
    assert graphs.share_done(recipe, 10, 100.0) == 0.25
    short = replace(recipe, run=replace(recipe.run, steps=20))
    assert graphs.share_done(short, 10, 100.0) == 0.5
