"""Convolutions as a processor likes them: the results of PyTorch's own, from weights that are laid
out anew.
"""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from xcodec2.codec.kernels.convolution import Conv1d

SETTINGS = [
    (6, {"kernel_size": 7, "padding": 27, "dilation": 9}),
    (6, {"kernel_size": 7, "stride": 5, "padding": 3}),
    (6, {"kernel_size": 7, "groups": 2}),
    (6, {"kernel_size": 8, "stride": 4, "padding": 2}),
    (128, {"kernel_size": 8, "stride": 4, "padding": 2}),  # wide enough for matrix products
    (110, {"kernel_size": 10, "stride": 5, "padding": 3}),
    (256, {"kernel_size": 4, "stride": 2}),
    (128, {"kernel_size": 8, "stride": 4, "padding": 2, "groups": 2}),
    (128, {"kernel_size": 8, "stride": 4, "padding": 2, "dilation": 3}),
]


@pytest.mark.parametrize(("channels", "settings"), SETTINGS)
@pytest.mark.parametrize("size", [200, 203])
def test_convolves_as_pytorch_does(channels, settings, size):
    module, x = Conv1d(channels, 10, **settings), torch.randn(2, channels, size)
    with_gradients = module(x)  # as nn.Conv1d
    with torch.no_grad():
        torch.testing.assert_close(module(x), with_gradients.detach())


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_loaded_weights_lie_side_by_side(again):
    module, other = (
        again(Conv1d(128, 10, 8, stride=4, padding=2)),
        Conv1d(128, 10, 8, stride=4, padding=2),
    )
    module.load_state_dict(other.state_dict(), assign=True)
    assert torch.equal(module.weight, other.weight)
    assert module.weight.transpose(1, 2).is_contiguous()
    assert isinstance(module.weight, torch.nn.Parameter)
    x = torch.randn(1, 128, 40)
    with torch.no_grad():
        assert torch.equal(module(x), other(x))
    module(x).sum().backward()
    other(x).sum().backward()
    torch.testing.assert_close(module.weight.grad, other.weight.grad)


def test_loading_under_weight_norm():
    module = torch.nn.utils.parametrizations.weight_norm(Conv1d(128, 10, 8, stride=4, padding=2))
    other = torch.nn.utils.parametrizations.weight_norm(Conv1d(128, 10, 8, stride=4, padding=2))
    module.load_state_dict(other.state_dict())
    with torch.no_grad():
        x = torch.randn(1, 128, 40)
        assert torch.equal(module(x), other(x))
