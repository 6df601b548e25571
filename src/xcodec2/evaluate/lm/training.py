"""The language model: a small Llama over bytes, trained on some recordings, measured on others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.lm.streams import BYTE, Streams
from xcodec2.extras import require

WARMUP = 0.05  # of the tokens, in which the learning rate rises


@dataclass(frozen=True)
class LmRecipe:
    """Every number of a run, the same for each codec.

    Attributes:
        tokens: Bytes that are learned from, all passes together.
        seed: Of weights and order.
        width: Of the Llama's hidden layer.
        layers: Of the Llama.
        heads: Of the Llama.
        context: Bytes that it sees, at most.
        batch: Windows in a step.
        learning_rate: At its highest; falls as a cosine to a tenth.
    """

    tokens: int
    seed: int = 0
    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 256
    batch: int = 8
    learning_rate: float = 3e-3


def train_and_measure(streams: Streams, recipe: LmRecipe) -> float:
    """Train one model and measure it on held-out recordings, in one thread.

    Args:
        streams: Codes of one system.
        recipe: Of the run.

    Returns:
        Bits that it needs for a second of held-out speech.

    Raises:
        XCodec2Error: The loss is not finite.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = small_llama(streams.slots, recipe)
        learn(model, streams, recipe)
        return held_out_bits(model, streams, recipe) / streams.rest_seconds
    finally:
        torch.set_num_threads(threads)


def small_llama(slots: int, recipe: LmRecipe) -> Any:
    """A Llama with random weights: a start, and 256 bytes for each slot of a frame."""
    transformers = require("transformers", extra="llasa", purpose="a language model in the loop")
    config = transformers.LlamaConfig(
        vocab_size=slots * BYTE + 1,
        hidden_size=recipe.width,
        intermediate_size=recipe.width * 8 // 3,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context + slots,
        tie_word_embeddings=False,
    )
    with float32_parameters("cpu"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return transformers.LlamaForCausalLM(config)


def window_of(slots: int, recipe: LmRecipe) -> int:
    """Bytes of a window: whole frames, as many as the context holds, at least one."""
    return max(1, recipe.context // slots) * slots


def learn(model: Any, streams: Streams, recipe: LmRecipe) -> None:
    """Train on windows of whole frames from random places, until the tokens are used up.

    Args:
        model: Is changed.
        streams: Codes of one system.
        recipe: Of the run.

    Raises:
        XCodec2Error: The loss is not finite.
    """
    window = window_of(streams.slots, recipe)
    learned = 0
    rng = np.random.default_rng(recipe.seed)
    shares = np.array([len(stream) for stream in streams.training], np.float64)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, betas=(0.9, 0.95))
    model.train()
    while learned < recipe.tokens:
        picks = rng.choice(len(shares), recipe.batch, p=shares / shares.sum())
        batch = []
        for stream in (streams.training[pick] for pick in picks):
            frames = max(0, len(stream) - window) // streams.slots
            start = int(rng.integers(0, frames + 1)) * streams.slots
            batch.append(stream[start : start + window])
        loss = losses(model, batch, streams.slots).mean()
        if not torch.isfinite(loss):
            raise XCodec2Error(f"the language model's loss after {learned} tokens is not finite")
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(learned / recipe.tokens)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        learned += sum(map(len, batch))


def learning_rate_share(done: float) -> float:
    """Share of the learning rate: up in a line, down as a cosine to a tenth."""
    if done < WARMUP:
        return (done + 0.1 * WARMUP) / WARMUP
    return 0.55 + 0.45 * math.cos(math.pi * (done - WARMUP) / (1 - WARMUP))


def held_out_bits(model: Any, streams: Streams, recipe: LmRecipe) -> float:
    """Bits of all held-out recordings, window by window, each from its start."""
    window = window_of(streams.slots, recipe)
    pieces = [
        stream[start : start + window]
        for stream in streams.rest
        for start in range(0, len(stream), window)
    ]
    pieces.sort(key=len)
    model.eval()
    with torch.inference_mode():
        nats = sum(
            float(losses(model, pieces[k : k + recipe.batch], streams.slots).double().sum())
            for k in range(0, len(pieces), recipe.batch)
        )
    return nats / math.log(2)


def losses(model: Any, batch: list[np.ndarray], slots: int) -> torch.Tensor:
    """Nats of every byte of a batch: (their number,).

    Which slot of its frame a byte is in is known, so only the 256 values of this slot compete.
    """
    longest = max(map(len, batch))
    wanted = torch.zeros(len(batch), longest, dtype=torch.int64, device="cpu")
    there = torch.zeros(len(batch), longest, dtype=torch.bool, device="cpu")
    for row, stream in enumerate(batch):
        wanted[row, : len(stream)] = torch.from_numpy(stream.astype(np.int64))
        there[row, : len(stream)] = True
    slot = torch.arange(longest, device="cpu") % slots
    start = torch.full((len(batch), 1), slots * BYTE, dtype=torch.int64, device="cpu")
    inputs = torch.cat([start, (wanted + slot * BYTE)[:, :-1]], 1)
    logits = model(input_ids=inputs, use_cache=False).logits[..., : slots * BYTE]
    own = logits.unflatten(-1, (slots, BYTE))[:, torch.arange(longest, device="cpu"), slot]
    nats: torch.Tensor = F.cross_entropy(own.transpose(1, 2), wanted, reduction="none")[there]
    return nats
