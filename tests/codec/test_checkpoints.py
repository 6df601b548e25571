"""Every checkpoint form: found by content, strict both ways, nothing executed, nothing copied
without need.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from paths import GOLDENS
from safetensors.torch import load_file, save_file
from tiny import NEUCODEC, SPECTROGRAM, random_model, speech
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Error, XCodec2Model
from xcodec2.codec.checkpoints import original
from xcodec2.codec.checkpoints.client import license_in
from xcodec2.codec.checkpoints.save import plain_state
from xcodec2.codec.kernels.convolution import Conv1d
from xcodec2.convert import convert
from xcodec2.errors import CheckpointError


def codes_of(path: Path) -> Tensor:
    return XCodec2Model.from_pretrained(path).encode(speech(), 16_000).codes


def saved(tensors: dict[str, Tensor], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return folder


# ---- forms ---------------------------------------------------------------------------------------


def test_both_weight_norm_forms_and_plain_weights_give_the_same_codes(published, tmp_path):
    expected = codes_of(saved(published, tmp_path / "g and v"))
    newer = {
        k.replace("weight_g", "parametrizations.weight.original0").replace(
            "weight_v", "parametrizations.weight.original1"
        ): t
        for k, t in published.items()
    }
    assert torch.equal(codes_of(saved(newer, tmp_path / "parametrizations")), expected)
    model = XCodec2Model.from_pretrained(tmp_path / "g and v")
    folded = {k: t for k, t in published.items() if not k.endswith(("weight_g", "weight_v"))}
    for ours, theirs in original.original_keys(model.config, model.state_dict()).items():
        if theirs.startswith("CodecEnc.") and theirs.endswith(".weight"):
            folded[theirs] = model.state_dict()[ours].contiguous()
    assert torch.equal(codes_of(saved(folded, tmp_path / "plain")), expected)


def test_second_snake_parameter_under_either_name(published, tmp_path):
    """Published as `beta`; the PyPI class, and what was saved with it, says `bias`."""
    renamed = {k.replace(".act.beta", ".act.bias"): t for k, t in published.items()}
    expected = codes_of(saved(published, tmp_path / "beta"))
    assert torch.equal(codes_of(saved(renamed, tmp_path / "bias")), expected)


def test_lightning_checkpoint_with_w2v_bert_beside_it(published, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    semantic = {
        k.removeprefix("semantic_model."): t
        for k, t in published.items()
        if k.startswith("semantic_model.")
    }
    rest = {k: t for k, t in published.items() if not k.startswith("semantic_model.")}
    rest |= {
        "fc_post_s.weight": torch.zeros(2, 2),
        "SemanticDecoder_module.initial_conv.weight": torch.zeros(2),
        "discriminator.discriminators.0.convs.0.bias": torch.zeros(2),
        "spec_discriminator.discriminators.0.bias": torch.zeros(2),
    }
    (tmp_path / "ckpt").mkdir()
    lightning = {
        "epoch": 4,
        "global_step": 7,
        "state_dict": rest,
        "optimizer_states": [{"lr": 1e-4}],
    }
    torch.save(lightning, tmp_path / "ckpt" / "epoch=4.ckpt")
    with pytest.raises(CheckpointError, match=r"w2v-bert-2\.0.*beside"):
        XCodec2Model.from_pretrained(tmp_path / "ckpt" / "epoch=4.ckpt")
    saved(semantic, tmp_path / "w2v-bert-2.0")
    expected = codes_of(saved(published, tmp_path / "whole"))
    assert torch.equal(codes_of(tmp_path / "ckpt" / "epoch=4.ckpt"), expected)


def test_single_file_and_sharded_folder(published, tmp_path):
    expected = codes_of(saved(published, tmp_path / "whole"))
    assert torch.equal(codes_of(tmp_path / "whole" / "model.safetensors"), expected)
    keys = sorted(published)
    parts = {"a.safetensors": keys[::2], "b.safetensors": keys[1::2]}
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, names in parts.items():
        save_file({k: published[k] for k in names}, folder / name)
    index = {"weight_map": {k: name for name, names in parts.items() for k in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert torch.equal(codes_of(folder), expected)
    index["weight_map"][keys[0]] = "../whole/model.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="no plain safetensors file name"):
        XCodec2Model.from_pretrained(folder)


def test_decoder_only_holds_the_decoder_and_decodes_the_same(published, tmp_path):
    whole = XCodec2Model.from_pretrained(saved(published, tmp_path / "original"))
    whole.save_pretrained(tmp_path / "native")
    codes = whole.encode(speech(), 16_000)
    for folder in ("original", "native"):
        half = XCodec2Model.from_pretrained(tmp_path / folder, decoder_only=True)
        assert {name.split(".")[0] for name in half.state_dict()} == {
            "quantizer",
            "acoustic_decoder",
        }
        assert torch.equal(half.decode(codes), whole.decode(codes))
        with pytest.raises(XCodec2Error, match="decoder_only"):
            half.encode(speech(), 16_000)


def test_decoder_only_at_full_size_is_187_million_parameters():
    with torch.device("meta"):
        whole, half = (
            XCodec2Model(XCodec2Config()),
            XCodec2Model(XCodec2Config(), decoder_only=True),
        )
    assert sum(p.numel() for p in half.parameters()) == 186_965_250 + 34_824
    parts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in whole.named_children()
    }
    assert parts == {
        "semantic_encoder": 387_050_816 - 1024,  # the published count includes masked_spec_embed
        "semantic_adapter": 12_584_960,
        "acoustic_encoder": 38_449_504,
        "fc_encoder": 4_196_352,
        "quantizer": 34_824,
        "acoustic_decoder": 186_965_250,
    }


# ---- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["xcodec2", "neucodec"])
def test_conversion_there_and_back_keeps_the_codes(package, tmp_path):
    tensors = load_file(GOLDENS / f"original_{package}.safetensors")
    weights = {
        k.removeprefix("weights/"): t.float()
        for k, t in tensors.items()
        if k.startswith("weights/")
    }
    source = saved(weights, tmp_path / "source")
    convert(source, tmp_path / "native", to="transformers")
    convert(tmp_path / "native", tmp_path / "back", to="original")
    expected = XCodec2Model.from_pretrained(source)
    for folder in ("native", "back"):
        model = XCodec2Model.from_pretrained(tmp_path / folder)
        assert model.config == expected.config
        found = model.state_dict()
        for key, tensor in expected.state_dict().items():
            torch.testing.assert_close(found[key], tensor, atol=1e-6, rtol=1e-6)
        assert torch.equal(
            model.encode(speech(), 16_000).codes, expected.encode(speech(), 16_000).codes
        )
    written = load_file(tmp_path / "back" / "model.safetensors")
    unused = {k for k in weights if k.startswith(("fc_post_s.", "SemanticDecoder_module."))}
    unused |= {k for k in weights if k.startswith("semantic_model.encoder.layers.16.")}
    assert set(written) == set(weights) - unused
    assert all(written[k].shape == weights[k].shape for k in written)


def test_a_folder_holds_nothing_of_the_form_it_had_before(tmp_path):
    model = random_model()
    model.save_pretrained(tmp_path)
    expected = model.encode(speech(), 16_000).codes
    forms = {"original": set(), "transformers": {"preprocessor_config.json"}}
    for form, more in forms.items():
        convert(tmp_path, tmp_path, to=form)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"config.json", "model.safetensors"} | more
        assert torch.equal(codes_of(tmp_path), expected)
    with pytest.warns(UserWarning, match="own form"):
        random_model(SPECTROGRAM).save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}


def test_what_the_originals_form_cannot_hold_is_written_in_our_own(tmp_path):
    """The advice of the one command is what the other does."""
    with pytest.raises(CheckpointError, match="`--to transformers` writes open-xcodec2's own form"):
        convert("nano", tmp_path / "original", to="original")
    assert not (tmp_path / "original").exists()
    with pytest.warns(UserWarning, match="own form: transformers cannot express"):
        convert("nano", tmp_path / "own", to="transformers")
    assert torch.equal(
        codes_of(tmp_path / "own"), XCodec2Model.from_pretrained().encode(speech(), 16_000).codes
    )


@pytest.mark.parametrize("to", ["transformers", "original"])
def test_conversion_keeps_the_model_card(to, tiny_folder, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(tiny_folder, source)
    convert(source, target, to=to)
    assert not (target / "README.md").exists()
    (source / "README.md").write_text("---\nlicense: mit\n---\n")
    convert(source, target, to=to)
    assert (target / "README.md").read_text() == "---\nlicense: mit\n---\n"
    (target / "README.md").write_text("mine")
    with pytest.warns(UserWarning, match="is kept as it is"):
        convert(source, target, to=to)
    assert (target / "README.md").read_text() == "mine"


def test_the_bundled_models_card_goes_with_it(tmp_path):
    with pytest.warns(UserWarning, match="own form"):
        convert("nano", tmp_path, to="transformers")
    assert license_in(tmp_path / "README.md") == "apache-2.0"


@pytest.mark.parametrize(
    ("header", "license"),
    [
        ("license: mit", "mit"),
        ('license: "cc-by-nc-4.0"', "cc-by-nc-4.0"),
        ("license: 'mit' # of the weights", "mit"),
        ("language: en\nlicense:   mit  \ntags: []", "mit"),
        ("license:\nlanguage:\n- en", None),
        ("license:\n- mit\n- gpl", None),
        ("title: license", None),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_license_of_a_card(tmp_path, header, license, newline):
    card = tmp_path / "README.md"
    card.write_text(f"---\n{header}\n---\n# A codec\n", newline=newline)
    assert license_in(card) == license


def test_weight_norm_of_training_is_folded_when_saved(tmp_path):
    model = random_model()
    expected = model.encode(speech(), 16_000).codes
    model.acoustic_encoder.add_weight_norm()
    assert any("parametrizations" in key for key in model.state_dict())
    assert not any("parametrizations" in key for key in plain_state(model))
    model.save_pretrained(tmp_path)
    assert torch.equal(codes_of(tmp_path), expected)


def test_saving_over_a_model_in_use_keeps_it_whole(tmp_path):
    """The file is memory-mapped by the model being saved; it is replaced, never rewritten in
    place.
    """
    random_model(NEUCODEC).save_pretrained(tmp_path)
    model = XCodec2Model.from_pretrained(tmp_path)
    expected = model.encode(speech(), 16_000).codes
    model.save_pretrained(tmp_path)
    assert torch.equal(model.encode(speech(), 16_000).codes, expected)
    assert torch.equal(codes_of(tmp_path), expected)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }


def test_written_files_have_the_permissions_that_the_umask_grants(tmp_path):
    before = os.umask(0o022)
    try:
        random_model().save_pretrained(tmp_path)
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o644"}


def test_loading_maps_the_file_instead_of_copying_it(tmp_path):
    random_model().save_pretrained(tmp_path)
    model = XCodec2Model.from_pretrained(tmp_path)
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("no /proc here to ask")
    spans = [
        tuple(int(n, 16) for n in line.split()[0].split("-"))
        for line in mapped.read_text().splitlines()
        if str(tmp_path) in line
    ]
    anew = {
        id(module.weight) for module in model.modules() if isinstance(module, Conv1d)
    }  # laid side by side
    assert all(
        any(a <= p.data_ptr() < b for a, b in spans)
        for p in model.parameters()
        if id(p) not in anew
    )


def test_dtype_and_hash_follow_the_weights(tmp_path):
    model = random_model()
    first = model.weights_hash
    assert model.weights_hash == first
    with torch.no_grad():
        model.acoustic_decoder.fc.bias.add_(1)
    assert model.weights_hash == first  # another decoder, the same codes
    with torch.no_grad():
        model.fc_encoder.bias.add_(1)
    assert model.weights_hash != first
    model.save_pretrained(tmp_path)
    half = XCodec2Model.from_pretrained(tmp_path, dtype=torch.float16)
    assert {p.dtype for p in half.parameters()} == {torch.float16}
    half = half.to(torch.bfloat16)  # as a whole, and with a wider range
    assert half.weights_hash != model.weights_hash
    waveform = half.decode(half.encode(speech(), 16_000))
    assert waveform.dtype == torch.float32
    assert waveform.isfinite().all()


def test_loading_does_not_import_the_compiler(tiny_folder):
    """PyTorch's takes seconds to import, and random values for weights that a file replaces would
    need it.
    """
    program = (
        "import sys; from xcodec2 import XCodec2Model; XCodec2Model.from_pretrained(sys.argv[1]); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tiny_folder)]).returncode == 0
