"""8-bit products: how near they come, that frames do not see each other, and what a model of them
cannot do.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from tiny import XCODEC2, noise, random_model, snr, speech

from xcodec2 import XCodec2Model
from xcodec2.codec.inference import int8, precision
from xcodec2.codec.kernels import cpu_features
from xcodec2.errors import CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:PyTorch finds no instructions")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    random_model(XCODEC2).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def quantized(folder) -> tuple[XCodec2Model, XCodec2Model]:
    """One model in float32 and in int8."""
    return XCodec2Model.from_pretrained(folder), XCodec2Model.from_pretrained(
        folder, dtype=torch.int8
    )


def test_pytorch_2_4_has_no_set_submodule(folder, monkeypatch):
    monkeypatch.delattr(torch.nn.Module, "set_submodule", raising=False)
    model = XCodec2Model.from_pretrained(folder, dtype=torch.int8)
    assert int8.is_quantized(model.acoustic_decoder)


@pytest.fixture(params=["integers", "floats"])
def instructions(request, monkeypatch):
    """With the processor's instructions, and as where it has none."""
    if request.param == "floats":
        monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    elif not cpu_features.multiplies_int8():
        pytest.skip("this processor or PyTorch multiplies no 8-bit integers")


@pytest.mark.usefixtures("instructions")
@torch.no_grad()
def test_a_product_is_right_to_two_digits_in_every_row_and_channel():
    weight = noise(96, 64) * torch.logspace(-3, 3, 96)[:, None]  # each with a scale of its own
    x = (
        noise(2, 5, 64, seed=1) * torch.logspace(-4, 4, 5)[:, None]
        + torch.tensor([0.0, 3.0])[:, None, None]
    )
    y, exact = int8.Int8Linear(weight)(x), x @ weight.T
    assert y.shape == exact.shape
    assert y.dtype == torch.float32
    for row, true in zip(y.flatten(0, 1), exact.flatten(0, 1), strict=True):
        assert 36 < snr(true, row) < 60
    for channel, true in zip(
        y.flatten(0, 1).T[:, 2:5].T, exact.flatten(0, 1).T[:, 2:5].T, strict=True
    ):
        assert snr(true / weight.norm(dim=1), channel / weight.norm(dim=1)) > 34


@torch.no_grad()
def test_integers_and_floats_that_stand_for_them_give_the_same(monkeypatch):
    if not cpu_features.multiplies_int8():
        pytest.skip("this processor or PyTorch multiplies no 8-bit integers")
    weight, x = noise(64, 4096), noise(7, 4096, seed=1)
    fast = int8.Int8Linear(weight)(x)
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    torch.testing.assert_close(fast, int8.Int8Linear(weight)(x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_largest_integers_do_not_saturate():
    x = torch.cat([torch.ones(1, 511), -torch.ones(1, 1)], dim=1)
    torch.testing.assert_close(int8.Int8Linear(torch.ones(8, 512))(x), torch.full((1, 8), 510.0))


@torch.no_grad()
def test_frames_that_are_all_alike():
    linear = int8.Int8Linear(noise(8, 16))
    for value in (0.0, 2.5):
        x = torch.full((1, 3, 16), value)
        torch.testing.assert_close(linear(x), x @ noise(8, 16).T, rtol=0.02, atol=0.05)


@torch.no_grad()
def test_a_frame_does_not_see_its_neighbors():
    linear, x = int8.Int8Linear(noise(32, 64)), noise(6, 64, seed=1)
    x[3] *= 1e6
    assert torch.equal(linear(x)[2], linear(x[2:3])[0])


def test_what_it_changes_stays_small(quantized):
    nano = [
        XCodec2Model.from_pretrained("nano", dtype=dtype) for dtype in (torch.float32, torch.int8)
    ]
    for (full, low), least in (
        (quantized, 25),
        (nano, 20),
    ):  # 35 dB in most clips with nano, 21 in this one
        codes = full.encode(speech(), 16_000)
        assert least < snr(full.decode(codes), low.decode(codes)) < 45


def test_encoding_is_that_of_bfloat16(quantized, folder):
    half = XCodec2Model.from_pretrained(folder, dtype=torch.bfloat16)
    assert torch.equal(
        quantized[1].encode(speech(), 16_000).codes, half.encode(speech(), 16_000).codes
    )
    assert quantized[1].weights_hash == half.weights_hash


def test_its_memory_is_that_of_bytes(quantized):
    left = {
        name
        for name, _ in quantized[1].acoustic_decoder.named_parameters()
        if ".layers." in f".{name}"
    }
    assert left
    assert all(name.endswith(("layernorm.weight", "o_proj.weight")) for name in left)


def test_what_cannot_be_done_says_so(quantized, tmp_path):
    with pytest.raises(CheckpointError, match="load it again"):
        quantized[1].save_pretrained(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match=r"int8 is for CPUs; use torch\.bfloat16"):
        XCodec2Model.from_pretrained("nano", device="meta", dtype=torch.int8)
    with pytest.raises(CheckpointError, match=r"must be torch\.int8 or a floating-point"):
        XCodec2Model.from_pretrained("nano", dtype=torch.int16)


def test_a_processor_without_it_is_named(monkeypatch):
    monkeypatch.setattr(precision, "multiplies_int8", lambda: False)
    with pytest.warns(RuntimeWarning, match="for int8 here.*VNNI.*float32 is many times as fast"):
        XCodec2Model.from_pretrained("nano", dtype=torch.int8)


def test_it_can_be_copied_and_pickled(quantized):
    model = quantized[1]
    codes = torch.arange(40) * 1_000
    expected = model.decode(codes)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.decode(codes), expected)
    assert torch.equal(model.decode(codes), expected)


def decode_into(results, model, codes):
    torch.set_num_threads(1)
    results.put(model.decode(codes).numpy())


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fork", "spawn"])
def test_it_can_be_handed_to_another_process(quantized, way):
    """Tensors made while it is pickled would be gone before a spawned process begins."""
    context = multiprocessing.get_context(way)
    results, codes = context.Queue(), list(range(40))
    process = context.Process(target=decode_into, args=(results, quantized[1], codes))
    process.start()
    found = results.get(timeout=60)
    process.join()
    assert np.array_equal(found, quantized[1].decode(codes).numpy())


def test_its_state_holds_no_tensor_that_lives_in_the_state_alone(quantized):
    """What `spawn` cannot hand over."""
    own = {id(value) for part in quantized[1].modules() for value in vars(part).values()}
    states = [
        part.__getstate__() for part in quantized[1].modules() if type(part) is int8.Int8Linear
    ]
    assert states
    for state in states:
        tensors = [value for value in state.values() if isinstance(value, torch.Tensor)]
        assert all(id(tensor) in own for tensor in tensors)


def test_a_pickle_serves_a_processor_without_it(quantized, monkeypatch):
    kept = pickle.dumps(quantized[1])
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    codes = torch.arange(40) * 1_000
    assert snr(quantized[1].decode(codes), pickle.loads(kept).decode(codes)) > 60


def test_what_is_quantized_is_named_as_in_the_checkpoint(folder):
    model = XCodec2Model.from_pretrained(folder)
    keys = int8.quantized_keys(model)
    assert keys < set(model.state_dict())
    low = XCodec2Model.from_pretrained(folder, dtype=torch.int8)
    assert keys == set(model.state_dict()) - set(low.state_dict())
