"""The engine computes what PyTorch computes, and commands that it serves do not import PyTorch."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_receptive_field import CONFIGS, NAMES
from tiny import ASSETS, NEUCODEC, SPECTROGRAM, XCODEC2, random_model, speech

from xcodec2 import Codes, XCodec2Model
from xcodec2 import quick as quick_module
from xcodec2.codec.checkpoints.small import read_small, shapes
from xcodec2.codec.compiled import library
from xcodec2.codec.compiled.codec import CompiledCodec
from xcodec2.codec.compiled.network import suits
from xcodec2.codec.config import XCodec2Config
from xcodec2.identity import CodesWarning
from xcodec2.quick import quick_model

ODD = replace(SPECTROGRAM, feature_padding=0, sample_rate=24_000, semantic_conv_kernel=6)
WHOLES = dict(zip([*NAMES, "no limit", "odd"], [*CONFIGS, SPECTROGRAM, ODD], strict=True))


def engine_of(model: XCodec2Model) -> CompiledCodec:
    return CompiledCodec(model.config, {k: v.detach().numpy() for k, v in model.named_parameters()})


@pytest.mark.parametrize("config", WHOLES.values(), ids=WHOLES)
@pytest.mark.parametrize("half", [False, True])
def test_a_whole_is_what_pytorch_makes_of_it(config, half):
    model = random_model(config)
    if half:  # weights that float16 holds
        model = model.half().float()
    engine, clip = engine_of(model), speech()[3_000:20_001]
    with torch.no_grad():
        latent = model.encode_features(model.pad(clip[None])).latent
        bounded = model.quantize(latent).bounded[0, : config.frames(len(clip))].numpy()
    assert any(op.half for op in engine.encoder.program.operations) == half
    projected = engine.project(clip.numpy())
    found = engine.levels.bound(engine.levels.bound(projected))
    np.testing.assert_allclose(found, bounded, atol=2e-5)
    codes = model.encode(clip, 16_000).codes
    sound = model.decode(codes).numpy()
    np.testing.assert_allclose(
        engine.decode(codes.numpy()), sound, atol=1e-5 * np.abs(sound).max(), rtol=0
    )


def test_without_the_engine_one_warning_says_so_and_codes_are_the_same(monkeypatch, tmp_path):
    model, clip = random_model(CONFIGS[0]), speech()[:9_000]
    expected = model.encode(clip, 16_000).codes
    monkeypatch.setattr(library, "ENGINE", tmp_path / "not there.so")
    library.load_engine.cache_clear()
    try:
        with warnings.catch_warnings(record=True) as seen:
            random_model(XCODEC2).encode(clip, 16_000)  # the engine is not for it: no word of it
            assert not seen
            found = [model.encode(clip, 16_000).codes for _ in range(2)]
            assert read_small("nano") is None
        assert [warning.category for warning in seen] == [RuntimeWarning]
        assert "compiled; install a C compiler" in str(seen[0].message)
    finally:
        library.load_engine.cache_clear()
    assert all(torch.equal(codes, expected) for codes in found)


def test_loud_and_silent_input_overflows_nothing():
    engine = engine_of(random_model(SPECTROGRAM))
    for clip in (np.zeros(4_000, np.float32), np.full(4_000, 30.0, np.float32)):
        assert np.isfinite(engine.project(clip)).all()


@pytest.mark.parametrize("config", [*CONFIGS, SPECTROGRAM, "nano"])
def test_the_shapes_of_weights_are_the_models(config):
    if config == "nano":
        config = XCodec2Model.from_pretrained().config
    model = XCodec2Model(config, device="meta")
    assert shapes(config) == {name: tuple(t.shape) for name, t in model.state_dict().items()}


@pytest.mark.parametrize("config", [XCodec2Config(), XCODEC2, NEUCODEC,
                                    replace(SPECTROGRAM, head_width=12)])  # fmt: skip
def test_other_models_are_left_to_pytorch(config):
    assert not suits(config)


def test_codes_sound_and_hash_are_those_of_the_model(tmp_path):
    model, quick = XCodec2Model.from_pretrained(), quick_model("nano", "cpu")
    codes = model.encode(ASSETS / "demo.flac")
    assert quick.encode(ASSETS / "demo.flac") == codes  # their origin, too
    codes.save(tmp_path / "demo.npz")
    sound = model.decode(codes)
    for given in (codes, tmp_path / "demo.npz", codes.to_bytes()):
        found = torch.as_tensor(quick.decode(given))
        # a trained decoder lets rounding grow, of the engine and of PyTorch alike
        torch.testing.assert_close(found, sound, rtol=0, atol=1e-4 * float(sound.abs().max()))
    assert "whole" not in quick.__dict__  # PyTorch was not asked


def test_pytorch_is_asked_where_rounding_could_decide_a_code(monkeypatch):
    quick = quick_model("nano", "cpu")
    monkeypatch.setattr(quick_module, "TOLERANCE", 0.2)
    assert quick.encode(ASSETS / "demo.flac") == quick.whole.encode(ASSETS / "demo.flac")
    monkeypatch.undo()
    monkeypatch.setattr(quick_module, "MOST_FRAMES", 10)
    monkeypatch.setattr(quick.engine, "encode", None)
    monkeypatch.setattr(quick.engine, "decode", None)
    codes = quick.encode(ASSETS / "demo.flac")
    assert torch.equal(quick.decode(codes), quick.whole.decode(codes))


def test_codes_of_other_weights_are_warned_of():
    quick = quick_model("nano", "cpu", decoder_only=True)
    with pytest.warns(CodesWarning, match="noise"):
        quick.decode(Codes([1, 2, 3], model="another"))


def test_what_is_damaged_is_left_to_pytorch(tmp_path):
    with pytest.warns(UserWarning, match="spectrogram"):
        random_model(SPECTROGRAM).save_pretrained(tmp_path)
    assert read_small(tmp_path) is not None
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    assert read_small(tmp_path) is None
    weights.write_bytes(content.replace(b"fc_encoder.bias", b"fc_encoder.bios"))
    assert read_small(tmp_path) is None
    assert read_small(tmp_path / "nowhere") is None
    assert quick_model("nano", "cpu", dtype="bfloat16") is None
    assert quick_model("nano", "cuda") is None


def test_commands_on_one_recording_do_not_import_pytorch(tmp_path):
    script = f"""
import sys
from xcodec2.cli import xcodec2
for args in (
    ["encode", {str(ASSETS / "demo.flac")!r}, "-o", "codes.npz"],
    ["decode", "codes.npz", "-o", "again.wav"],
    ["info", "codes.npz"],
    ["info", "nano"],
):
    xcodec2.main(args, standalone_mode=False)
    assert "torch" not in sys.modules, args
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "again.wav").stat().st_size > 100_000
