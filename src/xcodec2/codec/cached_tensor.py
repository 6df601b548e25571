"""Filters and windows: computed once for each device and type, for inference and training alike."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

MAX_ENTRIES = 16  # of one function; the oldest is dropped


def cached_tensor(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cache what `compute` returns for its (hashable) arguments.

    A tensor first made inside `torch.inference_mode` could never take part in training; this one
    can. What stands for a tensor while a graph is traced is not kept.

    Args:
        compute: a function of sizes, device and dtype alone.

    Returns:
        The same function, which computes each tensor once.
    """
    cache: dict[tuple[object, ...], Tensor] = {}

    @functools.wraps(compute)
    def cached(*args: object) -> Tensor:
        tensor = cache.get(args)
        if tensor is None:
            with torch.inference_mode(False), torch.no_grad():
                tensor = compute(*args)
            if type(tensor) is Tensor:
                if len(cache) >= MAX_ENTRIES:
                    cache.pop(next(iter(cache)), None)
                cache[args] = tensor
        return tensor

    return cached
