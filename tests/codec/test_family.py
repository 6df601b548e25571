"""XCodec2's relatives, each against a second implementation of its published facts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import second_reading
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tiny import XCODEC2, long_speech, noise, random_model, speech
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.checkpoints.load import read_checkpoint
from xcodec2.codec.checkpoints.original import infer_config
from xcodec2.codec.inference import windows
from xcodec2.convert import convert
from xcodec2.errors import CheckpointError, XCodec2Error
from xcodec2.onnx.export import export

PUBLISHED = {"model_type": "xcodec2", "use_vocos": True}  # of HKUSTAudio/xcodec2, about
HEADS = 1  # the golden's decoder is one head of 64 wide


def stretched(head: Tensor, rows: int) -> Tensor:
    """A head's rows, interpolated along their number as the derivative's authors did."""
    flat = head.reshape(1, len(head), -1).transpose(1, 2)
    wide = F.interpolate(flat, size=rows, mode="linear", align_corners=False)
    return wide.transpose(1, 2).reshape(rows, *head.shape[1:]).contiguous()


def at_25_codes(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint as Scicom-intl/xcodec2-25TPS-24k is: the head has 3842 rows."""
    tensors = dict(published)
    for name in ("weight", "bias"):
        tensors[f"generator.head.out.{name}"] = stretched(
            published[f"generator.head.out.{name}"], 3842
        )
    return tensors | {"generator.head.istft.window": torch.hann_window(3840)}


def at_44100(
    published: dict[str, Tensor], factors: tuple[int, ...], kernels: tuple[int, ...]
) -> dict[str, Tensor]:
    """A checkpoint as NandemoGHS/Anime-XCodec2-44.1kHz-v2 is, with this upsampler."""
    tensors, width = dict(published), len(published["fc_post_a.bias"])
    hop = 882 // int(np.prod(factors))
    for name in ("weight", "bias"):
        tensors[f"generator.head.out.{name}"] = stretched(
            published[f"generator.head.out.{name}"], 4 * hop + 2
        )
    tensors["generator.head.istft.window"] = torch.hann_window(4 * hop)
    upsampler = "generator.upsampler"
    for i, kernel in enumerate(kernels):
        wide, narrow = width >> i, width >> (i + 1)
        layer, resnet = f"{upsampler}.upsample_layers.{i}", f"{upsampler}.resnet_blocks.{i}"
        tensors |= {
            f"{layer}.weight_g": 1 + 0.1 * noise(wide, 1, 1, seed=i),
            f"{layer}.weight_v": noise(wide, narrow, kernel, seed=i + 1),
            f"{layer}.bias": 0.1 * noise(narrow, seed=i + 2),
        }
        for j in (1, 2):
            tensors |= {
                f"{resnet}.norm{j}.weight": 1 + 0.2 * noise(narrow, seed=j),
                f"{resnet}.norm{j}.bias": 0.1 * noise(narrow, seed=j + 1),
                f"{resnet}.conv{j}.weight": 0.1 * noise(narrow, narrow, 3, seed=j + 2),
                f"{resnet}.conv{j}.bias": 0.1 * noise(narrow, seed=j + 3),
            }
    tensors |= {
        f"{upsampler}.out_proj.weight": noise(width, width >> len(kernels), seed=7) * 0.2,
        f"{upsampler}.out_proj.bias": 0.1 * noise(width, seed=8),
    }
    return tensors


def written(folder: Path, tensors: dict[str, Tensor], **settings: object) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(PUBLISHED | settings))
    return folder


def heads_of(model: XCodec2Model) -> int:
    return model.config.heads


# ---- 25 codes a second, 24 kHz -------------------------------------------------------------------


@pytest.fixture
def at_25(published, tmp_path) -> Path:
    return written(tmp_path / "xcodec2-25TPS-24k", at_25_codes(published))


def test_25_codes_a_second_are_means_of_two_frames(published, at_25, tmp_path):
    model = XCodec2Model.from_pretrained(at_25)
    assert (model.frame_rate, model.sample_rate, model.config.n_fft) == (25, 24_000, 3840)
    assert model.config.feature_padding == 160  # NeuCodec's 24 kHz come with another framing
    base = XCodec2Model.from_pretrained(written(tmp_path / "base", published))
    for samples in (320 * 99, 320 * 100, 320 * 100 - 1):
        clip = speech()[:samples]
        with torch.no_grad():
            latent = base.encode_features(base.pad(clip[None])).latent[0].double().numpy()
        expected = second_reading.pooled_codes(published, latent)
        assert model.encode(clip, 16_000).codes.tolist() == expected
        assert len(expected) == (samples // 320 + 1) // 2 == model.config.frames(samples)


def test_25_codes_a_second_decode_as_the_second_implementation_does(at_25):
    model = XCodec2Model.from_pretrained(at_25)
    codes = model.encode(speech()[:32_000], 16_000).codes
    expected = second_reading.decode(
        load_file(at_25 / "model.safetensors"), codes.tolist(), heads_of(model), ()
    )
    found = model.decode(codes)
    assert found.shape == expected.shape == (960 * len(codes),)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_25_codes_a_second_in_batches_and_windows(at_25, monkeypatch):
    model = XCodec2Model.from_pretrained(at_25)
    clips = [speech()[:n] for n in (48_000, 20_320, 33_000)]
    alone = [model.encode(clip, 16_000).codes for clip in clips]
    for codes, expected in zip(model.encode(clips, 16_000), alone, strict=True):
        assert torch.equal(codes.codes, expected)
    for sound, codes in zip(model.decode(alone), alone, strict=True):
        torch.testing.assert_close(sound, model.decode(codes), atol=1e-5, rtol=1e-4)
    long = long_speech(4.05)  # 203 frames with that of the padding: one is left over
    whole = model.encode(long, 16_000).codes
    assert len(whole) == 101
    kept = windows.encode_long(model, long, size=240, overlap=102)  # each window sees all
    assert torch.equal(kept, whole.long())
    streamed = torch.cat(list(model.stream_encode(long.split(5000), 16_000)))
    assert len(streamed) == len(whole)
    seeing_all = model.stream_encode(long.split(5000), 16_000, look_back=1_000, look_ahead=1_000)
    assert torch.equal(torch.cat(list(seeing_all)), whole)  # the frame left over is seen, too


def test_a_recording_of_less_than_a_code_says_how_much_is_needed(at_25):
    model = XCodec2Model.from_pretrained(at_25)
    assert len(model.encode(speech()[:320], 16_000)) == 1
    with pytest.raises(ValueError, match=r"319 samples.* needs at least 320"):
        model.encode(speech()[:319], 16_000)


def test_a_head_that_fits_two_rates_is_not_guessed(published, tmp_path):
    tensors = at_25_codes(published)
    with pytest.raises(CheckpointError, match='"sample_rate": 24000 or 48000'):
        XCodec2Model.from_pretrained(written(tmp_path / "renamed", tensors))
    at_24 = XCodec2Model.from_pretrained(written(tmp_path / "a", tensors, sample_rate=24_000))
    assert (at_24.frame_rate, at_24.sample_rate) == (25, 24_000)
    at_48 = XCodec2Model.from_pretrained(written(tmp_path / "b", tensors, sample_rate=48_000))
    assert (at_48.frame_rate, at_48.sample_rate) == (50, 48_000)
    with pytest.raises(CheckpointError, match="sample_rate of 22050 does not fit"):
        XCodec2Model.from_pretrained(written(tmp_path / "c", tensors, sample_rate=22_050))


# ---- 44.1 kHz ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factors", "kernels", "settings"),
    [
        ((3,), (9,), {"sample_rate": 44_100, "upsample_factors": [3]}),
        ((3,), (8,), {"sample_rate": 44_100, "upsample_factors": [3]}),  # a frame too many
        ((9,), (9,), {"sample_rate": 44_100}),
    ],
)
def test_the_upsampler_decodes_as_the_second_implementation_does(
    published, tmp_path, factors, kernels, settings
):
    tensors = at_44100(published, factors, kernels)
    model = XCodec2Model.from_pretrained(written(tmp_path / "anime", tensors, **settings))
    assert (model.frame_rate, model.sample_rate) == (50, 44_100)
    codes = model.encode(speech()[:16_000], 16_000).codes
    expected = second_reading.decode(tensors, codes.tolist(), heads_of(model), factors)
    found = model.decode(codes)
    assert len(found) == 882 * len(codes)
    assert (found - expected[: len(found)]).abs().max() < 1e-4 * expected.abs().max()


def test_44100_hz_has_the_codes_of_xcodec2(published, tmp_path):
    settings = {"sample_rate": 44_100, "upsample_factors": [3]}
    tensors = at_44100(published, (3,), (9,))
    model = XCodec2Model.from_pretrained(written(tmp_path / "anime", tensors, **settings))
    base = XCodec2Model.from_pretrained(written(tmp_path / "base", published))
    assert torch.equal(model.encode(speech(), 16_000).codes, base.encode(speech(), 16_000).codes)
    assert model.weights_hash == base.weights_hash


def test_44100_hz_in_batches(published, tmp_path):
    settings = {"sample_rate": 44_100, "upsample_factors": [3]}
    for kernel in (8, 9):
        folder = written(tmp_path / str(kernel), at_44100(published, (3,), (kernel,)), **settings)
        model = XCodec2Model.from_pretrained(folder)
        rows = [torch.arange(n) * 937 % 65_536 for n in (40, 17, 29)]
        for sound, codes in zip(model.decode(rows), rows, strict=True):
            torch.testing.assert_close(sound, model.decode(codes), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "must say"),
        ({"sample_rate": 44_100, "upsample_factors": [3, 3]}, "2 upsample_factors"),
        ({"sample_rate": 48_000, "upsample_factors": [3]}, "does not fit"),
    ],
)
def test_an_upsampler_that_config_json_contradicts_raises(published, tmp_path, settings, message):
    folder = written(tmp_path / "anime", at_44100(published, (3,), (9,)), **settings)
    with pytest.raises(CheckpointError, match=message):
        XCodec2Model.from_pretrained(folder)


# ---- forms ---------------------------------------------------------------------------------------


POOLED = replace(XCODEC2, pooling=2, sample_rate=24_000)
UPSAMPLED = replace(XCODEC2, sample_rate=44_100, upsampling=(3,), upsampling_kernels=(9,))


@pytest.mark.parametrize(
    ("config", "missing"), [(POOLED, "2 frames pooled"), (UPSAMPLED, "an upsampler")]
)
def test_relatives_there_and_back(config, missing, tmp_path):
    model = random_model(config)
    clip = speech()[:20_000]
    expected = model.encode(clip, 16_000)
    with pytest.warns(UserWarning, match=missing):
        model.save_pretrained(tmp_path / "own")
    convert(tmp_path / "own", tmp_path / "original", to="original")
    for folder in ("own", "original"):
        again = XCodec2Model.from_pretrained(tmp_path / folder)
        assert again.config == config
        assert torch.equal(again.encode(clip, 16_000).codes, expected.codes)
        torch.testing.assert_close(again.decode(expected), model.decode(expected))
    settings = json.loads((tmp_path / "original" / "config.json").read_text())
    shapes = {k: tuple(t.shape) for k, t in read_checkpoint(tmp_path / "original").tensors.items()}
    plain = infer_config(shapes, {k: v for k, v in settings.items() if k != "open_xcodec2"}, "")
    assert (plain.pooling, plain.upsampling) == (config.pooling, config.upsampling)


def test_onnx_runtime_counts_no_pooled_frames(tmp_path):
    pytest.importorskip("onnxscript")
    with pytest.warns(UserWarning, match="own form"):
        random_model(POOLED).save_pretrained(tmp_path / "pooled")
    with pytest.raises(XCodec2Error, match="pooled"):
        export(tmp_path / "pooled", tmp_path / "onnx")


def test_fields_of_later_releases_are_written_only_where_they_say_something():
    assert "pooling" not in XCodec2Config().to_dict()
    assert POOLED.to_dict()["pooling"] == 2
    assert XCodec2Config.from_dict(UPSAMPLED.to_dict()) == UPSAMPLED
