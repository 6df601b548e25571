"""8-bit products on a CPU for inference, where the decoder spends most time: its MLPs, and queries,
keys and values.

Weights are scaled by output channel, and what they meet frame by frame, from its smallest to its
largest number:

    x ≈ low + step · q,  W ≈ scale · w        q 0 to 255, w -127 to 127
    x Wᵀ ≈ scale · (step · (q wᵀ) + low · Σw)

No frame sees another's scale, so batches and windows stay what they are. Products are oneDNN's,
which are exact where the processor has instructions for them (VNNI); elsewhere float32 stands in
for integers, slower than without.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.decoder import MLP, AcousticDecoder, Attention
from xcodec2.codec.kernels.cpu_features import multiplies_int8
from xcodec2.codec.network import CodecNetwork, replace_part

MAX_WEIGHT = 127
MAX_VALUE = 255
MIN_STEP = 1e-12  # of a frame whose numbers are all alike


class Int8Linear(nn.Module):
    """(…, I) → (…, O) float32 by a weight (O, I), without a bias."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        weight = weight.detach().float()
        self.scale = (weight.abs().amax(1) / MAX_WEIGHT).clamp(min=MIN_STEP)
        quantized = (weight / self.scale[:, None]).round().to(torch.int8)
        self.sums = quantized.sum(1).float()
        self.ones, self.zeros = torch.ones_like(self.scale), torch.zeros_like(self.scale).long()
        self.weight = packed(quantized)

    def forward(self, x: Tensor) -> Tensor:
        """(…, I) → (…, O) float32."""
        rows = x.flatten(0, -2).float()
        # aminmax is 40 times as slow
        low, high = rows.amin(-1, keepdim=True), rows.amax(-1, keepdim=True)
        step = ((high - low) / MAX_VALUE).clamp(min=MIN_STEP)
        quantized = ((rows - low) * step.reciprocal()).round_().to(torch.uint8)
        y = self.product(quantized).mul_(step).addcmul_(low, self.sums).mul_(self.scale)
        return y.unflatten(0, x.shape[:-1])

    def product(self, values: Tensor) -> Tensor:
        """(N, I) uint8 → (N, O) float32, exact sums."""
        if not self.weight.is_mkldnn:
            return values.float() @ self.weight.T.float()
        scales, zeros = self.ones, self.zeros
        return torch.ops.onednn.qlinear_pointwise.default(
            values, 1.0, 0, self.weight, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )

    def __getstate__(self) -> dict[str, Any]:
        # An array, not a tensor: torch hands tensors to other processes by file descriptors, and
        # that of one which is gone after this call is closed before the process begins.
        return self.__dict__ | {"weight": unpacked(self.weight).numpy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(
            state | {"weight": packed(torch.as_tensor(state["weight"], device="cpu"))}
        )


class Int8MLP(nn.Module):
    """`MLP` with 8-bit products."""

    def __init__(self, mlp: MLP) -> None:
        super().__init__()
        self.fc1, self.fc2 = Int8Linear(mlp.fc1.weight), Int8Linear(mlp.fc2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D) float32."""
        return self.fc2(F.silu(self.fc1(x), inplace=True))


class Int8Attention(Attention):
    """`Attention` whose queries, keys and values are one 8-bit product."""

    def __init__(self, attention: Attention) -> None:
        nn.Module.__init__(self)
        self.heads, self.window, self.o_proj = attention.heads, attention.window, attention.o_proj
        weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        self.qkv_proj = Int8Linear(torch.cat(weights))

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, T, D) → queries, keys and values, each (B, T, H·head width)."""
        return self.qkv_proj(x).to(self.o_proj.weight.dtype).chunk(3, dim=-1)


# Part of the decoder → what stands in its place, and which of its weights that holds in 8 bits.
QUANTIZED: dict[type[nn.Module], tuple[type[nn.Module], tuple[str, ...]]] = {
    MLP: (Int8MLP, ("fc1.weight", "fc2.weight")),
    Attention: (Int8Attention, ("q_proj.weight", "k_proj.weight", "v_proj.weight")),
}


def quantized_keys(network: CodecNetwork) -> set[str]:
    """Names in the state dict of the weights that `quantize` puts into 8 bits."""
    return {
        f"{name}.{weight}"
        for name, part in network.named_modules()
        if type(part) in QUANTIZED
        for weight in QUANTIZED[type(part)][1]
    }


def quantize(decoder: AcousticDecoder) -> None:
    """Put 8-bit products in the place of the layers' own."""
    for name, part in list(decoder.named_modules()):
        if type(part) in QUANTIZED:
            replace_part(decoder, name, QUANTIZED[type(part)][0](part))


def is_quantized(decoder: AcousticDecoder) -> bool:
    """Whether `quantize` has been at work."""
    return any(isinstance(module, Int8Linear) for module in decoder.modules())


def packed(weight: Tensor) -> Tensor:
    """int8 (O, I) as oneDNN wants it, where it multiplies 8-bit integers; else as it is."""
    return torch.ops.onednn.qlinear_prepack(weight, None) if multiplies_int8() else weight


def unpacked(weight: Tensor) -> Tensor:
    """The reverse: int8 (O, I), which can be copied and pickled, for a processor of any kind."""
    return weight.to_dense().T.contiguous() if weight.is_mkldnn else weight
