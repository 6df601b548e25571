"""Matrix products of linear layers, on a CPU by oneDNN instead of MKL.

PyTorch sends float32 products to MKL, which reaches 55 to 80 % of an AMD processor's peak where
oneDNN reaches 80 to 95 %. Elsewhere, and with gradients, they are PyTorch's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.kernels.cpu_features import multiplies_bfloat16

# rows up to which oneDNN spends more time on laying weights out for itself than on the product
FEW_ROWS = 128
# of each module, with where and which version its weight was
PACKED: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], Tensor]] = WeakKeyDictionary()


class Linear(nn.Linear):
    """A linear layer whose input takes the type of its weights, and so does what it gives.

    With `as_steps`, few rows at a time are expected again and again (see `linear`).
    """

    as_steps = False

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) → (…, O)."""
        return linear(x, self.weight, self.bias, owner=self if self.as_steps else None)


class SiLULinear(Linear):
    """A linear layer and SiLU behind it."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) → (…, O)."""
        owner = self if self.as_steps else None
        return linear(x, self.weight, self.bias, silu=True, owner=owner)


def linear(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    silu: bool = False,
    owner: nn.Module | None = None,
) -> Tensor:
    """(…, I) → (…, O) by a weight (O, I) and a bias (O,), in the weight's type.

    Args:
        x: What is multiplied.
        weight: A module's, as it is or seen otherwise.
        bias: Added.
        silu: Whether SiLU follows.
        owner: The module; with it, products of few rows keep the weight as oneDNN lays it out for
            itself, twice as fast. The bits are the same.
    """
    x = in_type_of(weight, x)
    product = onednn_product() if suits_onednn(x, weight) else None
    if product:
        if owner is not None and x.dtype == torch.float32 and x.shape[:-1].numel() <= FEW_ROWS:
            weight = packed_for(weight, owner)
        return product(x, weight, bias, "swish" if silu else "none", [], "")
    y = F.linear(x, weight, bias)
    return F.silu(y) if silu else y


def packed_for(weight: Tensor, owner: nn.Module) -> Tensor:
    """The weight in oneDNN's own layout, laid out again only when the module's has changed."""
    own: Any = owner.weight
    state = (own.data_ptr(), 0 if own.is_inference() else own._version)
    held = PACKED.get(owner)
    if held is None or held[0] != state:
        layout = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
        held = PACKED[owner] = state, layout
    return held[1]


def in_type_of(weight: Tensor, x: Tensor) -> Tensor:
    """`x` in the type of what it meets, unless autocast chooses one for both."""
    if x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type):
        return x
    return x.to(weight.dtype)


def suits_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's product takes these two, and no gradients are wanted."""
    return (
        x.device.type == "cpu"
        and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and multiplies_bfloat16()))
        and weight.is_contiguous()  # other layouts oneDNN takes too, a thousand times slower
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


@functools.cache
def onednn_product() -> Callable[..., Any] | None:
    """What torch.compile's own code calls.

    It is not documented, so it is tried out once; None where it fails.
    """
    try:
        product = torch.ops.mkldnn._linear_pointwise.default
        ones = torch.ones(2, 2, dtype=torch.float32, device="cpu")
        works = torch.equal(product(ones, ones, ones[0], "none", [], ""), 3 * ones)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return product if works else None
