"""A finite receptive field: what is said of it is what is found, and all ways through the model
keep to it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, random_model, speech
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.inference import batches, streams, windows
from xcodec2.errors import CheckpointError

FINITE = replace(SPECTROGRAM, attention_window=(4, 0))
AHEAD = replace(SPECTROGRAM, attention_window=(3, 1), convolutions_ahead=0, semantic_conv_kernel=5)
WIDE = replace(
    SPECTROGRAM,
    attention_window=(2, 2),
    convolutions_ahead=6,
    feature_padding=0,
    sample_rate=24_000,
)
CONFIGS = [FINITE, AHEAD, WIDE]
NAMES = ["finite", "ahead", "wide"]


def reach(gradient: Tensor, hop: int, frame: int) -> tuple[int, int]:
    """Frames before and behind `frame` that a gradient (N,), `hop` values a frame, has anything
    in.
    """
    touched = gradient.unflatten(0, (-1, hop)).abs().amax(-1).nonzero()[:, 0]
    return frame - int(touched[0]), int(touched[-1]) - frame


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_codes_depend_on_as_many_frames_as_is_said_and_no_more(config):
    model, frame, field = random_model(config), 130, config.receptive_field
    waveform = speech()[None, : 160 * config.hop].clone().requires_grad_()
    latent = model.encode_features(waveform).latent[0, frame]
    (gradient,) = torch.autograd.grad((latent * torch.randn_like(latent)).sum(), waveform)
    assert reach(gradient[0], config.hop, frame) == (field.encoder_back, field.encoder_ahead)


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_samples_depend_on_as_many_codes_as_is_said_and_no_more(config):
    model, frame, field = random_model(config), 40, config.receptive_field
    vectors = torch.randn(1, 80, config.latent_width, requires_grad=True)
    waveform = model.decode_vectors(vectors).waveform[0]
    samples = waveform.unflatten(0, (-1, config.output_hop))[frame]
    (gradient,) = torch.autograd.grad((samples * torch.randn_like(samples)).sum(), vectors)
    assert reach(gradient[0].flatten(), config.latent_width, frame) == (
        field.decoder_back,
        field.decoder_ahead,
    )


def test_the_default_looks_100_ms_ahead_each_way_in_a_model_of_nanos_shape():
    nano = XCodec2Model.from_pretrained().config
    field = replace(nano, attention_window=(63, 0)).receptive_field
    assert (field.encoder_ahead, field.decoder_ahead) == (5, 5)


@pytest.mark.parametrize("config", [XCodec2Config(), XCODEC2, NEUCODEC, SPECTROGRAM])
def test_published_models_have_no_limit(config):
    assert config.receptive_field is None


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_a_list_gives_what_each_gives_alone(config):
    model = random_model(config)
    clips = [
        speech()[start : start + size]
        for start, size in ((0, 9000), (4000, 16_001), (20_000, 5000))
    ]
    together = model.encode(clips, 16_000)
    alone = [model.encode(clip, 16_000) for clip in clips]
    assert all(
        torch.equal(one.codes, other.codes) for one, other in zip(together, alone, strict=True)
    )
    for one, other in zip(
        model.decode(together), [model.decode(codes) for codes in alone], strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("config", CONFIGS, ids=NAMES)
def test_windows_of_long_recordings_give_what_the_whole_gives(config, monkeypatch):
    model, clip = random_model(config), speech().repeat(3)[: 900 * config.hop]
    codes = model.encode(clip, 16_000)
    whole = model.decode(codes)
    monkeypatch.setattr(batches, "EXACT_FRAMES", 100)
    monkeypatch.setitem(windows.encode_long.__kwdefaults__, "size", 100)
    monkeypatch.setattr(streams, "LONG_STEP", 100)
    assert torch.equal(model.encode(clip, 16_000).codes, codes.codes)
    torch.testing.assert_close(
        model.decode(codes), whole, rtol=0, atol=1e-5 * float(whole.abs().max())
    )


def test_the_configuration_is_saved_with_the_weights_and_wrong_ones_are_refused(tmp_path):
    model = random_model(FINITE)
    with pytest.warns(UserWarning, match="spectrogram"):
        model.save_pretrained(tmp_path)
    again = XCodec2Model.from_pretrained(tmp_path)
    assert again.config == FINITE
    assert again.receptive_field == model.receptive_field
    clip = speech()[:16_000]
    assert torch.equal(again.encode(clip, 16_000).codes, model.encode(clip, 16_000).codes)
    quiet = XCodec2Model.from_pretrained(tmp_path, dtype=torch.int8)
    assert quiet.decode([1, 2, 3] * 20).isfinite().all()
    for values, message in (
        ({"attention_window": (5,)}, "back and ahead"),
        ({"attention_window": (5, -1)}, "attention_window"),
        ({"acoustic_encoder": "waveform"}, "spectrogram"),
        ({"convolutions_ahead": -1}, "convolutions_ahead"),
    ):
        with pytest.raises(CheckpointError, match=message):
            replace(FINITE, **values)
