"""Matrix products by oneDNN: those of PyTorch, and PyTorch's own wherever oneDNN should not or
cannot.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from xcodec2.codec.kernels import linear
from xcodec2.codec.kernels.convolution import MIN_WIDE, Conv1d


@pytest.fixture
def calls(monkeypatch):
    """The shapes of what goes to oneDNN."""
    product, shapes = linear.onednn_product(), []
    if product is None:
        pytest.skip("this PyTorch has no oneDNN")

    def counted(x, weight, *rest):
        shapes.append((tuple(x.shape), tuple(weight.shape)))
        return product(x, weight, *rest)

    monkeypatch.setattr(linear, "onednn_product", lambda: counted)
    return shapes


@pytest.mark.parametrize("shape", [(1, 8), (3, 50, 160), (2, 151, 1024)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_are_pytorchs(calls, shape, bias):
    plain, active = (
        linear.Linear(shape[-1], 96, bias=bias),
        linear.SiLULinear(shape[-1], 96, bias=bias),
    )
    x = torch.randn(shape)
    with torch.no_grad():
        for layer, after in ((plain, lambda y: y), (active, F.silu)):
            exact = after(
                F.linear(x.double(), layer.weight.double(), layer.bias.double() if bias else None)
            )
            torch.testing.assert_close(layer(x).double(), exact, atol=1e-5, rtol=1e-5)
    assert calls == [(shape, (96, shape[-1]))] * 2


def test_gradients_other_types_and_other_layouts_are_left_to_pytorch(calls):
    x, weight = torch.randn(4, 8), torch.randn(8, 6).T
    layer = linear.SiLULinear(8, 6)
    layer(x).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
    with torch.no_grad():
        assert torch.equal(linear.linear(x, weight), F.linear(x, weight))
        assert linear.linear(x.double(), weight.double()).dtype == torch.float64
        with torch.autocast("cpu", torch.bfloat16):
            assert linear.linear(x, layer.weight).dtype == torch.bfloat16
    assert calls == []


def answers_nonsense(*_):
    return torch.zeros(2, 2)


def takes_something_else(x):
    return x


@pytest.mark.parametrize("default", [answers_nonsense, takes_something_else])
def test_an_operation_that_has_changed_is_not_used(monkeypatch, default):
    monkeypatch.setattr(torch.ops.mkldnn._linear_pointwise, "default", default)
    assert linear.onednn_product.__wrapped__() is None


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (7, 1, 3), (10, 5, 3), (4, 2, 1), (1, 1, 0)]
)
def test_wide_convolutions_are_products_of_the_same_result(calls, kernel, stride, padding):
    channels = MIN_WIDE // stride + 1
    conv = Conv1d(channels, 24, kernel, stride=stride, padding=padding)
    for x in (torch.randn(2, channels, 37), torch.randn(2, 37, channels).transpose(1, 2)):
        with torch.no_grad():
            exact = F.conv1d(x.double(), conv.weight.double(), conv.bias.double(), stride, padding)
            torch.testing.assert_close(conv(x).double(), exact, atol=1e-5, rtol=1e-5)
    assert len(calls) == 2
