"""Any causal LM of transformers as a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.llasa.decoding.base import Choices

if TYPE_CHECKING:
    import torch


class TransformersDecoder:
    """Any causal LM of transformers, one sequence after another."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocabulary = int(model.get_input_embeddings().num_embeddings)
        self.context = int(model.config.max_position_embeddings)

    def new_state(self) -> list[Any]:
        """Holds the cache, once there is one."""
        return [None]

    def scores(
        self, states: Sequence[list[Any]], fresh: Sequence[np.ndarray], choices: Choices
    ) -> torch.Tensor:
        """See `Decoder`."""
        import torch

        from xcodec2.codec.defaults import float32_parameters

        rows = []
        device = self.model.device
        wanted = torch.from_numpy(choices.ids).to(device)
        with torch.inference_mode(), float32_parameters("cpu"):
            for state, ids in zip(states, fresh, strict=True):
                output = self.model(
                    input_ids=torch.from_numpy(ids)[None].to(device),
                    past_key_values=state[0],
                    use_cache=True,
                    logits_to_keep=1,
                )
                state[0] = output.past_key_values
                rows.append(output.logits[0, -1, wanted].float().cpu())
            return torch.stack(rows)
