"""A Llama over the compiled forward pass (llama.c), for a few tokens at a time on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xcodec2.codec.kernels.openmp import openmp_parallel
from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.decoding.library import (
    KEYS,
    PANEL,
    ROW,
    Layer,
    Model,
    Weight,
    load_llama,
)
from xcodec2.llasa.decoding.numbers import Numbers
from xcodec2.llasa.decoding.scan import AFTER, PATIENCE, Scan
from xcodec2.llasa.decoding.shape import LlamaShape

PREFILL = 256  # tokens of a prompt that are read at once
ROOM = 128  # positions that a cache has beyond what it must
LARGE = 50_000_000  # weights from which a step is worth a second thread


class Cache:
    """Keys and values of one sequence; it grows.

    Attributes:
        length: Positions that were read.
    """

    def __init__(self, heads: int, head_dim: int) -> None:
        self.heads, self.head_dim = heads, head_dim
        self.length = self.capacity = 0
        self.values = np.empty((heads, 2, 0), np.float32)

    def reserve(self, positions: int) -> None:
        """Make room for as many positions in all."""
        if positions <= self.capacity:
            return
        capacity = -(-max(positions + ROOM, self.capacity * 3 // 2) // KEYS) * KEYS
        values = np.empty((self.heads, 2, capacity * self.head_dim), np.float32)
        values[..., : self.values.shape[-1]] = self.values  # both layouts begin with the same
        self.values, self.capacity = values, capacity


class LlamaDecoder:
    """Llama's forward pass on prepared weights.

    Args:
        shape: Of the model.
        weight: Gives a weight by its name; each is asked for once.
    """

    def __init__(self, shape: LlamaShape, weight: Callable[[str], Numbers]) -> None:
        self.shape, self.vocabulary, self.context = shape, shape.vocabulary, shape.context
        self.kept: list[Any] = []  # what the library has pointers to
        self.layers = (Layer * shape.layers)(
            *[self.layer(f"model.layers.{index}.", weight) for index in range(shape.layers)]
        )
        self.model = Model(
            self.layers,
            self.pointer(weight("model.norm.weight")),
            shape.layers,
            shape.hidden,
            shape.heads,
            shape.kv_heads,
            shape.head_dim,
            shape.intermediate,
            shape.epsilon,
        )
        self.embedding = weight("model.embed_tokens.weight").narrowest()
        self.head = self.embedding if shape.tied else weight("lm_head.weight").narrowest()
        self.heads: WeakKeyDictionary[Choices, Weight] = WeakKeyDictionary()
        self.angles = shape.angles(0)
        self.scans: WeakKeyDictionary[Choices, list[Any]] = WeakKeyDictionary()
        #: for each number of a hidden state
        self.layer_weights = shape.layers * (
            3 * shape.intermediate + 2 * (shape.heads + shape.kv_heads) * shape.head_dim
        )
        self.is_large = shape.hidden * self.layer_weights > LARGE

    def layer(self, start: str, weight: Callable[[str], Numbers]) -> Layer:
        """One layer's weights, laid out: queries, keys and values as one, gates beside what they
        open.
        """
        shape = self.shape

        def laid_out(names: Sequence[str], bias: bool, interleaved: bool = False) -> Any:
            weights = [weight(f"{start}{name}.weight") for name in names]
            biases = [weight(f"{start}{name}.bias") for name in names] if bias else []
            join = interleave if interleaved else joined_rows
            made = Weight(join(weights), join(biases) if bias else None)
            self.kept.append(made)
            return made.matrix

        attention = [f"self_attn.{name}_proj" for name in "qkv"]
        return Layer(
            laid_out(attention, shape.attention_bias),
            laid_out(["self_attn.o_proj"], shape.attention_bias),
            laid_out(["mlp.gate_proj", "mlp.up_proj"], shape.mlp_bias, interleaved=True),
            laid_out(["mlp.down_proj"], shape.mlp_bias),
            self.pointer(weight(f"{start}input_layernorm.weight")),
            self.pointer(weight(f"{start}post_attention_layernorm.weight")),
        )

    def pointer(self, numbers: Numbers) -> int:
        """Where they are as float32, which stays."""
        self.kept.append(numbers.float32())
        return int(self.kept[-1].ctypes.data)

    def new_state(self) -> Cache:
        """An empty cache."""
        return Cache(self.shape.layers * self.shape.kv_heads, self.shape.head_dim)

    def advance(self, states: Sequence[Cache], unread: Sequence[np.ndarray]) -> np.ndarray:
        """See `Decoder`: (B, hidden), what the head reads."""
        for state, ids in zip(states, unread, strict=True):
            state.reserve(state.length + len(ids))
            for first in range(0, len(ids) - 1, PREFILL):
                part = ids[first : min(first + PREFILL, len(ids) - 1)]
                self.read([state] * len(part), part)
        return self.read(states, np.array([ids[-1] for ids in unread]))

    def scores(self, known: np.ndarray, choices: Choices) -> np.ndarray:
        """See `Decoder`."""
        return self.head_for(choices).product(np.ascontiguousarray(known), self.threads)

    def likeliest(self, known: np.ndarray, choices: Choices) -> np.ndarray:
        """See `Decoder`."""
        known = np.ascontiguousarray(known)
        if (scan := self.scan_for(choices, len(known))) is None:
            return self.scores(known, choices).argmax(-1)
        places = scan.likeliest(known)
        if len(open_ := np.flatnonzero(places < 0)):
            places[open_] = self.scores(known[open_], choices).argmax(-1)
        return places

    def scan_for(self, choices: Choices, count: int) -> Scan | None:
        """What finds the likeliest without all products, where it pays: for a head that is larger
        than the layers, and not for a few tokens only.
        """
        known = self.scans.setdefault(choices, [0, None])
        known[0] += count
        if known[1] is None and known[0] > AFTER and len(choices.ids) > self.layer_weights:
            known[1] = Scan(self.head, choices.ids, self.head_for(choices))
        scan: Scan | None = known[1]
        return None if scan is None or scan.in_vain > PATIENCE else scan

    def read(self, states: Sequence[Cache], tokens: np.ndarray) -> np.ndarray:
        """One token (R,) for each state, which may be there repeatedly → (R, hidden)."""
        library = load_llama()
        assert library is not None
        rows = np.empty(len(tokens), ROW)
        for row, state in enumerate(states):
            rows[row] = (state.values.ctypes.data, state.capacity, state.length)
            state.length += 1
        if len(self.angles) < (highest := int(rows["position"].max()) + 1):
            self.angles = self.shape.angles(min(self.context, highest * 3 // 2 + ROOM))
        x = self.embedding[tokens].float32()
        failed = library.xcodec2_llama_forward(
            self.model,
            rows.ctypes.data,
            len(rows),
            x.ctypes.data,
            self.angles.ctypes.data,
            self.threads,
            openmp_parallel(),
        )
        if failed:
            raise MemoryError("no memory for a step of the language model")
        return x

    @property
    def threads(self) -> int:
        """A small model is done before a second thread has awoken."""
        if not self.is_large:
            return 1
        import torch  # whose threads are used

        return torch.get_num_threads()

    def head_for(self, choices: Choices) -> Weight:
        """The head's rows of those tokens that can come."""
        head = self.heads.get(choices)
        if head is None:
            head = self.heads[choices] = Weight(self.head, rows=choices.ids)
        return head


def joined_rows(parts: Sequence[Numbers]) -> Numbers:
    """One under the other, in the type that holds all."""
    if len({part.array.dtype for part in parts}) > 1:
        return Numbers(np.concatenate([part.float32() for part in parts]))
    return Numbers(np.concatenate([part.array for part in parts]))


def interleave(pair: Sequence[Numbers]) -> Numbers:
    """Two weights (O, …) → (2·O', …): half a panel of the first, half of the second, and so on;
    zeros behind both.
    """
    half = PANEL // 2
    one, *_ = pair
    whole = -(-len(one) // half)
    both = joined_rows(pair).array.reshape(2, len(one), *one.shape[1:])
    laid = np.zeros((whole, 2, half, *one.shape[1:]), both.dtype)
    for index in (0, 1):
        padded = np.zeros((whole * half, *one.shape[1:]), both.dtype)
        padded[: len(one)] = both[index]
        laid[:, index] = padded.reshape(whole, half, *one.shape[1:])
    return Numbers(laid.reshape(2 * whole * half, *one.shape[1:]))
