"""Rows of 65536 codes composed of few parts, learned with a factorized loss.

A code is a number; its digits in some radices are its parts, and its row is the sum of its parts'
rows: two bytes have 2 × 256 rows, the eight digits of FSQ 8 × 4. The logit of a code is then the
sum of its parts' logits, and the sum over all codes of their exponentials is the product of the
parts' own sums:

    log Σ_codes exp(logit) = Σ_parts logsumexp(logits of the part)

so that the loss over all tokens costs some hundred logits, not 65536, and is the very loss of the
full table. Every row learns from every code that shares a part with it. What is lost: given the
state, the parts of the next code are drawn independently of each other.

The finished model is an ordinary Llama with the full table, written out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import LlasaError
from xcodec2.llasa.training.packing import IGNORED, Pack
from xcodec2.llasa.training.recipe import CodeRows
from xcodec2.llasa.vocabulary import SpeechVocabulary

DIGIT = 4  # levels of each dimension of XCodec2's quantizer
MAX_RESIDUAL = 0.02  # of the rows' deviation, what float16 rounds off and more
TABLES = ("model.embed_tokens.weight", "lm_head.weight")


def radices(kind: CodeRows, codebook_size: int) -> tuple[int, ...]:
    """Sizes of the parts of a code, lowest first; their product is the codebook.

    Args:
        kind: Two parts of half the bits each, or digits of four levels.
        codebook_size: How many codes there are.

    Raises:
        LlasaError: The codebook has no such parts.
    """
    bits = codebook_size.bit_length() - 1
    if codebook_size == 1 << bits and bits:
        if kind == "bytes":
            return tuple(1 << part for part in (bits - bits // 2, bits // 2) if part)
        if not bits % 2:
            return (DIGIT,) * (bits // 2)
    raise LlasaError(
        f"a codebook of {codebook_size} has no {kind} to compose its rows of: set code_rows=free"
    )


@dataclass(frozen=True)
class ComposedRows:
    """Which rows a small table has: those of all other tokens, then those of the codes' parts.

    Attributes:
        vocabulary: Of the full table.
        size: Rows of the full table.
        radices: Of the parts of a code, lowest first.
    """

    vocabulary: SpeechVocabulary
    size: int
    radices: tuple[int, ...]

    @property
    def others(self) -> torch.Tensor:
        """(O,) int64: ids of the tokens that are no codes, sorted."""
        is_code = torch.zeros(self.size, dtype=torch.bool, device="cpu")
        is_code[torch.from_numpy(self.vocabulary.code_ids)] = True
        return (~is_code).nonzero().flatten()

    @property
    def rows(self) -> int:
        """Of the small table."""
        return self.size - self.vocabulary.codebook_size + sum(self.radices)

    def parts(self) -> torch.Tensor:
        """(V, K) int64: rows of the small table that each id's row is the sum of; K parts of a
        code, and for others their row and -1.
        """
        codes = torch.arange(self.vocabulary.codebook_size, device="cpu")
        count = self.size - len(codes)
        found = torch.full((self.size, len(self.radices)), -1, dtype=torch.int64, device="cpu")
        found[self.others, 0] = torch.arange(count, device="cpu")
        stride, first = 1, count
        ids = torch.from_numpy(self.vocabulary.code_ids)
        for place, radix in enumerate(self.radices):
            found[ids, place] = first + codes // stride % radix
            stride, first = stride * radix, first + radix
        return found

    def written_out(self, table: torch.Tensor) -> torch.Tensor:
        """A small table (R, D) → the full one (V, D)."""
        summed = torch.zeros(self.size, table.shape[1], dtype=torch.float32, device="cpu")
        for column in self.parts().unbind(1):
            there = column >= 0
            summed[there] += table[column[there]].float()
        return summed.to(table.dtype)

    def composed(self, table: torch.Tensor) -> torch.Tensor:
        """A full table (V, D) whose codes' rows are sums of parts → the small one (R, D).

        Raises:
            LlasaError: They are not.
        """
        codes = table[torch.from_numpy(self.vocabulary.code_ids)].float()
        grid = codes.reshape(*reversed(self.radices), -1)  # the lowest part runs fastest
        places = range(len(self.radices))
        grand = codes.mean(0)
        parts = []
        for place in places:
            axis = len(self.radices) - 1 - place
            others = [one for one in places if one != axis]
            mean = grid.mean(others) if others else grid
            parts.append(mean - grand * (len(self.radices) - 1) / len(self.radices))
        small = torch.cat([table[self.others].float(), *parts])
        residual = (self.written_out(small) - table.float()).square().mean().sqrt()
        if residual > MAX_RESIDUAL * codes.std():
            raise LlasaError("the base's rows are not composed of parts: set code_rows=free for it")
        return small.to(table.dtype)

    def remap(self, pack: Pack) -> Pack:
        """The pack as it is: the small table is asked by ids of the full one."""
        return pack

    def build(self, config: LlamaConfig) -> ComposedLlama:
        """Random weights for a configuration with `rows` as its vocabulary; the sum of a code's
        parts is as large as another token's row.
        """
        model = ComposedLlama(config)
        model.use_parts(self)
        weights = [model.model.embed_tokens.weight]
        if not config.tie_word_embeddings:
            weights.append(model.lm_head.weight)
        with torch.no_grad():
            for weight in weights:
                weight[-sum(self.radices) :] /= math.sqrt(len(self.radices))
        return model

    def of_full(self, model: Any) -> ComposedLlama:
        """A model with the full table → the same with the small one.

        Raises:
            LlasaError: Its codes' rows are no sums of parts.
        """
        return self._with_tables(model, ComposedLlama, self.rows, self.composed).use_parts(self)

    def expand(self, model: Any) -> Any:
        """A model with the small table → an ordinary one with the full table, with equal logits."""
        return self._with_tables(model, LlamaForCausalLM, self.size, self.written_out)

    def _with_tables(self, model: Any, kind: Any, size: int, change: Any) -> Any:
        """The model as another class, its tables changed."""
        facts = model.config.to_dict() | {"vocab_size": size}
        with float32_parameters("cpu"):
            made = kind(LlamaConfig.from_dict(facts)).to(model.dtype)
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        for name in TABLES:
            weights[name] = change(weights[name])
        made.load_state_dict(weights)
        return made


class ComposedLlama(LlamaForCausalLM):
    """A Llama whose table is small, and whose ids are those of the full one."""

    parts: torch.Tensor
    lm_head: Any

    def use_parts(self, composed: ComposedRows) -> ComposedLlama:
        """Say which rows an id is the sum of; the same object."""
        self.register_buffer("parts", composed.parts(), persistent=False)
        self.sizes = (self.config.vocab_size - sum(composed.radices), *composed.radices)
        return self

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, L) → (B, L, D)."""
        rows = self.parts[ids]
        table = self.get_input_embeddings()
        return (table(rows.clamp(min=0)) * (rows >= 0)[..., None]).sum(-2)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """The loss of (B, L) ids, as LlamaForCausalLM computes it of the full table; no logits."""
        assert input_ids is not None and labels is not None  # noqa: PT018
        hidden = self.model(
            inputs_embeds=self.embed(input_ids), position_ids=position_ids, use_cache=False
        ).last_hidden_state
        wanted = F.pad(labels, (0, 1), value=IGNORED)[:, 1:]  # each state says the next token
        there = wanted != IGNORED
        losses = self.losses(hidden[there], wanted[there])
        if num_items_in_batch is None:
            return CausalLMOutputWithPast(loss=losses.mean())
        return CausalLMOutputWithPast(loss=losses.sum() / num_items_in_batch)

    def losses(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """(N, D), (N,) → (N,): what each target costs in nats."""
        logits = self.lm_head(states).float()
        rows = self.parts[targets]
        chosen = (logits.gather(1, rows.clamp(min=0)) * (rows >= 0)).sum(1)
        others, *parts = logits.split(self.sizes, dim=1)
        codes = torch.stack([part.logsumexp(1) for part in parts]).sum(0)
        return torch.logaddexp(others.logsumexp(1), codes) - chosen
