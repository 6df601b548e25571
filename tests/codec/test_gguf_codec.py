"""The codec as GGUF in codec.cpp's layout, read back by the format's own reader.

The layout is that of mybigday/codec.cpp as of 2026-07: its converter's names, shapes and types.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import second_reading
import torch
from click.testing import CliRunner
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, quantized, random_model, speech

from xcodec2 import XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.codec.checkpoints.gguf import name_of, write_codec_gguf
from xcodec2.errors import CheckpointError

gguf = pytest.importorskip("gguf")

# codec.cpp's name, its shape as ggml counts (fastest first), and its type; of each kind one
EXPECTED = {
    "xcodec2.decode.codebook": ((8, 65_536), "F16"),
    "xcodec2.decode.istft.window": ((1280,), "F32"),
    "xcodec2.decode.quant.project_out.w": ((8, 128), "F16"),
    "xcodec2.decode.quant.project_out.b": ((128,), "F32"),
    "xcodec2.decode.fc_post_a.w": ((128, 64), "F16"),
    "xcodec2.decode.embed.w": ((7, 64, 64), "F16"),
    "xcodec2.decode.prior.1.norm2.w": ((64,), "F32"),
    "xcodec2.decode.post.0.conv1.w": ((3, 64, 64), "F16"),
    "xcodec2.decode.transformer.1.att_norm.w": ((64,), "F32"),
    "xcodec2.decode.transformer.0.att.c_attn.w": ((64, 192), "F16"),
    "xcodec2.decode.transformer.0.att.c_proj.w": ((64, 64), "F16"),
    "xcodec2.decode.transformer.1.mlp.fc1.w": ((64, 128), "F16"),
    "xcodec2.decode.final_ln.b": ((64,), "F32"),
    "xcodec2.decode.head.out.w": ((64, 1282), "F16"),
    "xcodec2.enc.mel.filters": ((80, 257), "F32"),
    "xcodec2.enc.mel.window": ((400,), "F32"),
    "xcodec2.enc.alias.filter": ((12,), "F32"),
    "xcodec2.enc.codec.conv0.w": ((7, 1, 4), "F16"),
    "xcodec2.enc.codec.b1.r0.act1.alpha": ((4,), "F32"),
    "xcodec2.enc.codec.b5.r2.act2.inv_beta": ((64,), "F32"),
    "xcodec2.enc.codec.b2.r1.conv2.w": ((1, 8, 8), "F16"),
    "xcodec2.enc.codec.b5.act.alpha": ((64,), "F32"),
    "xcodec2.enc.codec.b5.down.w": ((10, 64, 128), "F16"),
    "xcodec2.enc.codec.final.act.inv_beta": ((128,), "F32"),
    "xcodec2.enc.codec.final.conv.b": ((64,), "F32"),
    "xcodec2.w2v.feat_ln.w": ((160,), "F32"),
    "xcodec2.w2v.feat_proj.w": ((160, 64), "F16"),
    "xcodec2.w2v.l0.ffn1.fc1.w": ((64, 128), "F16"),
    "xcodec2.w2v.l2.attn.dist.w": ((16, 73), "F32"),
    "xcodec2.w2v.l1.conv.dw.w": ((31, 1, 64), "F16"),
    "xcodec2.w2v.l1.conv.dw_ln.b": ((64,), "F32"),
    "xcodec2.w2v.l0.conv.pw1.w": ((1, 64, 128), "F16"),
    "xcodec2.w2v.l2.final_ln.w": ((64,), "F32"),
    "xcodec2.sem.initial.w": ((3, 64, 64), "F16"),
    "xcodec2.sem.r3.b": ((64,), "F32"),
    "xcodec2.enc.fc_prior.w": ((128, 128), "F16"),
    "xcodec2.enc.quant.project_in.b": ((8,), "F32"),
}
KEYS = {
    "general.architecture": "xcodec2",
    "codec.sample_rate": 16_000,
    "codec.hop_size": 320,
    "codec.n_fft": 1280,
    "codec.codebook_size": 65_536,
    "codec.has_encoder": True,
    "xcodec2.num_heads": 4,
    "xcodec2.enc.up_ratios": [2, 2, 4, 4, 5],
    "xcodec2.w2v.layers": 3,
    "codec.mel.remove_dc_offset": True,
}


def test_gguf_has_codec_cpps_keys_names_shapes_and_types(tmp_path):
    model = random_model()
    write_codec_gguf(model, tmp_path / "codec.gguf")
    reader = gguf.GGUFReader(tmp_path / "codec.gguf")
    found = {t.name: (tuple(t.shape.tolist()), t.tensor_type.name) for t in reader.tensors}
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED
    fused = sum("self_attn.q_proj" in k or "self_attn.k_proj" in k for k in model.state_dict())
    assert len(found) == len(model.state_dict()) - fused + 5  # q, k, v are one; five are constants
    assert all(len(name) < 64 for name in found)
    for key, value in KEYS.items():
        assert reader.get_field(key).contents() == value
    ratios = reader.get_field("xcodec2.enc.up_ratios").types
    assert [kind.name for kind in ratios] == ["ARRAY", "UINT32"]


def exported(model: XCodec2Model, folder: Path, *options: str) -> dict[str, torch.Tensor]:
    """What the command writes of a model, by name and in float32."""
    model.save_pretrained(folder / "model")
    command = ["export", str(folder / "model"), str(folder / "codec.gguf"), "--to", "gguf"]
    done = CliRunner().invoke(xcodec2, [*command, *options])
    assert done.exit_code == 0, done.output
    reader = gguf.GGUFReader(folder / "codec.gguf")
    return {t.name: torch.from_numpy(np.array(t.data)).float() for t in reader.tensors}


def read_back(model: XCodec2Model, tensors: dict[str, torch.Tensor]) -> XCodec2Model:
    """The model with the encoder's weights of a file; SnakeBeta's are not stored as they are."""
    again = copy.deepcopy(model)
    with torch.no_grad():
        for key, weight in again.named_parameters():
            if not key.startswith("acoustic_decoder.") and not key.endswith((".alpha", ".beta")):
                weight.copy_(tensors[name_of(key)].view_as(weight))
    return again


def decoding_error(model: XCodec2Model, tensors: dict[str, torch.Tensor]) -> float:
    """How far the sound that a file gives is from the model's, of the peak."""
    codes = [5, 65_535, 0, 777, 30_000]
    sound = second_reading.decode(original_names(tensors), codes, heads=4, factors=())
    return float((sound - model.decode(codes)).abs().max() / sound.abs().max())


def test_full_gguf_read_back_is_the_model(tmp_path):
    """SnakeBeta as it is computed, all other weights of the encoder bit for bit, and a decoder
    that gives the same sound.
    """
    model = random_model()
    tensors = exported(model, tmp_path, "--full")
    act = model.acoustic_encoder.block[1].res_unit2.snake1.act
    name = "xcodec2.enc.codec.b2.r1.act1"
    torch.testing.assert_close(tensors[f"{name}.alpha"], act.alpha.exp().detach())
    torch.testing.assert_close(1 / tensors[f"{name}.inv_beta"], act.beta.exp().detach())
    again = read_back(model, tensors).state_dict()
    assert all(torch.equal(weight, again[key]) for key, weight in model.state_dict().items())
    assert decoding_error(model, tensors) < 1e-4


@pytest.mark.parametrize(("seed", "differing"), [(0, 57), (1, 27), (2, 63)])
def test_gguf_in_float16_moves_numbers_over_edges(seed, differing, tmp_path):
    """So that codes of 242 differ, in numbers that are one level off."""
    model = random_model(seed=seed)
    tensors = exported(model, tmp_path)
    assert decoding_error(model, tensors) < 0.00316228  # 50 dB
    exact, rounded = (quantized(m, speech()) for m in (model, read_back(model, tensors)))
    wrong = exact.codes != rounded.codes
    assert wrong.numel() == 242
    assert abs(int(wrong.sum()) - differing) <= 2  # on an edge, elsewhere
    assert (exact.bounded.round() - rounded.bounded.round()).abs().max() == 1


def original_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """codec.cpp's names of the decoder back to the original's."""
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("xcodec2.decode.")
        for ours, original in (
            ("quant.project_out", "generator.quantizer.project_out"),
            ("embed.", "generator.backbone.embed."),
            ("prior.", "generator.backbone.prior_net."),
            ("post.", "generator.backbone.post_net."),
            ("transformer.", "generator.backbone.transformers."),
            ("final_ln", "generator.backbone.final_layer_norm"),
            ("head.out", "generator.head.out"),
        ):
            if name.startswith(ours):
                name = original + name.removeprefix(ours)
        end = {"w": "weight", "b": "bias"}
        module, _, kind = name.rpartition(".")
        renamed[f"{module}.{end.get(kind, kind)}"] = tensor
    return renamed


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (SPECTROGRAM, "spectrogram"),
        (NEUCODEC, "NeuCodec"),
        (replace(XCODEC2, pooling=2, sample_rate=24_000), "pooled"),
        (replace(XCODEC2, levels=(8, 5, 5, 5)), "levels"),
        (replace(XCODEC2, strides=(2, 4, 4, 10)), "strides"),
    ],
)
def test_what_codec_cpps_layout_cannot_hold_is_refused(tmp_path, config, reason):
    with pytest.raises(CheckpointError, match=f"no place for.*{reason}"):
        write_codec_gguf(random_model(config), tmp_path / "codec.gguf")
    assert not list(tmp_path.iterdir())
