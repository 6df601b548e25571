"""Codes from an LM in this process, sampled token by token.

Only codes and <|SPEECH_GENERATION_END|> can come: all other logits are masked. Every sequence of a
batch draws from a generator of its own seed, so that a batch gives what its items give alone, up to
the rounding of the logits.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.llasa.backends.base import Generated, Sampling
from xcodec2.llasa.lm import LanguageModel
from xcodec2.llasa.prompts import Prompts

if TYPE_CHECKING:
    import torch


class InProcess:
    """A back end over transformers."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm, self.name, self.prompts, self.metadata = lm, lm.name, lm.prompts, lm.metadata
        self.context = lm.context

    def generate(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> list[Generated]:
        """One continuation for each prompt (L,), in one batch."""
        columns = list(self.steps(prompts, seeds, sampling))
        rows = np.array(columns).reshape(-1, len(prompts)).T
        return [self.finish(row[row >= 0]) for row in rows]

    def stream(
        self, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> Generator[int, None, bool]:
        """Codes one by one; the generator's value says whether the speech ended by itself.

        Args:
            prompt: (P,) int64 ids.
            seed: Of the drawing.
            sampling: How tokens are drawn.

        Yields:
            Codes.

        Returns:
            Whether the end of speech was drawn.
        """
        vocabulary = self.prompts.vocabulary
        for (token,) in self.steps([prompt], [seed], sampling):
            if token == vocabulary.speech_end:
                return True
            yield int(vocabulary.to_codes([token])[0])
        return False

    def finish(self, tokens: np.ndarray) -> Generated:
        """Tokens that were drawn → codes, and whether the speech ended."""
        finished = len(tokens) > 0 and int(tokens[-1]) == self.prompts.vocabulary.speech_end
        return Generated(
            self.prompts.vocabulary.to_codes(tokens[:-1] if finished else tokens), finished
        )

    def steps(
        self, prompts: Sequence[np.ndarray], seeds: Sequence[int], sampling: Sampling
    ) -> Iterator[np.ndarray]:
        """The next token of each sequence (B,), step by step; -1 for those that have ended."""
        import torch

        from xcodec2.codec.defaults import float32_parameters

        end = self.prompts.vocabulary.speech_end
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        budget = sampling.budget(self.context, max(map(len, prompts)))
        model, device = self.lm.model, self.lm.model.device
        ids, mask = left_padded(prompts, padding=end)
        ids, mask = ids.to(device), mask.to(device)
        processors = self.processors(sampling)
        ended = np.zeros(len(prompts), bool)
        cache, fresh, positions = None, ids, (mask.cumsum(-1) - 1).clamp(min=0)
        for step in range(budget):
            with torch.inference_mode(), float32_parameters("cpu"):
                output = model(
                    input_ids=fresh,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                scores = output.logits[:, -1].float()
                if step == 0:
                    scores[:, end] = -torch.inf  # speech has at least one code
                scores = processors(ids, scores)
            cache = output.past_key_values
            tokens = drawn(scores, sampling.temperature, generators)
            yield np.where(ended, -1, tokens)
            ended |= tokens == end
            if ended.all():
                return
            fresh = torch.from_numpy(tokens)[:, None].to(device)
            ids = torch.cat([ids, fresh], dim=1)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def processors(self, sampling: Sampling) -> Any:
        """transformers' own, with the mask among them."""
        from transformers.generation.logits_process import (
            LogitsProcessorList,
            RepetitionPenaltyLogitsProcessor,
            TemperatureLogitsWarper,
            TopKLogitsWarper,
            TopPLogitsWarper,
        )

        processors = LogitsProcessorList()
        if sampling.repetition_penalty != 1:
            processors.append(RepetitionPenaltyLogitsProcessor(float(sampling.repetition_penalty)))
        processors.append(SpeechOnly(self.prompts))
        if sampling.temperature not in (0, 1):
            processors.append(TemperatureLogitsWarper(float(sampling.temperature)))
        if sampling.top_k:
            processors.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1:
            processors.append(TopPLogitsWarper(sampling.top_p))
        return processors


class SpeechOnly:
    """A logits processor: whatever is neither a code nor the end of speech becomes impossible."""

    def __init__(self, prompts: Prompts) -> None:
        self.allowed = np.append(prompts.vocabulary.code_ids, prompts.vocabulary.speech_end)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) with minus infinity for all that is neither a code nor the end."""
        import torch

        allowed = torch.from_numpy(self.allowed).to(scores.device)
        masked = torch.full_like(scores, -torch.inf)
        masked[:, allowed] = scores[:, allowed]
        return masked


def left_padded(prompts: Sequence[np.ndarray], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts (L_i,) → ids and mask (B, L), all ending together."""
    import torch

    longest = max(map(len, prompts))
    ids = np.full((len(prompts), longest), padding, np.int64)
    mask = np.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def drawn(
    scores: torch.Tensor, temperature: float, generators: Sequence[torch.Generator]
) -> np.ndarray:
    """(B, V) → (B,) int64: the likeliest at temperature 0, else one drawn by each row's own
    generator.
    """
    import torch

    if temperature == 0:
        return scores.argmax(-1).cpu().numpy()
    chances = scores.softmax(-1).cpu()
    drawn = [
        torch.multinomial(row, 1, generator=own)
        for row, own in zip(chances, generators, strict=True)
    ]
    return torch.cat(drawn).numpy()
