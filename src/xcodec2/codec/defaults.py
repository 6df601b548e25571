"""Weights of one type in one place, whatever the process's default dtype and device are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def float32_parameters(device: str | torch.device | None = None) -> Iterator[None]:
    """Modules built inside get float32 weights on `device`, and so does every tensor that a library
    makes inside without naming its type.

    Args:
        device: by default that of a `with torch.device(…)` around the call, else the CPU:
            `torch.set_default_device` has no say, nor has `torch.set_default_dtype`.
    """
    default = torch.get_default_dtype()
    target = torch.device(device or device_of_block())
    # A block costs something at each call of torch.
    with contextlib.nullcontext() if current_device() == target else target:
        if default != torch.float32:  # process-wide, so not touched without need
            torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            if default != torch.float32:
                torch.set_default_dtype(default)


def device_of_block() -> torch.device:
    """What a surrounding `with torch.device(…)` says, else the CPU."""
    current = current_device()
    context = getattr(
        getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None
    )  # what torch.set_default_device leaves; torch has no public way to tell the two apart
    process_wide = context is not None and context.device.type == current.type
    return torch.device("cpu") if process_wide else current


def current_device() -> torch.device:
    """Where a tensor is made that names no device. `torch.get_default_device` of PyTorch 2.6 knows
    nothing of blocks, and fails once `torch.set_default_device(None)` was called.
    """
    return torch.empty(0).device
