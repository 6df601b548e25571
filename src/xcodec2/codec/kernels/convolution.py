"""A convolution that runs channels-last, fastest on CPUs, and on GPUs in half precision.

B batch, C channels, N samples. Elsewhere, and with gradients, it is PyTorch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.kernels.linear import in_type_of, linear
from xcodec2.codec.masking import zero_tail
from xcodec2.codec.step import Lengths, Step

MIN_WIDE = 1024  # channels times stride from where matrix products win over oneDNN's convolutions


class FrameConv1d(nn.Conv1d):
    """nn.Conv1d that is told how far it looks ahead in place of a padding; as many frames come out
    as go in.

    With `as_steps`, a CPU computes a whole by the products that steps of streams take: oneDNN's
    give each frame the same bits, however many frames there are.
    """

    as_steps = False

    def __init__(self, *args: Any, ahead: int | None = None, **settings: Any) -> None:
        if ahead is None:
            super().__init__(*args, **settings)
            self.pads = (0, 0)
            return
        back = args[2] - 1 - ahead
        even = back == ahead  # then it is the ordinary padding
        super().__init__(*args, **(settings | {"padding": ahead if even else 0}))
        self.pads = (0, 0) if even else (back, ahead)

    @property
    def sides(self) -> tuple[int, int]:
        """Frames of zeros before and behind the input."""
        return self.pads[0] + int(self.padding[0]), self.pads[1] + int(self.padding[0])

    def padded(self, x: Tensor) -> Tensor:
        """(B, C, T) with the zeros before and behind it that the convolution reads."""
        return F.pad(x, self.pads) if any(self.pads) else x

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C, T)."""
        return super().forward(self.padded(x))

    def over(self, x: Tensor, lengths: Lengths) -> Tensor:
        """(B, C, T) → (B, C, T) with zeros behind each item's end, or one step of a stream."""
        x = in_type_of(self.weight, zero_tail(x, lengths)).transpose(1, 2)
        if isinstance(lengths, Step):
            x = lengths.extended(x, sum(self.sides), 1)
            lengths.delay += self.sides[1]
        elif self.as_steps and self.groups == 1 and not torch.is_grad_enabled() and not x.is_cuda:
            x = F.pad(x, (0, 0, *self.sides))
        else:
            return self(x.transpose(1, 2))
        return self.inside(x).transpose(1, 2)

    def inside(self, x: Tensor) -> Tensor:
        """(B, T + kernel - 1, C) → (B, T, C): the convolution of what is there already."""
        if torch.is_grad_enabled():
            y = F.conv1d(x.transpose(1, 2), self.weight, self.bias, groups=self.groups)
            return y.transpose(1, 2)
        inputs = x.unfold(1, self.kernel_size[0], 1)  # (B, T, C, kernel)
        if self.groups == 1:
            weight = self.weight.transpose(1, 2).flatten(1)
            return linear(inputs.transpose(2, 3).flatten(2), weight, self.bias, owner=self)
        y = (inputs * self.weight[:, 0]).sum(-1)
        return y if self.bias is None else y + self.bias


class Conv1d(FrameConv1d):
    """nn.Conv1d whose weights lie channels-last in memory, fresh or loaded.

    In `state_dict()` they are contiguous, as safetensors wants them. Resumed training rounds as
    before.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        to_channels_last(self)
        self.register_load_state_dict_post_hook(to_channels_last)
        plain = self.dilation == (1,) and self.groups == 1
        self.is_wide = plain and self.stride[0] * self.in_channels >= MIN_WIDE

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, N) → (B, C, N), in the weights' type."""
        x = in_type_of(self.weight, x)
        if torch.is_grad_enabled() or not prefers_channels_last(x):
            return super().forward(x)
        x = self.padded(x)
        if x.is_cuda and self.kernel_size == (1,):  # elsewhere it depends on the shape
            return F.linear(x.transpose(1, 2), self.weight[:, :, 0], self.bias).transpose(1, 2)
        if not x.is_cuda and self.is_wide:
            return self.as_product(x.transpose(1, 2)).transpose(1, 2)
        x, weight = (  # (…, 1, N): only images have that layout
            tensor[:, :, None].contiguous(memory_format=torch.channels_last)
            for tensor in (x, self.weight)
        )
        stride, padding, dilation = self.stride, self.padding, self.dilation
        return F.conv2d(
            x, weight, self.bias, (1, *stride), (0, *padding), (1, *dilation), self.groups
        )[:, :, 0]

    def state_dict(self, *args: Any, **settings: Any) -> Any:
        """nn.Module's, with contiguous copies of weights that are not; `keep_vars` keeps them."""
        state = super().state_dict(*args, **settings)
        if not settings.get("keep_vars"):
            prefix = settings.get("prefix", "")
            for key in [key for key in state if key.startswith(prefix)]:
                state[key] = state[key].contiguous()
        return state

    def as_product(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N/stride, C): what each output sees laid in a row."""
        padding = int(self.padding[0])
        inputs = F.pad(x, (0, 0, padding, padding)).unfold(
            1, self.kernel_size[0], self.stride[0]
        )  # (B, T, C, kernel)
        return linear(
            inputs.transpose(2, 3).flatten(2), self.weight.transpose(1, 2).flatten(1), self.bias
        )


def prefers_channels_last(x: Tensor) -> bool:
    """Whether channels-last is the faster layout for (B, C, N) on its device in its type."""
    return x.device.type == "cpu" or (x.is_cuda and x.dtype in (torch.bfloat16, torch.float16))


def to_channels_last(module: nn.Conv1d, _: object = None) -> None:
    """Change where the weights lie and not what they are: otherwise each call would have to."""
    weight = module.weight  # under weight norm a passing one, to no effect
    if weight.device.type == "cpu":
        weight.data = weight.data.transpose(1, 2).contiguous().transpose(1, 2)
