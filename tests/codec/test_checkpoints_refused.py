"""Checkpoints that are not whole, not ours or not safe: refused, and nothing in them is run."""

from __future__ import annotations

import json
import pickle
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_checkpoints import codes_of, saved
from tiny import SPECTROGRAM, random_model, speech

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.errors import CheckpointError

# ---- strictness ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "fc_prior.weight",
        "generator.head.out.bias",
        "CodecEnc.conv_blocks.3.block.0.block.0.act.beta",
        "CodecEnc.conv_blocks.2.block.4.weight_g",
        "semantic_model.encoder.layers.15.ffn2.output_dense.bias",
        "generator.backbone.transformers.1.att.c_attn.weight",
    ],
)
def test_a_missing_tensor_raises(published, tmp_path, key):
    folder = saved({k: t for k, t in published.items() if k != key}, tmp_path / "incomplete")
    with pytest.raises(CheckpointError, match="lacks"):
        XCodec2Model.from_pretrained(folder)


@pytest.mark.parametrize(
    "key",
    [
        "extra.weight",
        "generator.extra.weight",
        "semantic_model.encoder.layers.2.extra",
        "CodecEnc.conv_blocks.9.bias",
    ],
)
def test_an_unknown_tensor_raises(published, tmp_path, key):
    folder = saved(published | {key: torch.zeros(3)}, tmp_path / "extra")
    with pytest.raises(CheckpointError, match="no use for"):
        XCodec2Model.from_pretrained(folder)


def test_an_unknown_tensor_in_the_native_form_raises(tmp_path):
    model = random_model()
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    allowed = {"semantic_encoder.masked_spec_embed": torch.zeros(64)}
    allowed["semantic_encoder.encoder.layers.3.ffn1.output_dense.bias"] = torch.zeros(64)
    save_file(tensors | allowed, tmp_path / "model.safetensors")
    assert torch.equal(codes_of(tmp_path), model.encode(speech(), 16_000).codes)
    save_file(
        tensors | {"acoustic_encoder.block.7.conv1.bias": torch.zeros(64)},
        tmp_path / "model.safetensors",
    )
    for decoder_only in (False, True):
        with pytest.raises(CheckpointError, match="no use for"):
            XCodec2Model.from_pretrained(tmp_path, decoder_only=decoder_only)


@pytest.mark.parametrize(
    "key", ["CodecEnc.conv_final_block.0.upsample.filter", "generator.head.istft.window"]
)
def test_other_filters_than_ours_raise(published, tmp_path, key):
    folder = saved(published | {key: published[key] + 1e-3}, tmp_path / "filters")
    with pytest.raises(CheckpointError, match="not the filter"):
        XCodec2Model.from_pretrained(folder)


def test_a_wrong_shape_raises(published, tmp_path):
    folder = saved(published | {"fc_prior.bias": torch.zeros(7)}, tmp_path / "shape")
    with pytest.raises(CheckpointError, match=r"'fc_encoder\.bias' is \(7,\)"):
        XCodec2Model.from_pretrained(folder)


@pytest.mark.parametrize(
    "setting", [{"attention_bias": True}, {"num_key_value_heads": 2}, {"model_type": "llama"}]
)
def test_settings_that_cannot_be_honoured_raise(tmp_path, setting):
    random_model().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | setting))
    with pytest.raises(CheckpointError, match=next(iter(setting)).replace("_", ".")):
        XCodec2Model.from_pretrained(tmp_path)


def test_native_weights_without_config_raise(tmp_path):
    random_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        XCodec2Model.from_pretrained(tmp_path)


def test_our_own_form_refuses_fields_it_does_not_know(tmp_path):
    with pytest.warns(UserWarning, match="own form"):
        random_model(SPECTROGRAM).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"invented_later": 1}))
    with pytest.raises(CheckpointError, match=r"invented_later.*upgrading"):
        XCodec2Model.from_pretrained(tmp_path)


def test_distill_neucodec_is_refused_by_name_and_by_content(tmp_path, tiny_folder):
    named = tmp_path / "neuphonic" / "distill-neucodec"  # a path's name says nothing
    shutil.copytree(tiny_folder, named)
    assert torch.equal(codes_of(named), codes_of(tiny_folder))
    with pytest.raises(CheckpointError, match=r"DistilHuBERT.*use neuphonic/neucodec"):
        XCodec2Model.from_pretrained("neuphonic/distill-neucodec")
    tensors = {"fc_sq_prior.weight": torch.zeros(2, 2)}
    tensors["generator.quantizer.project_in.weight"] = torch.zeros(8, 2048)  # as NeuCodec's
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="DistilHuBERT"):
        XCodec2Model.from_pretrained(tmp_path)


class Exploit:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"PK\x03\x04 half a zip",
        pickle.dumps({"a": Exploit()}),
        b"\xff" * 64,
        (1 << 40).to_bytes(8, "little") + b"{}",
    ],
    ids=["empty", "text", "zip", "exploit", "0xff", "huge header"],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "last.ckpt"])
def test_files_that_are_no_checkpoints_raise_and_run_nothing(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        XCodec2Model.from_pretrained(tmp_path / name)
    assert "\n" not in str(error.value)
    assert str(tmp_path / name) in str(error.value)  # which of several


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_files_that_are_cut_short_are_named(tmp_path, name):
    random_model().save_pretrained(tmp_path)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        CheckpointError, match=rf"{re.escape(str(tmp_path / name))}: not a readable"
    ):
        XCodec2Model.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("file", "meant"),
    [
        ("codec/encoder.onnx", r"for xcodec2\.onnx\.OnnxCodec"),
        ("codec/codec.json", r"for xcodec2\.mobile\.MobileCodec"),
        ("decoder.pte", "for ExecuTorch"),
        ("xcodec2.gguf", "for codec.cpp"),
    ],
)
def test_an_export_says_what_runs_it(tmp_path, file, meant):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"GGUF")
    named = path.parent if path.parent != tmp_path else path
    with pytest.raises(CheckpointError, match=f"is an export, {meant}.*name the model"):
        XCodec2Model.from_pretrained(named)


def test_several_checkpoints_are_not_guessed_from(tmp_path):
    for name in ("epoch=1.ckpt", "epoch=2.ckpt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"2 checkpoints, name one of them: .*epoch=1\.ckpt"):
        XCodec2Model.from_pretrained(tmp_path)


def test_missing_models_raise(tmp_path):
    for name in ("nono", tmp_path, tmp_path / "none.safetensors", "a/b/c"):
        with pytest.raises(CheckpointError, match=r"no such model|holds no model"):
            XCodec2Model.from_pretrained(name)


def test_only_codecs_are_offered():
    with pytest.raises(CheckpointError, match=r"a bundled one \(nano, nano-24k\)"):
        XCodec2Model.from_pretrained("nono")


def test_the_folder_of_a_run_names_its_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=re.escape(f"its model is {tmp_path / 'model'}")):
        XCodec2Model.from_pretrained(tmp_path)


def test_impossible_configurations_raise():
    for wrong in (
        {"width": 100},
        {"strides": (2, 2, 4)},
        {"levels": (1,)},
        {"acoustic_encoder": "ear"},
        {"semantic_heads": 3},
    ):
        with pytest.raises(CheckpointError, match="impossible model configuration"):
            XCodec2Config(**wrong)
