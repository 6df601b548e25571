"""bfloat16 on a CPU: where it is used, how much it changes, and that a processor without it says so."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import XCODEC2, random_model, speech

from xcodec2 import XCodec2Model
from xcodec2.codec import precision

pytestmark = pytest.mark.filterwarnings("ignore:PyTorch finds no instructions for bfloat16")


@pytest.fixture(scope="module")
def halved(tmp_path_factory) -> tuple[XCodec2Model, XCodec2Model]:
    """One model in float32 and in bfloat16."""
    folder = tmp_path_factory.mktemp("model")
    random_model(XCODEC2).save_pretrained(folder)
    return tuple(XCodec2Model.from_pretrained(folder, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))


def snr(reference, other) -> float:
    return 10 * math.log10(reference.square().sum() / (reference - other).square().sum())


def test_products_inside_the_layers_are_bfloat16_and_all_else_float32(halved):
    kinds = {name: parameter.dtype for name, parameter in halved[1].named_parameters()}
    low = {name for name, dtype in kinds.items() if dtype == torch.bfloat16}
    assert set(kinds.values()) == {torch.bfloat16, torch.float32}
    for name in (
        "acoustic_decoder.layers.0.self_attn.q_proj.weight",
        "acoustic_decoder.layers.0.mlp.fc2.weight",
        "acoustic_decoder.post_net.1.conv2.weight",
        "semantic_encoder.encoder.layers.0.ffn1.intermediate_dense.weight",
        "semantic_encoder.encoder.layers.0.self_attn.distance_embedding.weight",
        "semantic_encoder.encoder.layers.0.conv_module.pointwise_conv2.weight",
    ):
        assert name in low
    assert not [name for name in low if "norm" in name or "depthwise" in name]
    assert not [name for name in low if name.startswith(("quantizer", "acoustic_encoder", "semantic_adapter", "fc_"))]
    assert not [name for name in low if ".head." in name or ".prior_net." in name or ".embed." in name]


def test_other_devices_and_types_are_asked_for_as_a_whole():
    key = "acoustic_decoder.head.linear.weight"
    assert precision.weight_type(key, torch.bfloat16, torch.device("cuda", 0)) == torch.bfloat16
    assert precision.weight_type(key, torch.float16, torch.device("cpu")) == torch.float16
    assert precision.weight_type(key, torch.bfloat16, torch.device("cpu")) == torch.float32


def test_what_it_changes_stays_small(halved):
    for full, low in (halved, [XCodec2Model.from_pretrained("nano", dtype=d) for d in (torch.float32, torch.bfloat16)]):
        codes = full.encode(speech(), 16_000)
        changed = low.encode(speech(), 16_000)
        assert (codes.codes == changed.codes).float().mean() > 0.8
        assert 30 < snr(full.decode(codes), low.decode(codes)) < 80


def test_batches_in_bfloat16_stay_near_to_single_items(halved):
    low = halved[1]
    codes = [torch.arange(40) * 1_000, torch.arange(25) * 2_000]
    for row, item in zip(low.decode(codes), codes, strict=True):
        assert snr(low.decode(item), row) > 30


def test_a_processor_without_it_is_named(monkeypatch, recwarn):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with pytest.warns(RuntimeWarning, match="float32 is many times as fast"):
        XCodec2Model.from_pretrained("nano", dtype=torch.bfloat16)
    recwarn.clear()
    XCodec2Model.from_pretrained("nano")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    XCodec2Model.from_pretrained("nano", dtype=torch.bfloat16)
    assert not [warning for warning in recwarn if "bfloat16" in str(warning.message)]
