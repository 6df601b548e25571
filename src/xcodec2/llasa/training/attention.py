"""Attention on CPUs over packed examples, each by itself.

A mask over the whole pack forbids what lies between examples and computes it nevertheless; on a
CPU, the backward pass of PyTorch's attention under a mask is the slowest part of a step. Examples
one by one need no mask and give the same states.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

BY_EXAMPLE = "xcodec2_by_example"  # transformers makes no mask for a name that it does not know


def attend_by_example(
    module: Any,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    position_ids: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example, as transformers asks for it.

    Args:
        module: The layer, whose query heads may share keys.
        queries: (B, H, L, D).
        keys: (B, K, L, D), of the same tokens: there is no cache.
        values: (B, K, L, D).
        attention_mask: None; where examples begin is read off the positions.
        position_ids: (B, L) or (1, L), 0 where an example begins.
        scaling: Of the products.
        dropout: Of the weights.

    Returns:
        (B, L, H, D), and no weights.
    """
    groups = queries.shape[1] // keys.shape[1]
    if groups > 1:
        keys, values = (part.repeat_interleave(groups, 1) for part in (keys, values))
    packs = []
    for row, starts in enumerate((position_ids == 0).expand(len(queries), -1)):
        bounds = [*starts.nonzero().flatten().tolist(), queries.shape[2]]
        lengths = [after - before for before, after in pairwise(bounds)]
        parts = (part[row : row + 1].split(lengths, 2) for part in (queries, keys, values))
        attended = [
            F.scaled_dot_product_attention(q, k, v, None, dropout, is_causal=True, scale=scaling)
            for q, k, v in zip(*parts, strict=True)
        ]
        packs.append(torch.cat(attended, 2))
    return torch.cat(packs).transpose(1, 2), None


AttentionInterface.register(BY_EXAMPLE, attend_by_example)
