"""Filters and windows: computed once for each device and type, and good for inference and training
alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

MOST = 16  # of one function, the oldest is forgotten


def constant(compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cache what `compute` gives for its (hashable) arguments.

    A tensor first made inside `torch.inference_mode` could never take part in training; this one
    can. What stands for a tensor while a graph is traced is not kept.
    """
    made: dict[tuple[object, ...], Tensor] = {}

    @functools.wraps(compute)
    def make(*args: object) -> Tensor:
        tensor = made.get(args)
        if tensor is None:
            with torch.inference_mode(False), torch.no_grad():
                tensor = compute(*args)
            if type(tensor) is Tensor:
                if len(made) >= MOST:
                    made.pop(next(iter(made)), None)
                made[args] = tensor
        return tensor

    return make
