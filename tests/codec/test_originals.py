"""Parity with the original packages, and proof that each of their quirks matters.

The goldens hold whole small checkpoints under the original names, real speech, and what the
original packages made of it (see goldens/make_original.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from paths import GOLDENS
from safetensors.torch import load_file, save_file
from tiny import quantized
from torch import Tensor

from xcodec2 import XCodec2Model
from xcodec2.codec import acoustic, decoder, features, network, quantizer, semantic, snake
from xcodec2.codec.kernels import snake_cpu

PACKAGES = ("xcodec2", "neucodec")
WAVEFORM_TOLERANCE = 1e-4  # of the peak


def golden(package: str) -> dict[str, Tensor]:
    return load_file(GOLDENS / f"original_{package}.safetensors")


def original_weights(package: str) -> dict[str, Tensor]:
    """The checkpoint as published; stored in 8 and 16 bits, exactly, because it was made of such
    numbers.
    """
    return {
        k.removeprefix("weights/"): t.float()
        for k, t in golden(package).items()
        if k.startswith("weights/")
    }


def clips(package: str) -> list[dict[str, Tensor]]:
    tensors = golden(package)
    names = ("wav", "codes", "latent", "recon")
    found = [{name: tensors[f"{name}/{i}"] for name in names} for i in range(3)]
    for clip in found:
        clip["wav"] = clip["wav"].float() / 32768
    return found


@pytest.fixture(scope="module", params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {name: tmp_path_factory.mktemp(name) for name in PACKAGES}
    save_file(original_weights("xcodec2"), folders["xcodec2"] / "model.safetensors")
    torch.save(original_weights("neucodec"), folders["neucodec"] / "pytorch_model.bin")
    return folders


@pytest.fixture
def model(package: str, folders: dict[str, Path]) -> XCodec2Model:
    return XCodec2Model.from_pretrained(folders[package])


def agreement(model: XCodec2Model, package: str) -> float:
    """Share of codes that equal the original's."""
    equal = [
        (model.encode_code(c["wav"][None])[0, 0] == c["codes"]).float() for c in clips(package)
    ]
    return torch.cat(equal).mean().item()


def waveform_error(model: XCodec2Model, package: str) -> float:
    """Largest difference to the original's waveform, relative to its peak."""
    decoded = [
        (model.decode_code(c["codes"][None, None])[0, 0], c["recon"]) for c in clips(package)
    ]
    return max(
        ((ours - theirs).abs().max() / theirs.abs().max()).item() for ours, theirs in decoded
    )


def test_codes_equal_the_original_packages(model, package):
    assert agreement(model, package) == 1.0


def test_latents_equal_the_original_packages(model, package):
    for clip in clips(package):
        with torch.no_grad():
            ours = quantized(model, clip["wav"]).projected[0]
        torch.testing.assert_close(ours, clip["latent"], atol=1e-4, rtol=1e-4)


def test_waveforms_equal_the_original_packages(model, package):
    assert waveform_error(model, package) < WAVEFORM_TOLERANCE


def test_windows_that_see_all_stream_the_codes_of_the_original_packages(model, package):
    everything = {"step": 10, "look_back": 1_000, "look_ahead": 1_000}
    for clip in clips(package):
        codes = torch.cat(list(model.stream_encode(clip["wav"].split(999), 16_000, **everything)))
        assert torch.equal(codes.long(), clip["codes"].long())
        sound = torch.cat(list(model.stream_decode(clip["codes"].split(7), **everything)))
        recon = clip["recon"]
        assert (sound - recon).abs().max() < WAVEFORM_TOLERANCE * recon.abs().max()


def test_neucodec_runs_at_24_khz_and_drops_the_last_frame(folders):
    model = XCodec2Model.from_pretrained(folders["neucodec"])
    assert model.sample_rate == 24_000
    assert len(model.encode(torch.zeros(3200) + 0.01, 16_000)) == 10
    assert len(model.decode([1, 2, 3])) == 3 * 480


# ---- each quirk, undone --------------------------------------------------------------------------


def bound_once(x: Tensor, levels: tuple[int, ...]) -> Tensor:
    return quantizer.bound(x, levels)


def zeros_at_the_ends(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    filters = snake.kaiser_sinc(x.device, x.dtype).expand(x.shape[1], 1, -1)
    return F.conv1d(F.pad(x, (5, 6)), filters, stride=2, groups=x.shape[1])


def six_samples_left(x: Tensor, lengths: Tensor | None = None) -> Tensor:
    filters = snake.kaiser_sinc(x.device, x.dtype).expand(x.shape[1], 1, -1)
    return F.conv1d(F.pad(x, (6, 5), mode="replicate"), filters, stride=2, groups=x.shape[1])


def without_beta(self: snake.SnakeBeta, x: Tensor) -> Tensor:
    return x + (x * self.alpha.exp()[:, None]).sin().square()


def skip_around_the_relu(
    self: semantic.SemanticAdapter, x: Tensor, lengths: Tensor | None = None
) -> Tensor:
    skip = self.conv1(x.transpose(1, 2))
    return self.conv4(skip + self.conv3(F.relu(self.conv2(F.relu(skip)))))


def unscaled_distances(self: semantic.RelativeKeyAttention, q: Tensor, *args) -> Tensor:
    return _score_bias(self, q * q.shape[-1] ** 0.5, *args)


_score_bias = semantic.RelativeKeyAttention.score_bias


@pytest.mark.parametrize(
    ("owner", "name", "wrong"),
    [
        (quantizer, "bound_twice", bound_once),
        (snake, "downsample", zeros_at_the_ends),
        (snake, "downsample", six_samples_left),
        (snake.SnakeBeta, "forward", without_beta),
        (semantic.SemanticAdapter, "forward", skip_around_the_relu),
        (semantic.RelativeKeyAttention, "score_bias", unscaled_distances),
    ],
    ids=[
        "one bound",
        "zeros for replicate",
        "pad 6+5",
        "beta = 0",
        "residual before ReLU",
        "bias not over √d",
    ],
)
def test_undoing_a_quirk_changes_codes(monkeypatch, folders, owner, name, wrong):
    model = XCodec2Model.from_pretrained(folders["xcodec2"])
    monkeypatch.setattr(snake_cpu, "can_run", lambda x: False)  # its C code cannot be patched
    monkeypatch.setattr(owner, name, wrong)
    assert agreement(model, "xcodec2") < 1  # some quirks reach only the ends of a clip


def test_another_window_or_moments_of_stacked_frames_change_codes(monkeypatch, folders):
    model = XCodec2Model.from_pretrained(folders["xcodec2"])
    hann = torch.hann_window(400, periodic=False, dtype=torch.float64)
    monkeypatch.setattr(features, "povey_window", lambda device, dtype: hann.to(device, dtype))
    assert agreement(model, "xcodec2") < 0.97
    monkeypatch.undo()
    monkeypatch.setattr(network, "normalize_fbank", lambda fbank, *_: normal_after_stacking(fbank))
    assert agreement(model, "xcodec2") < 1


def normal_after_stacking(fbank: Tensor) -> Tensor:
    stacked = features.stack_frames(fbank, 2)
    return features.normalize_fbank(stacked).reshape(fbank.shape)


def rotated_over_time(self: decoder.Attention, x: Tensor, lengths: Tensor | None) -> Tensor:
    """What a rotary embedding usually does, and what this decoder was not trained with."""
    q, k, v = (
        p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        for p in (self.q_proj, self.k_proj, self.v_proj)
    )
    half = q.shape[-1] // 2
    angles = torch.arange(x.shape[1])[:, None] * 10_000 ** (-torch.arange(half) / half)
    cos, sin = angles.cos(), angles.sin()

    def turn(y: Tensor) -> Tensor:
        return torch.cat(
            [y[..., :half] * cos - y[..., half:] * sin, y[..., half:] * cos + y[..., :half] * sin],
            -1,
        )

    return self.o_proj(
        F.scaled_dot_product_attention(turn(q), turn(k), v).transpose(1, 2).flatten(2)
    )


def test_rotary_over_time_changes_the_waveform(monkeypatch, folders):
    model = XCodec2Model.from_pretrained(folders["xcodec2"])
    monkeypatch.setattr(decoder.Attention, "forward", rotated_over_time)
    assert waveform_error(model, "xcodec2") > 100 * WAVEFORM_TOLERANCE


def test_causal_padding_of_the_convolutions_changes_codes(monkeypatch, folders):
    model = XCodec2Model.from_pretrained(folders["xcodec2"])
    layers = acoustic.EncoderBlock.layers
    monkeypatch.setattr(
        acoustic.EncoderBlock, "layers", lambda self: [lambda x, n: x.roll(1, -1), *layers(self)]
    )
    assert agreement(model, "xcodec2") < 0.97
