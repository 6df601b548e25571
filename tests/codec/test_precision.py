"""Lower precision on a CPU: where bfloat16 is used, how much it changes, that a processor without
it says so; and int8 where the two behave alike."""

from __future__ import annotations

import pytest
import soundfile
import torch
from click.testing import CliRunner
from tiny import ASSETS, XCODEC2, noise, random_model, snr, speech

from xcodec2 import XCodec2Model
from xcodec2.cli import xcodec2
from xcodec2.codec.decoder import SHORT, attend
from xcodec2.codec.inference import precision

pytestmark = pytest.mark.filterwarnings("ignore:PyTorch finds no instructions")


@pytest.fixture(scope="module")
def halved(tmp_path_factory) -> tuple[XCodec2Model, XCodec2Model]:
    """One model in float32 and in bfloat16."""
    folder = tmp_path_factory.mktemp("model")
    random_model(XCODEC2).save_pretrained(folder)
    return tuple(
        XCodec2Model.from_pretrained(folder, dtype=dtype)
        for dtype in (torch.float32, torch.bfloat16)
    )


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
    assert not [
        name
        for name in low
        if name.startswith(("quantizer", "acoustic_encoder", "semantic_adapter", "fc_"))
    ]
    assert not [
        name for name in low if ".head." in name or ".prior_net." in name or ".embed." in name
    ]


def test_other_devices_and_types_are_asked_for_as_a_whole():
    key = "acoustic_decoder.head.linear.weight"
    assert precision.weight_type(key, torch.bfloat16, torch.device("cuda", 0)) == torch.bfloat16
    assert precision.weight_type(key, torch.float16, torch.device("cpu")) == torch.float16
    assert precision.weight_type(key, torch.bfloat16, torch.device("cpu")) == torch.float32


def test_what_it_changes_stays_small(halved):
    for full, low in (
        halved,
        [XCodec2Model.from_pretrained("nano", dtype=d) for d in (torch.float32, torch.bfloat16)],
    ):
        codes = full.encode(speech(), 16_000)
        changed = low.encode(speech(), 16_000)
        assert (codes.codes == changed.codes).float().mean() > 0.8
        assert 30 < snr(full.decode(codes), low.decode(codes)) < 80


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 30), (torch.int8, 25)])
def test_batches_stay_near_to_single_items(dtype, least, tmp_path):
    random_model(XCODEC2).save_pretrained(tmp_path)
    low = XCodec2Model.from_pretrained(tmp_path, dtype=dtype)
    codes = [torch.arange(40) * 1_000, torch.arange(25) * 2_000]
    for row, item in zip(low.decode(codes), codes, strict=True):
        assert snr(low.decode(item), row) > least


@pytest.mark.parametrize(("dtype", "least", "most"), [("bfloat16", 35, 80), ("int8", 20, 60)])
def test_decode_from_the_command_line(dtype, least, most, tmp_path):
    def run(*args: object) -> None:
        assert CliRunner().invoke(xcodec2, [str(arg) for arg in args]).exit_code == 0

    run("encode", ASSETS / "demo.flac", "-o", tmp_path / "a.npz")
    waves = []
    for name, options in (("exact", ()), ("low", ("--dtype", dtype))):
        run("decode", tmp_path / "a.npz", "-o", tmp_path / f"{name}.wav", *options)
        waves.append(torch.from_numpy(soundfile.read(tmp_path / f"{name}.wav")[0]))
    assert least < snr(*waves) < most


def test_a_processor_without_it_is_named(monkeypatch, recwarn):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    with pytest.warns(RuntimeWarning, match="float32 is many times as fast"):
        XCodec2Model.from_pretrained("nano", dtype=torch.bfloat16)
    recwarn.clear()
    XCodec2Model.from_pretrained("nano")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    XCodec2Model.from_pretrained("nano", dtype=torch.bfloat16)
    assert not [warning for warning in recwarn if "bfloat16" in str(warning.message)]


@pytest.mark.parametrize("frames", [1, 30])
@torch.no_grad()
def test_attention_with_scores_written_whole(frames, monkeypatch):
    q, k, v = (noise(2, 3, frames, 16, seed=seed).bfloat16() for seed in range(3))
    mask = torch.ones(2, 1, 1, frames, dtype=torch.bool)
    mask[1, ..., frames // 2 + 1 :] = False
    exact = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), mask)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)  # never called
    assert snr(exact, attend(q, k, v, mask).float()) > 35
    assert torch.equal(attend(q[:1], k[:1], v[:1], None), attend(q[:1], k[:1], v[:1], mask[:1]))


@torch.no_grad()
def test_long_attention_is_not(monkeypatch):
    seen = []
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda q, *rest: seen.append(q) or q
    )
    for frames, dtype in ((SHORT + 1, torch.bfloat16), (4, torch.float32), (SHORT, torch.bfloat16)):
        attend(*(torch.zeros(1, 1, frames, 2, dtype=dtype) for _ in range(3)), None)
    assert [len(q[0, 0]) for q in seen] == [SHORT + 1, 4]
