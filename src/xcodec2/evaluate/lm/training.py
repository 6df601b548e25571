"""The language model: a small Llama over bytes, trained on some recordings, measured on others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.lm.steps import Layout, Steps
from xcodec2.evaluate.lm.streams import BYTE, UNKNOWN, Streams
from xcodec2.extras import cache_name, require

WARMUP = 0.05  # of the tokens, in which the learning rate rises
TOLD = 0.5  # share of the windows whose phones the model is told, where there are labels


@dataclass(frozen=True)
class LmRecipe:
    """Every number of a run, the same for each codec.

    Attributes:
        tokens: Bytes that are learned from, all passes together.
        seed: Of weights and order.
        delayed: Whether the bytes of a frame are read together; see `steps`.
        width: Of the Llama's hidden layer.
        layers: Of the Llama.
        heads: Of the Llama.
        context: Steps that it sees, at most.
        batch: Windows in a step of training. With one, most is learned of few tokens: at 50,000 of
            nano's, held-out speech takes 554 bit/s by 1, 596 by 2 and 632 by 4.
        learning_rate: At its highest; falls as a cosine to a tenth.
    """

    tokens: int
    seed: int = 0
    delayed: bool = False
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 256
    batch: int = 1
    learning_rate: float = 3e-3


class SmallLlama(torch.nn.Module):
    """A Llama with random weights, which is also told the phone of each step.

    Args:
        layout: How bytes become steps.
        phones: How many kinds there are.
        recipe: Of the run.
    """

    def __init__(self, layout: Layout, phones: int, recipe: LmRecipe) -> None:
        super().__init__()
        transformers = require(
            "transformers", extra="llasa", purpose="a language model in the loop"
        )
        config = transformers.LlamaConfig(
            vocab_size=layout.vocabulary + 1,
            hidden_size=recipe.width,
            intermediate_size=recipe.width * 8 // 3,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=recipe.context + layout.unit + 1,
            tie_word_embeddings=False,
        )
        self.layout, self.recipe = layout, recipe
        with float32_parameters("cpu"), torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.llama = transformers.LlamaForCausalLM(config)
            self.phones = torch.nn.Embedding(phones + 1, recipe.width, padding_idx=UNKNOWN)
            torch.nn.init.normal_(self.phones.weight, std=config.initializer_range)
        with torch.no_grad():
            self.phones.weight[UNKNOWN] = 0

    @property
    def window(self) -> int:
        """Steps that it sees."""
        return self.layout.window(self.recipe.context)

    def forward(self, ids: torch.Tensor, phones: torch.Tensor, cache: Any = None) -> torch.Tensor:
        """What comes after each step.

        Args:
            ids: (B, L, width) the steps before, `Layout.vocabulary` outside of the recording.
            phones: (B, L) of the steps that come.
            cache: Of transformers; grows.

        Returns:
            (B, L, slots, 256) logits.
        """
        embedded = self.llama.get_input_embeddings()(ids).sum(2) + self.phones(phones)
        given = {cache_name(self.llama): cache}
        found = self.llama(inputs_embeds=embedded, use_cache=cache is not None, **given)
        logits: torch.Tensor = found.logits[..., : self.layout.vocabulary]
        return logits.unflatten(-1, (self.layout.form.slots, BYTE))


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in another order would be other numbers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def trained(streams: Streams, recipe: LmRecipe) -> SmallLlama:
    """Train one model.

    Args:
        streams: Codes of one system.
        recipe: Of the run.

    Returns:
        The model, ready to be measured.

    Raises:
        XCodec2Error: The loss is not finite.
    """
    model = SmallLlama(Layout(streams.form, recipe.delayed), streams.phones, recipe)
    learn(model, streams, recipe)
    return model.eval()


def learn(model: SmallLlama, streams: Streams, recipe: LmRecipe) -> None:
    """Train on windows from random places, at frames, until the tokens are used up.

    Starts of recordings are drawn as often as a quarter of a window before them would be, because
    a model that speaks begins there. Half of the windows are without phones.

    Args:
        model: Is changed.
        streams: Codes of one system.
        recipe: Of the run.

    Raises:
        XCodec2Error: The loss is not finite.
    """
    window, unit = model.window, model.layout.unit
    recordings = [model.layout.steps(stream) for stream in streams.training]
    learned = 0
    rng = np.random.default_rng(recipe.seed)
    shares = np.array([len(steps) for steps in recordings], np.float64)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, betas=(0.9, 0.95))
    model.train()
    while learned < recipe.tokens:
        picks = rng.choice(len(shares), recipe.batch, p=shares / shares.sum())
        batch = []
        for steps in (recordings[pick] for pick in picks):
            last = max(0, len(steps) - window) // unit
            start = max(0, int(rng.integers(-(window // unit // 4), last + 1))) * unit
            crop = steps.crop(start, window)
            batch.append(crop if rng.random() < TOLD else crop.without_phones())
        nats = losses(model, batch)
        loss = nats.mean()
        if not torch.isfinite(loss):
            raise XCodec2Error(f"the language model's loss after {learned} tokens is not finite")
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(learned / recipe.tokens)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        learned += len(nats)


def learning_rate_share(done: float) -> float:
    """Share of the learning rate: up in a line, down as a cosine to a tenth."""
    if done < WARMUP:
        return (done + 0.1 * WARMUP) / WARMUP
    return 0.55 + 0.45 * math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))


def held_out_bits(model: SmallLlama, streams: Streams, told: bool) -> float:
    """Bits that a second of held-out speech needs, window by window, each from its start.

    Args:
        model: A trained one.
        streams: Codes of one system.
        told: Whether the model knows the phones.

    Returns:
        Bits a second.
    """
    window = model.window
    pieces = [
        steps.crop(start, window)
        for steps in map(model.layout.steps, streams.rest)
        for start in range(0, len(steps), window)
    ]
    pieces = pieces if told else [piece.without_phones() for piece in pieces]
    pieces.sort(key=len)
    size = model.recipe.batch
    with torch.inference_mode():
        nats = sum(
            float(losses(model, pieces[k : k + size]).double().sum())
            for k in range(0, len(pieces), size)
        )
    return nats / math.log(2) / streams.rest_seconds


def losses(model: SmallLlama, batch: Sequence[Steps]) -> torch.Tensor:
    """Nats of every byte of a batch: (their number,).

    Which slot of its frame a byte is in is known, so only the 256 values of this slot compete.
    """
    outside, longest = model.layout.vocabulary, max(map(len, batch))
    ids = np.full((len(batch), longest + 1, model.layout.width), outside)
    phones = np.full((len(batch), longest), UNKNOWN)
    for number, steps in enumerate(batch):
        ids[number, 1 : len(steps) + 1] = steps.ids
        ids[number, 0] = outside if steps.before is None else steps.before
        phones[number, : len(steps)] = steps.phones
    whole = torch.from_numpy(ids)
    logits = model(whole[:, :-1], torch.from_numpy(phones))
    row, step, place = torch.nonzero(whole[:, 1:] != outside, as_tuple=True)
    wanted = whole[row, step + 1, place]
    return F.cross_entropy(logits[row, step, wanted // BYTE], wanted % BYTE, reduction="none")
