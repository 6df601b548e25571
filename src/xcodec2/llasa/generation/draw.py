"""How a token is drawn from scores: the steps of transformers, in its order, without sorting a
whole vocabulary.
"""

from __future__ import annotations

import numpy as np

from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.decoding.library import load_llama
from xcodec2.llasa.sampling import Sampling

GENERATOR_BYTES = 625 * 4  # what the library keeps of a generator


class Drawer:
    """Draws as `torch.multinomial` does with a generator of the same seed.

    Args:
        seed: Anything that torch takes.
        vocabulary: Ids are below it. Each draw uses a random number for every one of them, so that
            it does not depend on which can come.
    """

    def __init__(self, seed: int, vocabulary: int) -> None:
        self.vocabulary, self.library = vocabulary, load_llama()
        if self.library is None:
            import torch

            self.generator = torch.Generator().manual_seed(seed)
        else:
            self.state = np.empty(GENERATOR_BYTES, np.uint8)
            self.library.xcodec2_random_seed(self.state.ctypes.data, seed & 0xFFFFFFFF)

    def draw(self, scores: np.ndarray, choices: Choices, temperature: float) -> int:
        """The place among the choices, whose scores (A,) are float32, of one of them."""
        if self.library is None:
            import torch

            waits = torch.empty(self.vocabulary, dtype=torch.float32, device="cpu")
            waits.exponential_(generator=self.generator)
            chances = (torch.from_numpy(scores) / temperature).softmax(-1)
            return int((chances / waits[torch.from_numpy(choices.ids)]).argmax())
        chances_of = np.empty(len(scores), np.float32)
        self.library.xcodec2_chances(
            scores.ctypes.data, chances_of.ctypes.data, len(scores), temperature
        )
        return int(
            self.library.xcodec2_random_draw(
                self.state.ctypes.data,
                chances_of.ctypes.data,
                choices.ids.ctypes.data,
                len(scores),
                self.vocabulary,
            )
        )


def draw(
    scores: np.ndarray,
    choices: Choices,
    sampling: Sampling,
    drawer: Drawer,
    seen: np.ndarray,
) -> int:
    """The place among the choices of the next token.

    Args:
        scores: (A,) float32 of each choice, which are changed; minus infinity for what must not
            come.
        choices: What the scores are of.
        sampling: How tokens are drawn.
        drawer: Of this sequence alone.
        seen: Places among the choices of what was read or drawn before, each once.
    """
    if sampling.repetition_penalty != 1 and len(seen):
        before, penalty = scores[seen], np.float32(sampling.repetition_penalty)
        scores[seen] = np.where(before < 0, before * penalty, before / penalty)
    if sampling.temperature == 0:
        return int(scores.argmax())
    if 0 < sampling.top_k < len(scores):
        lowest = np.partition(scores, -sampling.top_k)[-sampling.top_k]
        scores[scores < lowest] = -np.inf
    if sampling.top_p < 1:
        scores[scores < nucleus_threshold(scores, sampling)] = -np.inf
    return drawer.draw(scores, choices, sampling.temperature)


def nucleus_threshold(values: np.ndarray, sampling: Sampling) -> float:
    """The lowest score that is kept: those above it have less than `top_p` together."""
    import torch  # whose order of additions decides what lies on the edge

    scores = torch.from_numpy(values)
    chances = (scores / sampling.temperature).softmax(-1)
    count = min(64, len(scores))
    while True:  # the nucleus is mostly small
        top = chances.topk(count)
        above = top.values.cumsum(-1) - top.values
        if count == len(scores) or above[-1] >= sampling.top_p:
            kept = int((above < sampling.top_p).sum())
            return float(scores[top.indices[max(kept, 1) - 1]])
        count = min(count * 8, len(scores))
