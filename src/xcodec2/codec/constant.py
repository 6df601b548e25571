"""Filters and windows: computed once for each device and type, and good for inference and training alike."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor


def constant(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cache what `compute` gives for its (hashable) arguments.

    A tensor first made inside `torch.inference_mode` could never take part in training; this one can.
    """

    @functools.wraps(compute)
    def make(*args: object) -> Tensor:
        with torch.inference_mode(False), torch.no_grad():
            return compute(*args)

    return functools.lru_cache(maxsize=16)(make)
