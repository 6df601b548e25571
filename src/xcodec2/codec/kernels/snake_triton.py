"""The anti-aliased activation in two Triton kernels, for inference on a GPU: up ×2 and activate,
then down ×2.

PyTorch's own operations give the same to rounding, with a dozen passes over arrays twice the size.
Everything is computed in float32, whatever the type. B batch, C channels, N samples. The CPU's
counterpart is snake.c.
"""

from __future__ import annotations

import functools
from types import ModuleType

import torch
from torch import Tensor

BLOCK = 512  # outputs of one program
TYPES = (torch.float32, torch.bfloat16, torch.float16)


def can_run(x: Tensor) -> bool:
    """Whether `snake` takes `x`: on a GPU, no gradients wanted, and Triton is there, as with
    PyTorch for CUDA.
    """
    return x.is_cuda and x.dtype in TYPES and not torch.is_grad_enabled() and kernels() is not None


@functools.cache
def kernels() -> ModuleType | None:
    """The module of kernels, or None where Triton is not installed."""
    try:
        from xcodec2.codec.kernels import snake_triton_kernels
    except ImportError:
        return None
    return snake_triton_kernels


def snake(x: Tensor, alpha: Tensor, beta: Tensor, taps: Tensor, lengths: Tensor | None) -> Tensor:
    """(B, C, N) → (B, C, N) whose channels lie side by side in memory; zeros behind each of
    `lengths` (B,).

    `alpha` and `beta` (C,) are what is multiplied and divided by, `taps` (12,) the filter.
    """
    module = kernels()
    assert module is not None
    rows = x.transpose(1, 2).contiguous()  # (B, N, C)
    batch, size, channels = rows.shape
    doubled = torch.empty(
        2, *rows.shape, dtype=torch.float32, device=x.device
    )  # even and odd values of twice the rate
    out = torch.empty_like(rows)
    alpha, beta, taps = (tensor.float().contiguous() for tensor in (alpha, beta, taps))
    lengths = (
        torch.full((batch,), size, dtype=torch.int64, device=x.device)
        if lengths is None
        else lengths.long().contiguous()
    )
    grid = (-(-size * channels // BLOCK), batch)
    sizes = channels, size * channels, rows.numel()
    with torch.cuda.device_of(x):  # Triton launches on the current GPU, wherever the tensors are
        module.rise[grid](rows, doubled, alpha, beta, taps, lengths, *sizes, block=BLOCK)
        module.fall[grid](doubled, out, taps, lengths, *sizes, block=BLOCK)
    return out.transpose(1, 2)
