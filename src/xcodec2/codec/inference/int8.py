"""8-bit products on a CPU for inference, where the decoder spends most time: its MLPs, and queries,
keys and values.

Weights are scaled by output channel, and what they meet frame by frame, from its least to its
largest number:

    x ≈ least + step · q,  W ≈ scale · w        q 0 to 255, w -127 to 127
    x Wᵀ ≈ scale · (step · (q wᵀ) + least · Σw)

No frame sees another's scale, so batches and windows stay what they are. Products are oneDNN's,
which are exact where the processor has instructions for them (VNNI); elsewhere float32 stands in
for integers, slower than without.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.decoder import MLP, AcousticDecoder, Attention
from xcodec2.codec.inference.precision import multiplies_int8

LARGEST_WEIGHT = 127
LARGEST_VALUE = 255
SMALLEST_STEP = 1e-12  # of a frame whose numbers are all alike


class Int8Linear(nn.Module):
    """(…, I) → (…, O) float32 by a weight (O, I), without a bias."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        weight = weight.detach().float()
        self.scale = (weight.abs().amax(1) / LARGEST_WEIGHT).clamp(min=SMALLEST_STEP)
        quantised = (weight / self.scale[:, None]).round().to(torch.int8)
        self.sums = quantised.sum(1).float()
        self.product = integer_product(quantised)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2).float()
        least, largest = (
            rows.amin(-1, keepdim=True),
            rows.amax(-1, keepdim=True),
        )  # aminmax is 40 times as slow
        step = ((largest - least) / LARGEST_VALUE).clamp(min=SMALLEST_STEP)
        quantised = ((rows - least) * step.reciprocal()).round_().to(torch.uint8)
        y = self.product(quantised).mul_(step).addcmul_(least, self.sums).mul_(self.scale)
        return y.unflatten(0, x.shape[:-1])


class Int8MLP(nn.Module):
    def __init__(self, mlp: MLP) -> None:
        super().__init__()
        self.fc1, self.fc2 = Int8Linear(mlp.fc1.weight), Int8Linear(mlp.fc2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.silu(self.fc1(x), inplace=True))


class Int8Attention(Attention):
    def __init__(self, attention: Attention) -> None:
        nn.Module.__init__(self)
        self.heads, self.window, self.o_proj = attention.heads, attention.window, attention.o_proj
        weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        self.qkv_proj = Int8Linear(torch.cat(weights))

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.qkv_proj(x).to(self.o_proj.weight.dtype).chunk(3, dim=-1)


def quantise(decoder: AcousticDecoder) -> None:
    """Put 8-bit products in the place of the layers' own."""
    for name, part in list(decoder.named_modules()):
        if isinstance(part, MLP):
            decoder.set_submodule(name, Int8MLP(part))
        elif isinstance(part, Attention):
            decoder.set_submodule(name, Int8Attention(part))


def is_quantised(decoder: AcousticDecoder) -> bool:
    return any(isinstance(module, Int8Linear) for module in decoder.modules())


def integer_product(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """For int8 (O, I): what gives float32 (N, O) for uint8 (N, I)."""
    if not multiplies_int8():
        return lambda values: values.float() @ weight.T.float()
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    ones, zeros = torch.ones(len(weight)), torch.zeros(len(weight), dtype=torch.int64)
    product = torch.ops.onednn.qlinear_pointwise.default
    return lambda values: product(
        values, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
