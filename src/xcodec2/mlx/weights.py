"""Weights of a model as MLX arrays, and the layers that need nothing else.

Everything is channels-last: (1, T, D).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mlx.core as mx
import numpy as np
from torch import Tensor

from xcodec2.codec.config import XCodec2Config
from xcodec2.mlx.step import Place

GROUPS = 32
GROUP_SIZE = 64  # numbers that share a scale in quantized weights; widths are multiples of it
EPS = 1e-6


class MlxWeights:
    """Part of a model's weights, by the names of its modules.

    Args:
        tensors: PyTorch's, by name.
        dtype: In which they are held and computed with.
        bits: Of the linear layers inside the transformer; 0 leaves them in `dtype`.
    """

    def __init__(self, tensors: Mapping[str, Tensor], dtype: mx.Dtype, bits: int = 0) -> None:
        self.dtype, self.bits = dtype, bits
        self.arrays: dict[str, mx.array] = {}
        self.packed: dict[str, tuple[mx.array, mx.array, mx.array]] = {}
        for name, tensor in tensors.items():
            array = array_of(tensor, dtype)
            if bits and is_packed(name, array):
                self.packed[name] = mx.quantize(array, group_size=GROUP_SIZE, bits=bits)
                continue
            # (out, in, kernel) in PyTorch
            self.arrays[name] = array.swapaxes(1, 2) if array.ndim == 3 else array
        mx.eval(self.arrays, self.packed)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        packed = [part for parts in self.packed.values() for part in parts]
        return sum(array.nbytes for array in [*self.arrays.values(), *packed])

    def linear(self, x: mx.array, name: str) -> mx.array:
        """(…, D) → (…, out)."""
        bias = self.arrays.get(f"{name}.bias")
        if f"{name}.weight" in self.packed:
            weight, scales, biases = self.packed[f"{name}.weight"]
            y = mx.quantized_matmul(
                x, weight, scales, biases, group_size=GROUP_SIZE, bits=self.bits
            )
            return y if bias is None else y + bias
        weight = self.arrays[f"{name}.weight"]
        if weight.ndim == 3:  # a convolution of kernel 1
            weight = weight[:, 0]
        return x @ weight.T if bias is None else mx.addmm(bias, x, weight.T)

    def convolution(
        self,
        x: mx.array,
        name: str,
        sides: tuple[int, int],
        place: Place = None,
        *,
        groups: int = 1,
        stride: int = 1,
        dilation: int = 1,
    ) -> mx.array:
        """(1, T, D) → (1, T/stride, out), with so many zeros before and behind."""
        if place is None:
            x = mx.pad(x, [(0, 0), sides, (0, 0)])
        else:
            x = place.extended(place.zeroed(x), sum(sides))
            place.delay += sides[1]
        y = mx.conv1d(
            x, self.arrays[f"{name}.weight"], stride=stride, dilation=dilation, groups=groups
        )
        bias = self.arrays.get(f"{name}.bias")
        return y if bias is None else y + bias

    def transposed_convolution(self, x: mx.array, name: str, stride: int, padding: int) -> mx.array:
        """(1, T, D) → (1, T', out), with `padding` cut from either end."""
        weight = self.arrays[f"{name}.weight"].swapaxes(0, 2)  # (in, kernel, out) here
        y = mx.conv_transpose1d(x, weight, stride=stride, padding=padding)
        return y + self.arrays[f"{name}.bias"]

    def layer_norm(self, x: mx.array, name: str, eps: float = EPS) -> mx.array:
        """(…, D) → (…, D)."""
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        return mx.fast.layer_norm(x, weight, bias, eps)

    def rms_norm(self, x: mx.array, name: str) -> mx.array:
        """(…, D) → (…, D)."""
        return mx.fast.rms_norm(x, self.arrays[f"{name}.weight"], EPS)

    def group_norm(self, x: mx.array, name: str) -> mx.array:
        """(1, T, D) → (1, T, D), statistics over time in float32: half precision cannot hold the
        sums.
        """
        grouped = x.astype(mx.float32).reshape(x.shape[1], GROUPS, -1)
        grouped = grouped - grouped.mean(axis=(0, 2), keepdims=True)
        variance = grouped.square().mean(axis=(0, 2), keepdims=True)
        normal = (grouped * mx.rsqrt(variance + EPS)).reshape(x.shape).astype(x.dtype)
        return normal * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]


def array_of(tensor: Tensor, dtype: mx.Dtype = mx.float32) -> mx.array:
    """A tensor on the CPU as an MLX array of its own memory."""
    return mx.array(np.ascontiguousarray(tensor.detach().float().numpy())).astype(dtype)


def is_packed(name: str, array: mx.array) -> bool:
    """Whether a weight is one of the products that nearly all of the decoder's weights are in."""
    inside = ".self_attn." in name or ".mlp." in name
    return inside and array.ndim == 2 and array.shape[-1] % GROUP_SIZE == 0


def sides_of(kernels: Sequence[int], config: XCodec2Config) -> list[tuple[int, int]]:
    """Frames of zeros before and behind what each of a branch's convolutions reads."""
    return [
        (kernel - 1 - ahead, ahead)
        for kernel, ahead in zip(kernels, config.aheads(kernels), strict=True)
    ]
