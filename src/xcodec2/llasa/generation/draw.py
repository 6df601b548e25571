"""How a token is drawn from scores: the steps of transformers, in its order, without sorting a
whole vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.sampling import Sampling

if TYPE_CHECKING:
    import torch


def draw(
    scores: torch.Tensor,
    choices: Choices,
    vocabulary: int,
    sampling: Sampling,
    generator: torch.Generator,
    seen: np.ndarray,
) -> int:
    """The place among the choices of the next token.

    Args:
        scores: (A,) float32 on the CPU, of each choice; minus infinity for what must not come.
        choices: What the scores are of.
        vocabulary: Ids are below it. A random number is drawn for each, so that what is drawn does
            not depend on which ids can come.
        sampling: How tokens are drawn.
        generator: Of this sequence alone.
        seen: Places among the choices of what was read or drawn before, each once.
    """
    import torch

    with torch.inference_mode():
        if sampling.repetition_penalty != 1 and len(seen):
            scores = penalized(scores, seen, sampling.repetition_penalty)
        if sampling.temperature == 0:
            return int(scores.argmax())
        if sampling.temperature != 1:
            scores = scores / sampling.temperature
        if 0 < sampling.top_k < len(scores):
            scores = cut_below(scores, scores.topk(sampling.top_k).values[-1])
        if sampling.top_p < 1:
            scores = cut_below(scores, nucleus_threshold(scores, sampling.top_p))
        # torch.multinomial draws so, with its checks left out and numbers for every id
        waits = torch.empty(vocabulary, dtype=torch.float32, device="cpu")
        waits.exponential_(generator=generator)
        own = waits[torch.from_numpy(choices.ids)]
        return int((scores.softmax(-1) / own).argmax())


def penalized(scores: torch.Tensor, seen: np.ndarray, penalty: float) -> torch.Tensor:
    """Scores (A,) with those of tokens that were there before made worse."""
    import torch

    where = torch.from_numpy(seen)
    before = scores[where]
    scores = scores.clone()
    scores[where] = torch.where(before < 0, before * penalty, before / penalty)
    return scores


def cut_below(scores: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Scores with minus infinity for all that are lower than the threshold."""
    import torch

    return scores.masked_fill(scores < threshold, -torch.inf)


def nucleus_threshold(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """The lowest score that is kept: those above it have less than `top_p` together."""
    chances = scores.softmax(-1)
    count = min(64, len(scores))
    while True:  # the nucleus is mostly small
        top = chances.topk(count)
        above = top.values.cumsum(-1) - top.values
        if count == len(scores) or above[-1] >= top_p:
            kept = int((above < top_p).sum())
            return scores[top.indices[max(kept, 1) - 1]]
        count = min(count * 8, len(scores))
