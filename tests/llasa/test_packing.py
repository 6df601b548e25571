"""Packs: no token is lost, and nothing is seen across a boundary."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import prompts, small_llama, some_codes
from test_data import good_row
from transformers import LlamaConfig, LlamaForCausalLM

from xcodec2.llasa.training.attention import BY_EXAMPLE
from xcodec2.llasa.training.data import labeled
from xcodec2.llasa.training.packing import IGNORED, Example, pack

# --- packing --------------------------------------------------------------------------------------


def numbered(lengths: list[int]) -> list[Example]:
    """Examples whose tokens are all different."""
    starts = np.cumsum([0, *lengths])
    items = [
        np.arange(start, start + length) for start, length in zip(starts, lengths, strict=False)
    ]
    return [Example(ids, np.where(np.arange(len(ids)) % 3, ids, IGNORED)) for ids in items]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=120), st.integers(1, 70))
def test_packing_loses_no_token_and_restarts_every_example(lengths, window):
    examples = numbered(lengths)
    packs = list(pack(iter(examples), 40, padding=-1, window=window))
    found = {}
    for item in packs:
        assert len(item.ids) == len(item.positions) == len(item.labels) == 40
        starts = np.flatnonzero(item.positions == 0)
        for start, stop in itertools.pairwise([*starts, 40]):
            ids = item.ids[start:stop]
            assert item.positions[start:stop].tolist() == list(range(stop - start))
            if ids[0] == -1:
                assert (ids == -1).all()
                assert (item.labels[start:stop] == IGNORED).all()
                assert start == item.tokens
            else:
                found[int(ids[0])] = (ids.tolist(), item.labels[start:stop].tolist())
    assert found == {int(e.ids[0]): (e.ids.tolist(), e.labels.tolist()) for e in examples}
    assert sum(item.tokens for item in packs) == sum(lengths)
    assert sum(item.examples for item in packs) == len(lengths)


def test_packs_are_nearly_full():
    lengths = np.random.default_rng(0).integers(100, 900, 400).tolist()
    packs = list(pack(numbered(lengths), 2048, padding=0))
    assert sum(lengths) / (len(packs) * 2048) > 0.97


def test_an_example_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="41 tokens does not fit"):
        list(pack(numbered([3, 41]), 40, padding=0))


def loss_sum(
    model: torch.nn.Module, item: Example, positions: np.ndarray | None = None
) -> torch.Tensor:
    """Summed over the labeled tokens."""
    batch = {"input_ids": torch.tensor(item.ids)[None], "labels": torch.tensor(item.labels)[None]}
    if positions is not None:
        batch["position_ids"] = torch.tensor(positions)[None]
    with torch.no_grad():
        return model(**batch, use_cache=False, num_items_in_batch=1).loss


def speech_of(lengths: list[int]) -> list[Example]:
    rows = [
        good_row("abc"[: 1 + i % 3], some_codes(length, seed=i)) for i, length in enumerate(lengths)
    ]
    return [labeled(prompts().in_chat(row), prompts()) for row in rows]


@pytest.mark.parametrize("attention", ["sdpa", "eager", BY_EXAMPLE])
def test_the_loss_of_packs_is_the_loss_of_examples(attention):
    model = small_llama()
    model.set_attn_implementation(attention)
    examples = speech_of([5, 60, 1, 33, 48, 12, 90, 7])
    alone = sum(loss_sum(model, item) for item in examples)
    packs = list(pack(examples, 600, padding=0))
    assert len(packs) < 4
    packed = sum(loss_sum(model, Example(item.ids, item.labels), item.positions) for item in packs)
    count = sum((item.labels != IGNORED).sum() for item in examples)
    assert abs(packed - alone) / count < 1e-5


@pytest.mark.parametrize("attention", ["sdpa", BY_EXAMPLE])
def test_nothing_is_seen_across_a_boundary(attention):
    model = small_llama()
    model.set_attn_implementation(attention)
    examples = speech_of([20, 30, 25])
    (packed,) = pack(examples, 600, padding=0)
    order = np.flatnonzero(packed.positions == 0)
    start, stop = int(order[1]), int(order[2])

    def logits(ids: np.ndarray) -> torch.Tensor:
        positions = torch.tensor(packed.positions)[None]
        with torch.no_grad():
            return model(
                input_ids=torch.tensor(ids)[None], position_ids=positions, use_cache=False
            ).logits[0]

    before = logits(packed.ids)
    changed = packed.ids.copy()
    changed[:start] = 3
    changed[stop:] = 3
    assert torch.equal(before[start:stop], logits(changed)[start:stop])
    changed[start] = 3  # and within the example all is seen
    assert not torch.equal(before[start:stop], logits(changed)[start:stop])


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_attention_by_example_has_the_gradients_of_a_mask(kv_heads):
    """Two packs of different examples at once, query heads that share keys among them."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": kv_heads}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, **shape, **heads))
    ids = torch.randint(50, (2, 24))
    positions = torch.cat([torch.arange(9), torch.arange(14), torch.arange(1)])
    positions = torch.stack([positions, torch.cat([torch.arange(20), torch.arange(4)])])
    found = []
    for attention in ("sdpa", BY_EXAMPLE):
        model.set_attn_implementation(attention)
        model.zero_grad()
        batch = {"input_ids": ids, "position_ids": positions, "labels": ids}
        model(**batch, use_cache=False).loss.backward()
        found.append([weight.grad.clone() for weight in model.parameters()])
    for masked, by_example in zip(*found, strict=True):
        assert masked.abs().max() > 1e-4
        assert (masked - by_example).abs().max() < 1e-6
