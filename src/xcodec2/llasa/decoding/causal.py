"""Any causal LM of transformers as a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xcodec2.extras import cache_name
from xcodec2.llasa.decoding.base import Choices


class TransformersDecoder:
    """Any causal LM of transformers, one sequence after another."""

    def __init__(self, model: Any) -> None:
        self.model, self.cache_name = model, cache_name(model)
        self.vocabulary = int(model.get_input_embeddings().num_embeddings)
        self.context = int(model.config.max_position_embeddings)

    def new_state(self) -> list[Any]:
        """Holds the cache, once there is one."""
        return [None]

    def advance(self, states: Sequence[list[Any]], unread: Sequence[np.ndarray]) -> np.ndarray:
        """See `Decoder`: (B, V) scores of all that there is."""
        import torch

        from xcodec2.codec.defaults import float32_parameters

        rows = []
        with torch.inference_mode(), float32_parameters("cpu"):
            for state, ids in zip(states, unread, strict=True):
                output = self.model(
                    input_ids=torch.from_numpy(ids)[None].to(self.model.device),
                    use_cache=True,
                    logits_to_keep=1,
                    **{self.cache_name: state[0]},
                )
                state[0] = output[self.cache_name]
                rows.append(output.logits[0, -1].float().cpu().numpy())
        return np.stack(rows)

    def scores(self, known: np.ndarray, choices: Choices) -> np.ndarray:
        """See `Decoder`."""
        scores: np.ndarray = known[:, choices.ids]
        return scores

    def likeliest(self, known: np.ndarray, choices: Choices) -> np.ndarray:
        """See `Decoder`."""
        return self.scores(known, choices).argmax(-1)
