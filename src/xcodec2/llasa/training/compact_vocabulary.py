"""Learning a small fixed set without paying for 65536 codes that it does not hold.

In full training every token that never occurs gets the same gradient: pushed away from whatever is
said. If all of them begin as one row, they stay one row. So one row stands for them here, its logit
raised by the logarithm of their number: the same loss, over a hundredth of the rows. The finished
model has all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from xcodec2.codec.defaults import float32_parameters
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.data import speech_examples
from xcodec2.llasa.training.packing import IGNORED, Pack
from xcodec2.llasa.training.rows import Refused, Rows


@dataclass(frozen=True)
class CompactVocabulary:
    """ids: (S,) int64, sorted, the tokens that occur. size: of the whole vocabulary."""

    ids: np.ndarray
    size: int

    @classmethod
    def of(cls, rows: list[Rows], prompts: Prompts, length: int) -> CompactVocabulary:
        """The tokens that occur in rows.

        Args:
            rows: Every split that is trained or tested on.
            prompts: Whose tokenizer the ids are of.
            length: The context in tokens; longer rows are left out, as in training.
        """
        found = {prompts.vocabulary.speech_end, int(prompts.tokenizer.eos_token_id or 0)}
        for split in rows:
            for item in speech_examples(split, prompts, length, iter(range(len(split))), Refused()):
                found.update(item.ids.tolist())
        return cls(np.array(sorted(found), np.int64), len(prompts.tokenizer))

    @property
    def rows(self) -> int:
        """Of the small table: one for all tokens that do not occur."""
        return len(self.ids) + 1

    def build(self, config: LlamaConfig) -> Any:
        """Random weights for a configuration with `rows` as its vocabulary."""
        model = LlamaForCausalLM(config)
        self.add_unseen_logit(model)
        return model

    def remap(self, pack: Pack) -> Pack:
        """The pack in ids 0 … S - 1."""
        labels = np.where(pack.labels == IGNORED, IGNORED, np.searchsorted(self.ids, pack.labels))
        return Pack(
            np.searchsorted(self.ids, pack.ids), pack.positions, labels, pack.tokens, pack.examples
        )

    def add_unseen_logit(self, model: Any) -> None:
        """Let the last row of a model with S + 1 count for all tokens that do not occur."""
        others = torch.zeros(len(self.ids) + 1, dtype=torch.float32, device="cpu")
        others[-1] = math.log(max(1, self.size - len(self.ids)))
        model.lm_head.register_forward_hook(lambda head, inputs, logits: logits + others.to(logits))

    def expand(self, model: Any) -> Any:
        """A model with S + 1 rows → the same with all rows."""
        weights = model.state_dict()
        config = type(model.config).from_dict(model.config.to_dict() | {"vocab_size": self.size})
        with float32_parameters("cpu"):
            full = type(model)(config).to(model.dtype)
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            rows = weights[name][-1].repeat(self.size, 1)
            rows[torch.from_numpy(self.ids)] = weights[name][:-1]
            weights[name] = rows
        full.load_state_dict(weights)
        return full
