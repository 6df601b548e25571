"""A convolution with channels side by side in memory, as CPUs like it best, and GPUs in half precision.

B batch, C channels, N samples. Elsewhere, and with gradients, it is PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDE = 512  # channels times stride from where matrix products win over oneDNN's strided convolutions


class Conv1d(nn.Conv1d):
    """nn.Conv1d whose loaded weights lie as the processor wants them."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register_load_state_dict_post_hook(lay_side_by_side)
        plain = self.dilation == (1,) and self.groups == 1
        two_strides = self.kernel_size[0] == 2 * self.stride[0]
        self.two_wide_strides = plain and two_strides and self.stride[0] * self.in_channels >= WIDE

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) → (B, C, N)."""
        if torch.is_grad_enabled() or not likes_channels_side_by_side(x):
            return super().forward(x)
        if x.is_cuda and self.kernel_size == (1,):  # elsewhere it depends on the shape
            return F.linear(x.transpose(1, 2), self.weight[:, :, 0], self.bias).transpose(1, 2)
        if not x.is_cuda and self.two_wide_strides:
            return self.by_strides(x.transpose(1, 2)).transpose(1, 2)
        x, weight = (  # (…, 1, N): only images have that layout
            tensor[:, :, None].contiguous(memory_format=torch.channels_last) for tensor in (x, self.weight)
        )
        stride, padding, dilation = self.stride, self.padding, self.dilation
        return F.conv2d(x, weight, self.bias, (1, *stride), (0, *padding), (1, *dilation), self.groups)[:, :, 0]

    def by_strides(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N/stride, C): a kernel of two strides is two matrix products over stretches of one."""
        stride, left = self.stride[0], int(self.padding[0])
        used = (x.shape[1] + 2 * left) // stride * stride
        stretches = F.pad(x, (0, 0, left, used - left - x.shape[1])).unflatten(1, (-1, stride)).flatten(2)
        first, second = self.weight.transpose(1, 2).unflatten(1, (2, -1)).flatten(2).unbind(1)
        return F.linear(stretches[:, :-1], first, self.bias) + F.linear(stretches[:, 1:], second)


def likes_channels_side_by_side(x: Tensor) -> bool:
    return x.device.type == "cpu" or (x.is_cuda and x.dtype in (torch.bfloat16, torch.float16))


def lay_side_by_side(module: nn.Conv1d, _: object) -> None:
    """Change where the weights lie and not what they are: otherwise each call would have to."""
    weight = module.weight  # under weight norm a passing one, to no effect
    if weight.device.type == "cpu":
        weight.data = weight.data.transpose(1, 2).contiguous().transpose(1, 2)
