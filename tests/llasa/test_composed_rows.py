"""Rows composed of parts: the full table's loss and logits, for fewer rows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from talkers import CODEBOOK, TEACHING, some_codes, speech_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.attention import BY_EXAMPLE
from xcodec2.llasa.training.composed_rows import ComposedRows, radices
from xcodec2.llasa.training.model import build_model
from xcodec2.llasa.training.packing import IGNORED
from xcodec2.llasa.training.recipe import LlasaRecipe


def rows_of(kind: str) -> ComposedRows:
    vocabulary = Prompts.of(speech_tokenizer()).vocabulary
    return ComposedRows(vocabulary, len(speech_tokenizer()), radices(kind, CODEBOOK))


def model_of(rows: ComposedRows, tied: bool = True, seed: int = 0):
    torch.manual_seed(seed)
    shape = TEACHING["shape"] | {"vocab_size": rows.rows, "tie_word_embeddings": tied}
    model = rows.build(LlamaConfig(**shape, initializer_range=0.3)).eval()
    with torch.no_grad():
        if not tied:
            model.lm_head.weight.normal_(std=0.3)
    return model


def a_batch(rows: ComposedRows) -> dict[str, torch.Tensor]:
    codes = torch.from_numpy(rows.vocabulary.to_ids(some_codes(40)))
    ids = torch.cat([torch.tensor([3, 77, rows.vocabulary.speech_start]), codes])
    ids = torch.cat([ids, torch.tensor([rows.vocabulary.speech_end])])[None].repeat(2, 1)
    ids[1] = ids[1].flip(0)
    labels = ids.clone()
    labels[:, :5] = IGNORED
    positions = torch.arange(ids.shape[1])[None].repeat(2, 1) % 20  # packed examples
    return {"input_ids": ids, "position_ids": positions, "labels": labels}


def test_the_parts_of_a_codebook():
    assert radices("bytes", 65_536) == (256, 256)
    assert radices("digits", 65_536) == (4,) * 8
    assert radices("bytes", 32) == (8, 4)
    for kind, size in (("digits", 32), ("bytes", 1000), ("digits", 1), ("bytes", 1)):
        with pytest.raises(LlasaError, match=f"codebook of {size} has no {kind}.*code_rows=free"):
            radices(kind, size)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["bytes", "digits"])
def test_the_table_written_out_has_equal_loss_and_logits(kind, tied):
    rows = rows_of(kind)
    model, batch = model_of(rows, tied), a_batch(rows)
    full = rows.expand(model).eval()
    assert type(full) is LlamaForCausalLM
    assert full.get_input_embeddings().num_embeddings == len(speech_tokenizer())
    assert (full.lm_head.weight is full.model.embed_tokens.weight) == tied
    with torch.no_grad():
        assert (
            full.get_input_embeddings()(batch["input_ids"]) - model.embed(batch["input_ids"])
        ).abs().max() < 1e-5
        states = full.model(inputs_embeds=model.embed(batch["input_ids"])).last_hidden_state
        expected = full.lm_head(states)[0].log_softmax(-1)
        every = torch.arange(len(speech_tokenizer()))
        found = torch.stack(
            [-model.losses(state[None].expand(len(every), -1), every) for state in states[0]]
        )
        assert (found - expected).abs().max() < 2e-5
        assert found.exp().sum(-1).allclose(torch.ones(len(found)), atol=1e-5)
        for more in ({}, {"num_items_in_batch": 7}):
            loss = full(**batch, **more, use_cache=False).loss
            assert abs(model(**batch, **more).loss - loss) < 1e-5
            assert loss > 1


def test_it_learns_what_the_full_table_learns():
    """Gradients of the body are those of the full table."""
    rows = rows_of("bytes")
    model, batch = model_of(rows), a_batch(rows)
    full = rows.expand(model)
    model(**batch).loss.backward()
    full(**batch, use_cache=False).loss.backward()
    own = dict(model.named_parameters())
    for name, weight in full.named_parameters():
        if name != "model.embed_tokens.weight":
            assert torch.allclose(weight.grad, own[name].grad, atol=1e-5), name


@pytest.mark.parametrize("kind", ["bytes", "digits"])
def test_a_full_table_of_parts_is_taken_apart_again(kind):
    rows = rows_of(kind)
    full = rows.expand(model_of(rows)).half()
    again = rows.expand(rows.of_full(full))
    weight, expected = again.lm_head.weight, full.lm_head.weight
    assert (weight.float() - expected.float()).abs().max() < 2e-3
    with torch.no_grad():
        full.lm_head.weight[rows.vocabulary.code_ids[5]] += 1
    with pytest.raises(LlasaError, match="not composed of parts: set code_rows=free"):
        rows.of_full(full)


def test_a_code_weighs_what_another_token_does_at_the_start():
    rows = rows_of("digits")
    torch.manual_seed(0)
    shape = TEACHING["shape"] | {"vocab_size": rows.rows, "hidden_size": 512}
    table = rows.written_out(rows.build(LlamaConfig(**shape)).lm_head.weight.detach())
    codes, others = table[rows.vocabulary.code_ids], table[rows.others]
    assert math.isclose(codes.std(), others.std(), rel_tol=0.1)


def test_on_a_cpu_it_attends_by_example_and_what_is_saved_does_not(tmp_path):
    made = Prompts.of(speech_tokenizer())
    recipe = LlasaRecipe(
        "o", ["r"], 1, 1.0, shape=TEACHING["shape"], code_rows="bytes", trainer={"use_cpu": True}
    )
    rows = rows_of("bytes")
    model = build_model(recipe, made, rows)
    assert model.config._attn_implementation == BY_EXAMPLE
    full = rows.expand(model)
    assert full.config._attn_implementation == "sdpa"
    full.save_pretrained(tmp_path)
    assert BY_EXAMPLE not in (tmp_path / "config.json").read_text()
    free = build_model(replace(recipe, code_rows="free"), made)
    assert free.config._attn_implementation == "sdpa"  # it also speaks samples, with a cache
