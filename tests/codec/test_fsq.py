"""Finite scalar quantization: the code book, the rounding, the gradients."""

from __future__ import annotations

import torch
from tiny import XCODEC2
from torch import nn

from xcodec2.codec.quantizer import Quantizer, bound, bound_twice, codes_to_digits, digits_to_codes

LEVELS = (4,) * 8


def identity_quantizer() -> Quantizer:
    """A quantizer whose projections do nothing, so that its inside can be reached."""
    quantizer = Quantizer(XCODEC2)
    quantizer.project_in = quantizer.project_out = nn.Linear(8, 8)
    with torch.no_grad():
        quantizer.project_in.weight.copy_(torch.eye(8))
        quantizer.project_in.bias.zero_()
    return quantizer


def unbound(value: torch.Tensor) -> torch.Tensor:
    """The inverse of `bound` for four levels."""
    half = torch.tensor(3 * 1.001 / 2, dtype=value.dtype)
    return ((value + 0.5) / half).atanh() - (0.5 / half).atanh()


def test_all_65536_codes_round_trip_through_digits():
    codes = torch.arange(65_536)
    digits = codes_to_digits(codes, LEVELS)
    assert digits.min() == 0
    assert digits.max() == 3
    assert torch.equal(digits_to_codes(digits, LEVELS), codes)


def test_all_65536_codes_round_trip_through_the_quantizer():
    """From a code to its vector, and from an input that the double bound takes there back to the
    code.
    """
    quantizer = identity_quantizer()
    codes = torch.arange(65_536)[None]
    vectors = quantizer.vectors(codes)
    assert set(vectors.unique().tolist()) == {-1.0, -0.5, 0.0, 0.5}
    # the double bound reaches no further than about ±1.4 around its center, so aim inside each
    # level's interval
    reach = bound_twice(torch.tensor([[-50.0] * 8, [50.0] * 8], dtype=torch.float64), LEVELS)
    aims = (vectors.double() * 2).clamp(reach[0, 0] + 1e-3, reach[1, 0] - 1e-3)
    latents = unbound(unbound(aims)).float()
    found = quantizer(latents)
    quantized, back = found.vectors, found.codes
    assert torch.equal(back, codes)
    assert torch.equal(quantized, vectors)


def test_code_is_the_sum_of_digits_in_mixed_radix():
    levels = (3, 5, 2)
    assert digits_to_codes(torch.tensor([2, 3, 0]), levels) == 2 + 3 * 3
    assert codes_to_digits(torch.tensor(1 + 4 * 3 + 1 * 15), levels).tolist() == [1, 4, 1]


def test_bound_keeps_every_level_reachable_and_zero_where_it_was():
    for levels in ((4,), (5,), (2,)):
        limits = bound(torch.tensor([[-30.0], [30.0]]), levels).round().flatten() + levels[0] // 2
        assert limits.tolist() == [0, levels[0] - 1]
        assert bound(torch.zeros(1), levels).abs() < 1e-6


def test_gradients_pass_straight_through():
    quantizer = identity_quantizer()
    latent = torch.zeros(1, 3, 8, requires_grad=True)
    quantizer(latent).vectors.sum().backward()
    bounded = torch.zeros(8, requires_grad=True)
    (bound_twice(bounded, LEVELS) / 2).sum().backward()
    torch.testing.assert_close(latent.grad[0, 0], bounded.grad)


def test_half_precision_models_quantize_in_float32():
    quantizer = Quantizer(XCODEC2)
    latent = torch.randn(1, 500, XCODEC2.latent_width).half().float()
    halved = Quantizer(XCODEC2)
    halved.load_state_dict(quantizer.state_dict())
    halved.half()
    exact = Quantizer(XCODEC2)
    exact.load_state_dict({k: v.float() for k, v in halved.state_dict().items()})
    assert torch.equal(halved(latent.half()).codes, exact(latent).codes)
