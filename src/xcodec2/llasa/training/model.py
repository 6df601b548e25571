"""The model of a run: what it begins as, and the ordinary one that is written in the end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import LlasaError
from xcodec2.llasa.lm import LlasaMetadata, load_tokenizer, load_weights
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.attention import BY_EXAMPLE
from xcodec2.llasa.training.compact_vocabulary import CompactVocabulary
from xcodec2.llasa.training.composed_rows import ComposedLlama, ComposedRows, radices
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows

#: Rows of embedding and head that stand for those of all tokens.
SmallTable: TypeAlias = CompactVocabulary | ComposedRows
NEW_ROW_SPREAD = 0.5  # of the base's own rows: told apart at once, and none begins far out


def small_table(recipe: LlasaRecipe, prompts: Prompts, rows: list[Rows]) -> SmallTable | None:
    """The rows that a recipe learns; None for those of all tokens.

    Raises:
        LlasaError: The codebook cannot be composed as the recipe says.
    """
    if recipe.compact_vocabulary:
        return CompactVocabulary.of(rows, prompts, recipe.length)
    if recipe.code_rows == "free":
        return None
    parts = radices(recipe.code_rows, prompts.vocabulary.codebook_size)
    return ComposedRows(prompts.vocabulary, len(prompts.tokenizer), parts)


@float32_parameters("cpu")
def build_model(recipe: LlasaRecipe, prompts: Prompts, table: SmallTable | None = None) -> Any:
    """The model before the first step.

    Args:
        recipe: Of the run.
        prompts: Of its tokenizer.
        table: The rows that are learned, where they are not those of all tokens.

    Raises:
        LlasaError: The base's tokenizer is not that of the rows, LoRA was asked for where tokens
            are new, or the shape is impossible.
    """
    tokenizer = prompts.tokenizer
    if recipe.base:
        known = load_tokenizer(recipe.base).get_vocab()
        own = tokenizer.get_vocab()
        if strange := next((name for name, id in known.items() if own.get(name) != id), None):
            raise LlasaError(
                f"the rows have another tokenizer than {recipe.base} ({strange!r} is not the same "
                f"in both): make them with `xcodec2 llasa prepare --tokenizer {recipe.base}`"
            )
        new = sorted(set(own.values()) - set(known.values()))
        model = load_weights(recipe.base, torch.float32)
        if recipe.lora and new:
            raise LlasaError(
                "LoRA needs a base that speaks already: new tokens' rows are not learned by it"
            )
        add_rows(model, len(tokenizer), new)
        if isinstance(table, ComposedRows):
            model = table.of_full(model)
    else:
        ids = {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": prompts.vocabulary.speech_end,
        }
        defaults = {"max_position_embeddings": recipe.length, "tie_word_embeddings": True}
        try:
            size = table.rows if table else len(tokenizer)
            config = LlamaConfig(**defaults | recipe.shape | ids | {"vocab_size": size})
            if (config.head_dim or 0) % 2:  # transformers 5.0 minds at the first step alone
                raise ValueError(f"attention heads {config.head_dim} wide: give an even width")
            model = table.build(config) if table else LlamaForCausalLM(config)
        except Exception as problem:  # of a handful of types, huggingface_hub's own among them
            raise LlasaError(
                f"recipe: no model has this shape ({str(problem).splitlines()[-1].strip()})"
            ) from problem
    model.config.use_cache = False  # packed examples are told apart only without a cache
    on_cpu = recipe.trainer.get("use_cpu") or not torch.accelerator.is_available()
    if on_cpu and isinstance(model, ComposedLlama):  # it only trains; what speaks needs masks
        model.set_attn_implementation(BY_EXAMPLE)
    if recipe.lora:
        from peft import LoraConfig, get_peft_model

        return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **recipe.lora))
    return model


def add_rows(model: Any, size: int, new: list[int]) -> None:
    """Rows for new tokens, in the embedding and in the head, tied or not: around the mean of the
    base's own rows.

    A base often has more rows than tokens; new tokens that fall on such rows, which nobody trained,
    get new ones too.
    """
    if size > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(size, mean_resizing=False)
    if not new:
        return
    heads = [model.get_input_embeddings(), model.get_output_embeddings()]
    with torch.no_grad():
        for weight in {id(head.weight): head.weight for head in heads if head is not None}.values():
            own = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
            own[new] = False
            known = weight[own]
            noise = torch.randn(len(new), weight.shape[1], dtype=weight.dtype, device=weight.device)
            weight[new] = known.mean(0) + NEW_ROW_SPREAD * known.std(0) * noise


def save_model(
    trainer: Trainer,
    recipe: LlasaRecipe,
    prompts: Prompts,
    metadata: LlasaMetadata,
    table: SmallTable | None,
) -> Path:
    """The finished model as an ordinary folder of transformers, whole or not at all."""
    target = Path(recipe.out) / "model"
    partial = target.with_name(".model-partial")
    if not recipe.lora:
        trainer.save_model(
            str(partial)
        )  # every process takes part: with FSDP each has a share of the weights
    if trainer.is_world_process_zero():
        if recipe.lora:
            trainer.accelerator.unwrap_model(trainer.model).merge_and_unload().save_pretrained(
                partial
            )
        finish_model(partial, recipe, prompts, metadata, table)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    return target


def finish_model(
    folder: Path,
    recipe: LlasaRecipe,
    prompts: Prompts,
    metadata: LlasaMetadata,
    table: SmallTable | None,
) -> None:
    """Weights in their type, the tokenizer, and what the model says of itself."""
    model = load_weights(folder, getattr(torch, recipe.weights))
    model = table.expand(model) if table else model
    model.config.use_cache = True
    model.save_pretrained(folder)
    prompts.tokenizer.save_pretrained(folder)
    metadata.save(folder)
    (folder / "training_args.bin").unlink(
        missing_ok=True
    )  # a pickle, and nothing that speaking needs
