"""What training is made of: recipes, crops, augmentation, discriminators, the codec at another
rate, the teacher.
"""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from pystoi import stoi
from tiny import NEUCODEC, SPECTROGRAM, random_model, speech
from training import MODEL, TEACHER, toy_recipe, write_speech

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.audio.io import save_audio
from xcodec2.errors import CheckpointError, RecipeError, TrainingError
from xcodec2.train import losses
from xcodec2.train.data.augment import (
    add_noise,
    add_rumble,
    augment,
    equalize,
    limit_band,
    limited_gain,
    move_formants,
    reverberate,
    stretch,
)
from xcodec2.train.data.channels import CHANNELS, filtered, through_codec
from xcodec2.train.data.crops import Batches
from xcodec2.train.discriminators import BothDiscriminators, from_lightning, load_discriminators
from xcodec2.train.generator import (
    Generator,
    changed_codec,
    consistency_error,
    disturbed,
    guidance_error,
    moved_taps,
    semantic_error,
    starting_codec,
)
from xcodec2.train.loop import train
from xcodec2.train.recipe import (
    SHIPPED,
    Augment,
    Discriminators,
    Recipe,
    Start,
    read_recipe,
    to_toml,
)
from xcodec2.train.state import learning_rate_at

PUBLISHED_RATES = {0: 1e-5, 3000: 1e-4, 201_500: 6e-5, 400_000: 2e-5, 900_000: 2e-5}


# ---- recipes -------------------------------------------------------------------------------------


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


# ---- crops ---------------------------------------------------------------------------------------


def batches(recipe: Recipe, **where) -> Batches:
    return Batches(recipe, XCodec2Config.from_dict(recipe.model), **where)


def test_crops_go_on_where_they_stopped(tmp_path):
    recipe = toy_recipe(tmp_path)
    straight = batches(recipe)
    expected = [straight.batch(step) for step in range(12)]  # into the third epoch
    assert len({tuple(batch.tensors["target"][0, :50].tolist()) for batch in expected}) == 12
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
                start = np.round(crop[:400] * 32767)
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


# ---- augmentation --------------------------------------------------------------------------------


def test_each_change_does_what_it_says():
    clip, rate = speech()[:16_000].numpy(), 16_000
    noisy = add_noise(clip, 20.0, random.Random(0))
    assert 10 * np.log10(np.square(clip).mean() / np.square(noisy - clip).mean()) == pytest.approx(
        20, abs=0.3
    )
    limited = np.abs(np.fft.rfft(limit_band(clip, rate, 3000.0))) ** 2
    assert limited[3500:].sum() < 1e-4 * np.square(np.abs(np.fft.rfft(clip)))[3500:].sum()
    assert limited_gain(clip, 100.0) * np.abs(clip).max() == pytest.approx(0.99)
    assert limited_gain(clip, 0.5) == 0.5
    rumbling = add_rumble(clip, rate, 6.0, random.Random(0)) - clip
    assert 10 * np.log10(np.square(rumbling).mean() / np.square(clip).mean()) == pytest.approx(
        6, abs=0.3
    )
    power = np.abs(np.fft.rfft(rumbling)) ** 2
    assert power[200:].sum() < 1e-3 * power.sum()
    telephone = np.abs(np.fft.rfft(filtered(clip, rate, lowest=300, highest=3400)))
    before = np.abs(np.fft.rfft(clip))
    np.testing.assert_allclose(telephone[900:1500], before[900:1500], rtol=0.02)
    assert telephone[4500:].max() < 1e-2 * before[4500:].max()
    assert telephone[:60].max() < 1e-2 * before[:3400].max()
    change = 20 * np.log10(
        np.abs(np.fft.rfft(equalize(clip, rate, 6.0, random.Random(1)))) / before
    )
    assert 3 < np.abs(change[60:7900]).max() <= 6.01
    click = np.zeros(rate, np.float32)
    click[0] = 1
    tail = reverberate(click, rate, 0.2, random.Random(0))
    early, late = (
        np.square(tail[int(t * rate) : int((t + 0.02) * rate)]).mean() for t in (0.02, 0.12)
    )
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=3)  # 60 dB in 0.2 s


def test_tempo_keeps_the_pitch_and_pitch_keeps_the_tempo():
    time = np.arange(32_000) / 16_000
    tone = np.sin(2 * np.pi * 400 * time).astype(np.float32)

    def pitch(waveform: np.ndarray) -> float:
        middle = waveform[len(waveform) // 4 :][:8000]
        return float(np.abs(np.fft.rfft(middle * np.hanning(8000))).argmax() * 2)

    faster = stretch(tone, 16_000, 1.25, 0.0)
    assert len(faster) == pytest.approx(32_000 / 1.25, rel=0.01)
    assert pitch(faster) == pytest.approx(400, abs=6)
    higher = stretch(tone, 16_000, 1.0, 12.0)
    assert len(higher) == 32_000
    assert pitch(higher) == pytest.approx(800, abs=12)


def test_augmentation_depends_on_its_dice_alone():
    every = {field.name: 0.5 for field in fields(Augment) if field.type == "float"}
    options, clip = Augment(**every), speech()[:8000].numpy()
    first, again, other = (
        augment(clip, 16_000, (1.1, 1.0), options, random.Random(seed)).inputs for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:1000], other[:1000])
    assert np.abs(first).max() <= 1


def test_formants_move_and_the_pitch_stays():
    time = np.arange(16_000) / 16_000
    pulses = (np.arange(16_000) % 128 == 0).astype(np.float32)  # 125 Hz
    ring = np.exp(-400 * time[:800]) * np.sin(2 * np.pi * 1500 * time[:800])
    voice = np.convolve(pulses, ring)[:16_000].astype(np.float32)

    def peak_and_pitch(waveform: np.ndarray) -> tuple[float, float]:
        power = np.abs(np.fft.rfft(waveform)) ** 2
        smooth = np.convolve(power, np.hanning(200), "same")
        repeats = np.fft.irfft(power)[64:300].argmax() + 64
        return float(smooth.argmax()), 16_000 / repeats

    (formant, pitch), (moved, same) = (
        peak_and_pitch(voice),
        peak_and_pitch(move_formants(voice, 16_000, 1.25)),
    )
    assert moved / formant == pytest.approx(1.25, abs=0.04)
    assert same == pytest.approx(pitch, rel=0.01)
    np.testing.assert_allclose(
        move_formants(voice, 16_000, 1.0)[500:-500], voice[500:-500], atol=1e-4
    )


@pytest.mark.parametrize("name", CHANNELS)
def test_speech_comes_through_a_codec_in_its_place(name):
    clip, rate = speech()[8000:32_000].numpy(), 16_000
    found, highest = through_codec(clip, rate, (name,), random.Random(1))
    assert found.shape == clip.shape
    assert not np.allclose(found, clip, atol=1e-3)
    band = (
        filtered(clip, rate, lowest=200, highest=1500),
        filtered(found, rate, lowest=200, highest=1500),
    )
    assert (
        np.corrcoef(*(part[2000:-2000] for part in band))[0, 1] > 0.75
    )  # out of place it is about 0
    spectrum = np.abs(np.fft.rfft(found)) ** 2
    above = round(1.1 * highest / rate * len(found))
    assert spectrum[above:].sum() < 0.01 * spectrum.sum()


def test_a_clean_target_has_the_voice_and_the_band_and_nothing_of_the_place():
    clip, rate = speech()[:32_000].numpy(), 16_000
    dirty = {
        "noise": 1.0,
        "noise_snr_db": (5.0, 5.0),
        "reverb": 1.0,
        "rumble": 1.0,
        "clipping": 1.0,
    }
    heard, target = augment(
        clip, rate, (1.0, 1.0), Augment(clean_target=True, **dirty), random.Random(0)
    )
    gain = np.abs(target).max() / np.abs(clip).max()
    np.testing.assert_allclose(target, clip * gain, atol=1e-5)
    assert np.square(heard - target).mean() > 0.2 * np.square(target).mean()
    same = augment(clip, rate, (1.0, 1.0), Augment(**dirty), random.Random(0))
    np.testing.assert_array_equal(same.inputs, same.target)
    narrow = augment(
        clip, rate, (1.0, 1.0), Augment(clean_target=True, telephone=1.0), random.Random(0)
    )
    np.testing.assert_array_equal(narrow.inputs, narrow.target)
    soft = Augment(level_target=True, gain=1.0, gain_db=(-20.0, -20.0))
    levelled = augment(clip, rate, (1.0, 1.0), soft, random.Random(0))
    np.testing.assert_array_equal(levelled.target, clip)
    np.testing.assert_allclose(levelled.inputs, 0.1 * clip, rtol=1e-5)
    phoned = augment(
        clip,
        rate,
        (1.0, 1.0),
        Augment(clean_target=True, codec=1.0, codecs=("alaw",)),
        random.Random(0),
    )
    assert not np.array_equal(phoned.inputs, phoned.target)
    assert (
        np.square(np.abs(np.fft.rfft(phoned.target)))[9000:].sum()
        < 1e-4 * np.square(np.abs(np.fft.rfft(clip))).sum()
    )


# ---- discriminators and losses -------------------------------------------------------------------


def test_discriminators_have_the_published_shape():
    both = BothDiscriminators(Discriminators())
    scores = both(torch.randn(2, 9600))
    assert len(scores) == 5 + 8
    assert [len(layers) for layers in scores] == [6] * 5 + [6] * 8
    assert [layers[4].shape[1] for layers in scores[:5]] == [512] * 5
    assert [layers[4].shape[1] for layers in scores[5:]] == [512] * 8


def test_gradients_of_discriminators_are_finite_in_bfloat16():
    discriminators = BothDiscriminators(read_recipe("nano-gan").discriminators)
    with torch.autocast("cpu", torch.bfloat16):
        layers = discriminators(0.1 * torch.randn(4, 8000))
    torch.stack([member[-1].float().square().mean() for member in layers]).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in discriminators.parameters())


def test_discriminators_load_from_a_lightning_checkpoint_and_nothing_else(tmp_path):
    sizes = Discriminators(
        periods=(2, 3),
        period_channels=2,
        period_max_channels=4,
        ffts=(78,),
        spectrogram_channels=2,
        spectrogram_max_channels=4,
    )
    trained, fresh = BothDiscriminators(sizes), BothDiscriminators(sizes)
    names = {"periods": "discriminator", "spectrograms": "spec_discriminator"}
    old = {"generator.x": torch.zeros(1)}
    for key, tensor in trained.state_dict().items():
        part, _, rest = key.partition(".")
        rest = rest.replace(".parametrizations.weight.original0", ".weight_g")
        old[f"{names[part]}.{rest.replace('.parametrizations.weight.original1', '.weight_v')}"] = (
            tensor
        )
    torch.save({"state_dict": old}, tmp_path / "last.ckpt")
    load_discriminators(fresh, tmp_path / "last.ckpt")
    waveform = torch.randn(1, 2000)
    for expected, found in zip(trained(waveform), fresh(waveform), strict=True):
        assert torch.equal(expected[-1], found[-1])
    with pytest.raises(CheckpointError, match="other sizes than the recipe's"):
        load_discriminators(
            BothDiscriminators(replace(sizes, ffts=(78, 126))), tmp_path / "last.ckpt"
        )
    with pytest.raises(CheckpointError, match="holds no discriminators"):
        from_lightning({"generator.x": torch.zeros(1)}, fresh.state_dict(), "last.ckpt")


def test_adversarial_losses_by_hand():
    real = [[torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.5])]]
    made = [[torch.tensor([2.0, 3.0]), torch.tensor([0.0, 0.5])]]
    assert losses.generator_adversarial_loss(made).item() == pytest.approx((1 + 0.25) / 2)
    assert [loss.item() for loss in losses.discriminator_loss(real, made)] == pytest.approx(
        [0.125, 0.125]
    )
    assert losses.feature_matching(real, made).item() == pytest.approx(0.5)
    tone = torch.sin(torch.arange(3200) * 0.3)[None]
    assert losses.rms_loss(0.1 * tone, tone, 320).item() == pytest.approx(1, abs=1e-3)


# ---- the codec in training -----------------------------------------------------------------------


def test_one_pass_gives_what_the_codec_gives_and_both_extra_terms():
    codec = random_model(SPECTROGRAM)
    changes = [
        "losses.semantic=1.0",
        "losses.self_guidance=1.0",
        'start.frozen=["semantic_encoder"]',
    ]
    generator = Generator(codec, read_recipe("nano", changes)).train()
    heard = speech()[None, :9599]
    output = generator(heard, 9600)
    codec.eval()
    torch.testing.assert_close(generator.eval()(heard, 9600).waveform, codec(heard))
    assert output.rebuilt.shape == output.semantic.shape
    assert semantic_error(output).item() == pytest.approx(
        (output.rebuilt - output.semantic).square().mean().item()
    )
    assert guidance_error(output) > 0
    (semantic_error(output) + guidance_error(output)).backward()
    assert all(p.grad is None for p in codec.semantic_encoder.parameters())
    assert codec.fc_encoder.weight.grad.abs().max() > 0
    assert generator.semantic_decoder.fc.weight.grad.abs().max() > 0


def test_codes_are_drawn_to_what_they_are_without_level_and_noise():
    codec = random_model(SPECTROGRAM)
    recipe = read_recipe("nano", ["losses.consistency=1.0"])
    generator = Generator(codec, recipe).train()
    torch.manual_seed(0)
    output = generator(speech()[None, :9599].repeat(2, 1), 9600)
    error = consistency_error(output, codec.config.levels)
    assert error > 0
    assert consistency_error(replace(output, twin=output.projected), codec.config.levels) == 0
    (moved,) = torch.autograd.grad(error, output.twin, retain_graph=True)
    assert moved.abs().sum() > 0
    assert torch.autograd.grad(error, output.projected, allow_unused=True) == (None,)
    twin = disturbed(speech()[None, :9600].repeat(64, 1))
    levels = 10 * torch.log10(twin.square().mean(-1) / speech()[:9600].square().mean())
    assert -12.1 < levels.min() < -9 < -3 < levels.max() < 0.1


def test_a_fresh_adapter_is_alive_and_begins_silent():
    """nano's own is dead: its first activation gives 0 everywhere, and no gradient comes
    through.
    """

    def features_and_gradient(*changes: str) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        codec = starting_codec(
            read_recipe(
                "finetune", ['data.sources=[{path="x"}]', "start.checkpoint=nano", *changes]
            )
        )
        semantic = codec.semantic_encoder(
            codec.features(codec.pad(speech()[None, :32_000]), None, None)[0]
        )
        alive = codec.semantic_adapter.conv1(semantic.transpose(1, 2)).relu()
        adapted = codec.semantic_adapter(semantic)
        adapted.sum().backward()
        return alive, codec.semantic_adapter.conv4.weight.grad if changes else adapted

    dead, silent = features_and_gradient()
    assert dead.abs().max() == 0
    assert silent.std() < 1e-4
    alive, gradient = features_and_gradient('start.fresh=["semantic_adapter"]')
    assert 0.2 < (alive > 0).float().mean() < 0.8
    assert gradient.abs().max() > 0
    with pytest.raises(TrainingError, match=r"start\.fresh: no part 'adapter'"):
        starting_codec(
            read_recipe("finetune", ['data.sources=[{path="x"}]', 'start.fresh=["adapter"]'])
        )


def test_a_finite_field_begins_with_what_the_start_knew():
    weight = torch.arange(1.0, 8.0)
    assert moved_taps(weight, 2).tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert moved_taps(weight, -1).tolist() == [2, 3, 4, 5, 6, 7, 0]
    assert moved_taps(weight, 0).tolist() == weight.tolist()
    source = XCodec2Model.from_pretrained("nano")
    clip = speech()[:64_000]
    finite = replace(source.config, attention_window=(63, 0))
    similar = {}
    for name, config in (
        ("start", source.config),
        ("finite", finite),
        ("far", replace(finite, convolutions_ahead=99)),
    ):
        codec = changed_codec(source, config).eval()
        similar[name] = stoi(clip.numpy(), codec.decode(codec.encode(clip, 16_000)).numpy(), 16_000)
    assert similar["far"] > similar["start"] - 0.04
    assert similar["finite"] > similar["start"] - 0.12


@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_at_another_rate_the_codec_says_the_same(rate):
    source = XCodec2Model.from_pretrained("nano")
    wider = changed_codec(source, replace(source.config, sample_rate=rate)).eval()
    codes = source.encode(speech()[:32_000], 16_000)
    assert torch.equal(wider.encode(speech()[:32_000], 16_000).codes, codes.codes)
    expected = source.decode(codes).numpy()
    found = soxr.resample(wider.decode(codes).numpy(), rate, 16_000, "VHQ")[: len(expected)]
    snr = 10 * np.log10(np.square(expected).mean() / np.square(found - expected).mean())
    assert snr > 35
    with pytest.raises(TrainingError, match=r"only sample_rate, dropout, .* may change"):
        changed_codec(source, replace(source.config, sample_rate=rate, layers=2))


def test_a_start_takes_another_semantic_encoder_and_refuses_one_that_does_not_fit(tmp_path):
    random_model(SPECTROGRAM, seed=1).save_pretrained(tmp_path / "teacher")
    random_model(NEUCODEC).save_pretrained(tmp_path / "start")
    recipe = read_recipe(
        "finetune", ['data.sources=[{path="x"}]', f"start.checkpoint={tmp_path / 'start'}"]
    )
    start = replace(recipe.start, semantic_encoder=str(tmp_path / "teacher"))
    codec = starting_codec(replace(recipe, start=start))
    expected = XCodec2Model.from_pretrained(tmp_path / "teacher").semantic_encoder.state_dict()
    assert all(
        torch.equal(tensor, expected[name])
        for name, tensor in codec.semantic_encoder.state_dict().items()
    )
    with pytest.raises(TrainingError, match="does not fit"):
        starting_codec(
            replace(
                recipe, start=Start(checkpoint="nano", semantic_encoder=str(tmp_path / "teacher"))
            )
        )
    with pytest.raises(TrainingError, match="no part 'encoder'"):
        starting_codec(replace(recipe, start=replace(start, frozen=("encoder",))))


# ---- the teacher ---------------------------------------------------------------------------------


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
