"""Packs of rows as the Trainer takes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch.utils.data import IterableDataset

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track
from xcodec2.llasa.training.data import (
    Change,
    WrongText,
    codes_only,
    misread,
    mixed_in,
    shuffled_indices,
    speech_examples,
    text_examples,
    without_codes,
)
from xcodec2.llasa.training.model import SmallTable
from xcodec2.llasa.training.packing import Example, Pack, pack
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import JoinedRows, Refused, Rows

View: TypeAlias = Literal["all", "codes", "wrong_text"]
VIEWS: tuple[View, ...] = get_args(View)


class Packs(IterableDataset):
    """Packs as the Trainer takes them.

    For training without end, each epoch in another order; for validation once.

    Args:
        rows: Of one split.
        prompts: Of the tokenizer.
        recipe: Of the run.
        table: The rows that are learned.
        track: What may be among codes.
        training: Without end.
        view: all, or labels on codes alone ("codes"), or these with another row's text
            ("wrong_text"): a model that ignores its text has equal losses on both.
    """

    def __init__(
        self,
        rows: list[Rows],
        prompts: Prompts,
        recipe: LlasaRecipe,
        table: SmallTable | None,
        track: Track | None = None,
        *,
        training: bool = False,
        view: View = "all",
    ) -> None:
        self.rows, self.prompts, self.recipe, self.track = JoinedRows(rows), prompts, recipe, track
        self.table, self.training, self.view = table, training, view
        self.refused = Refused()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        examples = self.epochs() if self.training else self.once(self.recipe.seed)
        if self.training and self.recipe.text_share:
            files = [Path(name) for name in self.recipe.text]
            examples = mixed_in(
                examples,
                text_examples(files, self.prompts, self.recipe.length),
                self.recipe.text_share,
            )
        if self.training and self.recipe.code_noise:
            noise = np.random.default_rng(self.recipe.seed)
            share, vocabulary = self.recipe.code_noise, self.prompts.vocabulary
            examples = (misread(item, vocabulary, share, noise) for item in examples)
        packs = self.packed(examples)
        if self.training and self.recipe.copy_steps:
            packs = chain(islice(self.packed(self.epochs(self.copied)), self.copy_packs), packs)
        for number, item in enumerate(packs):
            if not self.training and number >= self.recipe.validate_packs:
                return
            yield tensors(self.table.remap(item) if self.table else item)

    @property
    def copy_packs(self) -> int:
        """Packs of the first steps, which learn to copy; of all processes together."""
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        return self.recipe.copy_steps * self.recipe.batch * self.recipe.accumulate * processes

    def packed(self, examples: Iterator[Example]) -> Iterator[Pack]:
        """The examples in packs of the recipe's length."""
        end = self.prompts.tokenizer.eos_token_id
        padding = end if end is not None else self.prompts.vocabulary.speech_end
        return pack(examples, self.recipe.length, padding)

    def copied(self, row: np.ndarray) -> np.ndarray | None:
        """A row to speak without its codes."""
        return without_codes(row, self.prompts) if self.prompts.task_of(row) == "tts" else None

    def epochs(self, change: Change = lambda row: row) -> Iterator[Example]:
        """Examples without end, in another order each epoch.

        Args:
            change: Of each row.

        Raises:
            LlasaError: An epoch has none.
        """
        epoch = 0
        while True:
            seed = self.recipe.seed + epoch
            self.refused, before = Refused(), self.refused
            count = 0
            for item in self.once(seed, change):
                count += 1
                yield item
            if not count:
                raise LlasaError(f"no row can be trained on: {self.refused}")
            if self.refused.total and not before.total:
                print(f"rows not trained on: {self.refused}", flush=True)
            epoch += 1

    def once(self, seed: int, change: Change = lambda row: row) -> Iterator[Example]:
        """The examples of all rows, once, in the order of a seed.

        Args:
            seed: Of the order, in which the sets of rows are mixed; validation, which reads the
                first packs alone, has something of each.
            change: Of each row.
        """
        if self.view == "wrong_text":
            change = WrongText(self.prompts, self.track)
        order = shuffled_indices(len(self.rows), seed)
        for item in speech_examples(
            self.rows, self.prompts, self.recipe.length, order, self.refused, self.track, change
        ):
            yield item if self.view == "all" else codes_only(item, self.prompts)


def tensors(item: Pack) -> dict[str, torch.Tensor]:
    """No attention mask: its absence lets transformers read the examples' borders off the
    positions.
    """
    parts = {"input_ids": item.ids, "position_ids": item.positions, "labels": item.labels}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in parts.items()}
