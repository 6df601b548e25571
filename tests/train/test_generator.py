"""The codec as it is trained: where it starts, what one pass gives, other rates and fields."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import soxr
import torch
from pystoi import stoi
from tiny import NEUCODEC, SPECTROGRAM, random_model, speech

from xcodec2 import XCodec2Model
from xcodec2.codec.quantizer import bound_twice
from xcodec2.errors import RecipeError, TrainingError
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
from xcodec2.train.recipe import (
    Start,
    read_recipe,
)


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


def test_the_last_blocks_alone_can_learn():
    frozen = "acoustic_decoder.layers", "acoustic_decoder.prior_net"
    changes = ['start.checkpoint="nano"', f"start.frozen={json.dumps(frozen)}"]
    recipe = read_recipe("nano", changes)
    codec = starting_codec(recipe)
    Generator(codec, recipe)
    still = [name for name, value in codec.named_parameters() if not value.requires_grad]
    assert {".".join(name.split(".")[:2]) for name in still} == set(frozen)


def test_codes_are_drawn_to_what_they_are_without_level_and_noise():
    codec = random_model(SPECTROGRAM)
    recipe = read_recipe("nano", ["losses.consistency=1.0"])
    generator = Generator(codec, recipe).train()
    torch.manual_seed(0)
    output = generator(speech()[None, :9599].repeat(2, 1), 9600)
    error = consistency_error(output, codec.config.levels)
    assert error > 0
    levels = codec.config.levels
    bounded = bound_twice(output.projected, levels)
    same = consistency_error(replace(output, twin=output.projected), levels)
    torch.testing.assert_close(same, (bounded - bounded.round()).square().mean())
    (moved,) = torch.autograd.grad(error, output.twin, retain_graph=True)
    assert moved.abs().sum() > 0
    assert torch.autograd.grad(error, output.projected, allow_unused=True) == (None,)
    twin = disturbed(speech()[None, :9600].repeat(64, 1))
    levels = 10 * torch.log10(twin.square().mean(-1) / speech()[:9600].square().mean())
    assert -12.1 < levels.min() < -9 < -3 < levels.max() < 0.1
    assert (levels.abs() < 0.1).float().mean() > 0.2  # not every change is made to all


def test_a_twin_can_lack_what_a_resampler_takes_away():
    noise = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)).repeat(64, 1)
    torch.manual_seed(0)
    spectra = torch.fft.rfft(disturbed(noise)).abs() / torch.fft.rfft(noise).abs()
    through = spectra[:, 7_960:].median(1).values / spectra[:, 3_000:5_000].median(1).values
    assert 0.3 < (through < 0.06).float().mean() < 0.6
    assert (through > 0.99).float().mean() > 0.3


def test_a_share_of_the_batch_is_encoded_twice_behind_the_same_gate():
    changes = ["losses.consistency=1.0", "consistency_share=0.5", "drop_acoustic=1.0"]
    codec = random_model(SPECTROGRAM)
    with torch.no_grad():  # what is heard of the acoustic branch would be very different
        codec.fc_encoder.weight[:, codec.config.semantic_width :] *= 1e3
    generator = Generator(codec, read_recipe("nano", changes)).train()
    torch.manual_seed(0)
    output = generator(speech()[None, :9599].repeat(4, 1), 9600)
    assert output.twin.shape == (2, *output.projected.shape[1:])
    assert consistency_error(output, codec.config.levels) < 0.5
    with pytest.raises(RecipeError, match="consistency_share"):
        read_recipe("nano", ["consistency_share=0.0"])


def test_a_fresh_adapter_is_alive_and_begins_silent(tmp_path):
    """nano-2's own was dead: its first activation gave 0 everywhere, and no gradient came
    through.
    """
    start = XCodec2Model.from_pretrained("nano")
    with torch.no_grad():
        start.semantic_adapter.conv1.weight.zero_()
        start.semantic_adapter.conv4.weight.mul_(1e-6)
    with pytest.warns(UserWarning, match="own form"):
        start.save_pretrained(tmp_path)

    def features_and_gradient(*changes: str) -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(0)
        codec = starting_codec(
            read_recipe(
                "finetune",
                ['data.sources=[{path="x"}]', f"start.checkpoint={tmp_path}", *changes],
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
    for name in ("encoder", ""):
        with pytest.raises(TrainingError, match=f"no part '{name}'"):
            starting_codec(replace(recipe, start=replace(start, frozen=(name,))))
