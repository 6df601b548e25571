"""Odd but legal uses, damaged checkpoints, and numbers that overflow: all right, or one clear
error.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from paths import GOLDENS
from safetensors.torch import load_file, save_file
from tiny import SPECTROGRAM, XCODEC2, random_model, speech

from xcodec2 import Codes, XCodec2Config, XCodec2Error, XCodec2Model
from xcodec2.errors import CheckpointError

MODEL = random_model(SPECTROGRAM)


# ---- numbers -------------------------------------------------------------------------------------


def test_overflow_is_an_error_and_never_code_0():
    loud = speech() / speech().abs().max() * 3e38
    with pytest.raises(XCodec2Error, match="overflowed"):
        random_model(XCODEC2).encode(loud, 16_000)
    with pytest.raises(XCodec2Error, match=r"too loud for torch\.float16"):
        random_model(XCODEC2).half().encode(speech(), 16_000)


def test_damaged_weights_are_an_error():
    model = random_model(SPECTROGRAM)
    with torch.no_grad():
        model.fc_encoder.bias[0] = float("nan")
        model.acoustic_decoder.fc.bias[0] = float("nan")
    with pytest.raises(XCodec2Error, match="damaged"):
        model.encode(speech(), 16_000)
    with pytest.raises(XCodec2Error, match="damaged"):
        model.decode([1, 2])
    with pytest.raises(XCodec2Error, match="damaged"):
        list(model.stream_decode([[1]]))


def test_autocast_does_not_change_codes():
    expected = MODEL.encode(speech(), 16_000).codes
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(MODEL.encode(speech(), 16_000).codes, expected)


# ---- modes ---------------------------------------------------------------------------------------


def test_modes_of_parts_are_kept_and_do_not_matter():
    model = random_model(replace(SPECTROGRAM, dropout=0.5))
    expected = model.decode([1, 2, 3])
    model.train()
    model.acoustic_decoder.eval()
    assert torch.equal(model.decode([1, 2, 3]), expected)
    assert (model.training, model.acoustic_decoder.training) == (True, False)
    model.eval()
    model.acoustic_decoder.train()
    assert torch.equal(model.decode([1, 2, 3]), expected)
    assert (model.training, model.acoustic_decoder.training) == (False, True)


def test_a_model_made_in_inference_mode_works(tmp_path):
    random_model().save_pretrained(tmp_path)
    with torch.inference_mode():
        model = XCodec2Model.from_pretrained(tmp_path)
        codes = model.encode(speech(), 16_000)
        assert len(model.decode(codes)) == len(speech())
    assert codes.weights_hash == XCodec2Model.from_pretrained(tmp_path).weights_hash


def test_the_hash_follows_weights_that_are_swapped():
    model = random_model(SPECTROGRAM)
    first = model.weights_hash
    model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()}, assign=True)
    assert model.weights_hash != first


# ---- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chunks",
    [
        torch.tensor([3, 4, 5]),
        np.array([3, 4, 5]),
        Codes(codes=[3, 4, 5]),
        [torch.tensor(3), np.int64(4), 5],
        iter([[3], torch.tensor([4, 5]), []]),
        [Codes(codes=[3, 4]), np.zeros(0, np.int64), (5,)],
    ],
    ids=["tensor", "array", "codes", "single codes", "iterator", "mixed"],
)
def test_streams_of_every_kind(chunks):
    assert torch.equal(torch.cat(list(MODEL.stream_decode(chunks))), MODEL.decode([3, 4, 5]))


@pytest.mark.parametrize("chunks", [None, 5, [[1.5]], [None], [torch.zeros(0, 5)], ["a"]], ids=str)
def test_streams_of_something_else_raise(chunks):
    with pytest.raises(XCodec2Error):
        list(MODEL.stream_decode(chunks))


@pytest.mark.parametrize("call", ["encode_code", "decode_code"])
@pytest.mark.parametrize("value", [None, "text", [[1], [1, 2]]], ids=str)
def test_compatible_calls_refuse_what_is_no_tensor(call, value):
    with pytest.raises(XCodec2Error):
        getattr(MODEL, call)(value)


def test_a_bad_item_of_a_list_is_named():
    with pytest.raises(XCodec2Error, match="item 1 of the list"):
        MODEL.encode([speech(), np.array([np.nan])], 16_000)
    with pytest.raises(XCodec2Error, match="no codes"):
        MODEL.decode([])


# ---- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        {"hidden_size": "64"},
        {"hidden_size": None},
        {"quantization_levels": 4},
        {"downsampling_ratios": [0]},
        {"semantic_model_config": "x"},
        {"sampling_rate": 24_000},
        {"activation_dropout": None},
        {"num_hidden_layers": 10**12},
        {"head_dim": "x"},
        {"head_dim": []},
        {"encoder_hidden_size": -1},
        {"model_type": "open-xcodec2", "semantic_heads": 0},
    ],
    ids=str,
)
def test_impossible_settings_raise(tmp_path, setting):
    random_model().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings = setting if setting.get("model_type") else settings | setting
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError):
        XCodec2Model.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "field", ["strides", "levels", "width", "dropout", "semantic_heads", "input_rate", "ffn"]
)
@pytest.mark.parametrize("value", [0, -1, 5.5, "5", None, [0], True, 10**12], ids=str)
def test_impossible_fields_raise(field, value):
    if (field, value) == ("dropout", 0):
        return
    with pytest.raises(CheckpointError):
        XCodec2Config(**{field: value})


def test_deeply_nested_json_raises(tmp_path):
    random_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="JSON"):
        XCodec2Model.from_pretrained(tmp_path)


def test_files_are_told_by_content_not_by_suffix(published, tmp_path):
    save_file(published, tmp_path / "w.ckpt")
    torch.save(published, tmp_path / "w.safetensors")
    torch.save(published, tmp_path / "weights", _use_new_zipfile_serialization=False)
    hashes = {
        XCodec2Model.from_pretrained(tmp_path / n).weights_hash
        for n in ("w.ckpt", "w.safetensors", "weights")
    }
    assert len(hashes) == 1


def test_a_folder_with_one_lightning_checkpoint(published, tmp_path):
    torch.save({"state_dict": published}, tmp_path / "epoch=4.ckpt")
    assert XCodec2Model.from_pretrained(tmp_path).config.width == 128


def test_a_decoder_needs_no_semantic_weights(published, tmp_path):
    rest = {k: t for k, t in published.items() if not k.startswith("semantic_model.")}
    torch.save({"state_dict": rest}, tmp_path / "last.ckpt")
    save_file(published, tmp_path / "whole.safetensors")
    half = XCodec2Model.from_pretrained(tmp_path / "last.ckpt", decoder_only=True)
    whole = XCodec2Model.from_pretrained(tmp_path / "whole.safetensors")
    assert torch.equal(half.decode([5, 6, 7]), whole.decode([5, 6, 7]))


def test_saving_where_shards_were_saves_what_is_loaded(tmp_path):
    random_model(seed=1).save_pretrained(tmp_path / "one")
    if not hasattr(transformers, "Xcodec2Model"):
        pytest.skip("transformers 5.0 has no Xcodec2Model")
    theirs = transformers.Xcodec2Model.from_pretrained(tmp_path / "one")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").exists()
    assert (
        XCodec2Model.from_pretrained(tmp_path / "shards").weights_hash
        == random_model(seed=1).weights_hash
    )
    second = random_model(seed=2)
    second.save_pretrained(tmp_path / "shards")
    assert XCodec2Model.from_pretrained(tmp_path / "shards").weights_hash == second.weights_hash


def test_keys_that_are_not_text_or_hold_no_number(published, tmp_path):
    for n, extra in enumerate(
        [{"semantic_model.encoder.layers.x.y": torch.zeros(1)}, {"": torch.zeros(1)}]
    ):
        torch.save(published | extra, tmp_path / f"{n}.bin")
        with pytest.raises(CheckpointError, match="no use for"):
            XCodec2Model.from_pretrained(tmp_path / f"{n}.bin")
    torch.save({1: torch.zeros(1)}, tmp_path / "number.bin")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        XCodec2Model.from_pretrained(tmp_path / "number.bin")


def test_mutated_checkpoints_raise_one_error_or_load(published, tmp_path):
    small = {k: t for k, t in published.items() if k.startswith("generator.quantizer")}
    for new_format in (True, False):
        torch.save(
            {"state_dict": small}, tmp_path / "good.ckpt", _use_new_zipfile_serialization=new_format
        )
        content = (tmp_path / "good.ckpt").read_bytes()
        generator = np.random.default_rng(0)
        for _ in range(60):
            mutated = bytearray(content)
            for position in generator.integers(0, len(content), 8):
                mutated[position] = generator.integers(256)
            (tmp_path / "bad.ckpt").write_bytes(mutated[: generator.integers(1, len(content))])
            with pytest.raises(CheckpointError):
                XCodec2Model.from_pretrained(tmp_path / "bad.ckpt")


@pytest.mark.parametrize(
    "options",
    [
        {"name_or_path": None},
        {"name_or_path": 5},
        {"name_or_path": "x" * 300},
        {"name_or_path": "a\0b"},
        {"dtype": torch.int32},
        {"dtype": "float32"},
        {"device": "cuda:99"},
        {"device": "nowhere"},
    ],
    ids=str,
)
def test_impossible_arguments_raise(options):
    with pytest.raises(XCodec2Error):
        XCodec2Model.from_pretrained(**options)


def test_a_path_is_never_the_bundled_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = random_model()
    mine.save_pretrained(Path("nano"))
    assert XCodec2Model.from_pretrained(Path("nano")).weights_hash == mine.weights_hash
    assert XCodec2Model.from_pretrained("./nano").weights_hash == mine.weights_hash
    with pytest.warns(UserWarning, match="inside the package"):
        assert XCodec2Model.from_pretrained("nano").weights_hash != mine.weights_hash


def test_either_name_of_the_same_activation(tmp_path):
    random_model().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    settings["hidden_act"], settings["semantic_model_config"]["hidden_act"] = "swish", "silu"
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert XCodec2Model.from_pretrained(tmp_path).weights_hash == random_model().weights_hash


@pytest.mark.parametrize("path", [None, 5, b"x", "x\0y"], ids=str)
def test_paths_that_are_none(path):
    with pytest.raises(XCodec2Error):
        Codes.load(path)
    with pytest.raises(XCodec2Error):
        Codes(codes=[1]).save(path)


def test_weights_that_were_read_are_all_there(published):
    """The fixture itself: what the tests above call published has every key of the published
    form.
    """
    assert {key.split(".")[0] for key in published} == {
        "CodecEnc",
        "SemanticEncoder_module",
        "fc_post_a",
        "fc_prior",
        "generator",
        "semantic_model",
    }
    assert len(load_file(GOLDENS / "original_xcodec2.safetensors")) > len(published)
