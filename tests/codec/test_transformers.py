"""Parity with transformers' Xcodec2Model, which also proves that it loads what we save."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, misses_beyond_rounding, random_model, speech
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.codec.features import kaldi_fbank, normalize_fbank, stack_frames

transformers = pytest.importorskip("transformers")
with_xcodec2 = pytest.mark.skipif(
    not hasattr(transformers, "Xcodec2Model"), reason="this transformers has no Xcodec2Model"
)


def reference_features(waveform: Tensor, config: XCodec2Config) -> Tensor:
    """(P,) → (1, T, 160) by the feature extractor that the original package uses, in NumPy."""
    side = config.feature_padding
    extractor = transformers.SeamlessM4TFeatureExtractor()
    samples = F.pad(waveform, (side, side)).numpy()
    return torch.from_numpy(
        extractor(samples, sampling_rate=16_000, return_tensors="np")["input_features"]
    ).float()


def reference_codes(model, waveform: Tensor, config: XCodec2Config) -> Tensor:
    padded = F.pad(waveform, (0, config.hop - len(waveform) % config.hop))
    with torch.no_grad():
        encoded = model.encode(padded[None, None], reference_features(padded, config))
    return encoded.audio_codes[0, 0]


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.3, None])
def test_features_equal_the_reference(seconds):
    waveform = speech()[: None if seconds is None else int(seconds * 16_000)]
    padded = F.pad(waveform, (0, 320 - len(waveform) % 320))
    ours = stack_frames(normalize_fbank(kaldi_fbank(F.pad(padded[None], (160, 160)))), 2)
    torch.testing.assert_close(
        ours.float(), reference_features(padded, XCODEC2), atol=2e-4, rtol=1e-4
    )


@with_xcodec2
@pytest.mark.parametrize("offset", [0.0, 0.3], ids=["clean", "strong DC"])
@pytest.mark.parametrize("seed", range(3))
def test_codes_and_waveforms_equal_transformers(tmp_path, seed, offset):
    ours = random_model(seed=seed)
    ours.save_pretrained(tmp_path)
    theirs = transformers.Xcodec2Model.from_pretrained(tmp_path).eval()
    check_parity(ours, theirs, speech()[: 80_000 if seed == 0 else 40_000] + offset)


@with_xcodec2
def test_other_sizes_equal_transformers(tmp_path):
    config = replace(
        XCODEC2, semantic_layers=2, semantic_heads=2, acoustic_channels=3, width=96, layers=1
    )
    config = replace(config, heads=2, head_width=64, ffn=160)  # attention wider than the decoder
    ours = random_model(config)
    ours.save_pretrained(tmp_path)
    check_parity(ours, transformers.Xcodec2Model.from_pretrained(tmp_path).eval(), speech())


def check_parity(ours: XCodec2Model, theirs, waveform: Tensor) -> None:
    codes = ours.encode_code(waveform[None])[0, 0]
    expected = reference_codes(theirs, waveform, ours.config)
    assert codes.shape == expected.shape
    assert codes.unique().numel() > 0.1 * len(
        codes
    )  # random weights could hide differences behind one code
    assert (codes == expected).float().mean() >= 0.999 or misses_beyond_rounding(
        ours, waveform, codes, expected
    ) == 0
    assert misses_beyond_rounding(ours, waveform, codes, expected) == 0
    with torch.no_grad():
        decoded = theirs.decode(expected[None, None]).audio_values[0, 0]
    error = (ours.decode_code(expected[None, None])[0, 0] - decoded).abs().max()
    assert error < 1e-4 * decoded.abs().max()


def test_neucodec_form_loads_in_transformers(tmp_path):
    if not hasattr(transformers, "NeuCodecModel"):
        pytest.skip("this transformers has no NeuCodecModel")
    ours = random_model(NEUCODEC)
    ours.save_pretrained(tmp_path)
    theirs = transformers.NeuCodecModel.from_pretrained(tmp_path).eval()
    clip = speech()
    found, expected = ours.encode(clip, 16_000).codes, reference_codes(theirs, clip, NEUCODEC)
    assert misses_beyond_rounding(ours, clip, found, expected) == 0
    codes = found[None, None]
    with torch.no_grad():
        decoded = theirs.decode(codes).audio_values[0, 0]
    error = (ours.decode_code(codes)[0, 0] - decoded).abs().max()
    assert error < 1e-4 * decoded.abs().max()


@with_xcodec2
def test_what_transformers_saved_loads_here(tmp_path):
    ours = random_model()
    ours.save_pretrained(tmp_path / "ours")
    transformers.Xcodec2Model.from_pretrained(tmp_path / "ours").save_pretrained(
        tmp_path / "theirs"
    )
    back = XCodec2Model.from_pretrained(tmp_path / "theirs")
    assert back.config == ours.config
    assert back.weights_hash == ours.weights_hash


@with_xcodec2
def test_default_settings_mean_the_published_sizes(tmp_path):
    settings = transformers.Xcodec2Config().to_diff_dict()
    from xcodec2.codec.checkpoints.transformers import read_config

    assert read_config(settings) == XCodec2Config()
    assert read_config(transformers.Xcodec2Config().to_dict()) == XCodec2Config()


def test_spectrogram_models_are_saved_in_our_own_form(tmp_path):
    ours = random_model(SPECTROGRAM)
    with pytest.warns(
        UserWarning, match="own form: transformers cannot express the spectrogram encoder"
    ):
        ours.save_pretrained(tmp_path)
    back = XCodec2Model.from_pretrained(tmp_path)
    assert back.config == SPECTROGRAM
    assert torch.equal(back.encode(speech(), 16_000).codes, ours.encode(speech(), 16_000).codes)


@with_xcodec2
@pytest.mark.slow
def test_full_size_equals_transformers(tmp_path: Path):
    """Random weights at the published size; 2.5 GB of disk, 8 GB of memory."""
    ours = random_model(XCodec2Config())
    ours.save_pretrained(tmp_path)
    theirs = transformers.Xcodec2Model.from_pretrained(tmp_path).eval()
    check_parity(ours, theirs, speech())


def test_reference_is_the_one_meant():
    """Guards the comparison itself: the reference extractor changes when its input does."""
    padded = F.pad(speech()[:16_000], (0, 320))
    louder = padded.clone()
    louder[8_000:] *= 3
    assert not np.allclose(
        reference_features(padded, XCODEC2), reference_features(louder, XCODEC2), atol=1e-2
    )
