"""Training a language model that speaks: transformers' Trainer over packs of rows.

    rows → random order → chat and labels → packs → Trainer (accelerate, FSDP) → OUT/model

Every number is the recipe's. Checkpoints hold optimiser, schedule, random state and the position in
the data.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from xcodec2.llasa.export.compact_vocabulary import Seen
from xcodec2.llasa.lm import About, load_tokenizer, load_weights
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.data import mixed_in, shuffled, speech_examples, text_examples
from xcodec2.llasa.training.listen import Listen
from xcodec2.llasa.training.packing import Pack, pack
from xcodec2.llasa.training.prepare import Prepared
from xcodec2.llasa.training.recipe import Recipe
from xcodec2.llasa.training.rows import Codec, Refused, Rows, shape_path
from xcodec2.llasa.vocabulary import LlasaError, extend_tokenizer
from xcodec2.processes import leave

NEW_ROW_SPREAD = (
    0.5  # of the base's own rows: new ones are told apart at once, and none begins far out
)


class Packs(IterableDataset):
    """Packs as the Trainer takes them.

    For training without end, each epoch in another order; for validation once.
    """

    def __init__(
        self,
        rows: list[Rows],
        prompts: Prompts,
        recipe: Recipe,
        seen: Seen | None,
        *,
        training: bool,
    ) -> None:
        self.rows, self.prompts, self.recipe, self.seen, self.training = (
            rows,
            prompts,
            recipe,
            seen,
            training,
        )
        self.refused = Refused()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        examples = self.epochs() if self.training else self.once(lambda count: iter(range(count)))
        if self.training and self.recipe.text_share:
            files = [Path(name) for name in self.recipe.text]
            examples = mixed_in(
                examples,
                text_examples(files, self.prompts, self.recipe.length),
                self.recipe.text_share,
            )
        end = self.prompts.tokenizer.eos_token_id
        packs = pack(
            examples,
            self.recipe.length,
            end if end is not None else self.prompts.vocabulary.speech_end,
        )
        for number, item in enumerate(packs):
            if not self.training and number >= self.recipe.validate_packs:
                return
            yield tensors(self.seen.compact(item) if self.seen else item)

    def epochs(self) -> Iterator[Any]:
        epoch = 0
        while True:
            seed = self.recipe.seed + epoch
            self.refused, before = Refused(), self.refused
            seen = 0
            for item in self.once(lambda count, seed=seed: shuffled(count, seed)):
                seen += 1
                yield item
            if not seen:
                raise LlasaError(f"no row can be trained on: {self.refused}")
            if self.refused.total and not before.total:
                print(f"rows not trained on: {self.refused}", flush=True)
            epoch += 1

    def once(self, order: Any) -> Iterator[Any]:
        for rows in self.rows:
            yield from speech_examples(
                rows, self.prompts, self.recipe.length, order(len(rows)), self.refused
            )


def tensors(item: Pack) -> dict[str, torch.Tensor]:
    """No attention mask: its absence lets transformers read the examples' borders off the
    positions.
    """
    parts = {"input_ids": item.ids, "position_ids": item.positions, "labels": item.labels}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in parts.items()}


def train(recipe: Recipe, *, resume: bool = False) -> Path:
    """Run a recipe; returns the folder of the finished model, which `xcodec2 speak --lm` takes."""
    out = Path(recipe.out)
    if not resume and any(out.glob("checkpoint-*")):
        raise LlasaError(
            f"{out} holds checkpoints of another run: go on with --resume, or choose another out"
        )
    torch.manual_seed(recipe.seed)
    codec = codec_of(recipe)
    tokenizer = load_tokenizer(recipe.tokenizer or recipe.rows[0])
    if "<|s_0|>" not in tokenizer.get_vocab():
        extend_tokenizer(tokenizer, codec.codebook_size)
    prompts = Prompts.of(tokenizer, recipe.tokenizer or recipe.rows[0])
    sets = {
        split: [
            Rows(folder, split)
            for folder in recipe.rows
            if shape_path(Path(folder), split).is_file()
        ]
        for split in ("train", "val")
    }
    seen = (
        Seen.of(sets["train"] + sets["val"], prompts, recipe.length) if recipe.seen_only else None
    )
    model = build(recipe, prompts, seen)
    training = Packs(sets["train"], prompts, recipe, seen, training=True)
    validation = Packs(sets["val"], prompts, recipe, seen, training=False)
    about = About(codec=codec, one_voice=recipe.one_voice)
    callbacks: list[TrainerCallback] = []
    has_validation = any(map(len, sets["val"]))
    if has_validation and recipe.listen:
        callbacks.append(Listen(recipe, prompts, about, sets["val"]))
    trainer = Trainer(
        model=model,
        args=arguments(recipe, validate=has_validation),
        train_dataset=training,
        eval_dataset=validation if has_validation else None,
        callbacks=callbacks,
    )
    last = get_last_checkpoint(str(out)) if resume and out.is_dir() else None
    if resume and last is None:
        raise LlasaError(f"{out} holds no checkpoint to resume from")
    trainer.train(resume_from_checkpoint=last)
    folder = save(trainer, recipe, prompts, about, seen)
    leave(trainer.accelerator)
    return folder


def codec_of(recipe: Recipe) -> Codec:
    """What the rows say of their codec; they must agree."""
    found = [(name, made.codec) for name in recipe.rows if (made := Prepared.load(Path(name)))]
    for name, codec in found[1:]:
        found[0][1].check(codec, found[0][0], name)
    codec = found[0][1] if found else Codec()
    return (
        Codec(recipe.codec, codec.weights_hash, codec.codebook_size, codec.frame_rate)
        if recipe.codec
        else codec
    )


def build(recipe: Recipe, prompts: Prompts, seen: Seen | None = None) -> Any:
    """The model before the first step."""
    tokenizer = prompts.tokenizer
    if recipe.base:
        model = load_weights(recipe.base, torch.float32)
        new = sorted(
            set(tokenizer.get_vocab().values())
            - set(load_tokenizer(recipe.base).get_vocab().values())
        )
        if recipe.lora and new:
            raise LlasaError(
                "LoRA needs a base that speaks already: new tokens' rows are not learned by it"
            )
        add_rows(model, len(tokenizer), new)
    else:
        ids = {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": prompts.vocabulary.speech_end,
        }
        defaults = {"max_position_embeddings": recipe.length, "tie_word_embeddings": True}
        try:
            size = len(seen.ids) + 1 if seen else len(tokenizer)
            config = LlamaConfig(**defaults | recipe.shape | ids | {"vocab_size": size})
            model = LlamaForCausalLM(config)
        except Exception as problem:  # of a handful of types, huggingface_hub's own among them
            raise LlasaError(
                f"recipe: no model has this shape ({str(problem).splitlines()[-1].strip()})"
            ) from problem
    if seen:
        seen.raise_other(model)
    model.config.use_cache = False  # packed examples are told apart only without a cache
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
            own = torch.ones(len(weight), dtype=torch.bool)
            own[new] = False
            known = weight[own]
            noise = torch.randn(len(new), weight.shape[1], dtype=weight.dtype)
            weight[new] = known.mean(0) + NEW_ROW_SPREAD * known.std(0) * noise


def arguments(recipe: Recipe, *, validate: bool) -> TrainingArguments:
    """The recipe in the Trainer's words."""
    values: dict[str, Any] = {
        "output_dir": recipe.out,
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": recipe.least_rate},
        "warmup_steps": round(recipe.warmup * recipe.steps),
        "weight_decay": recipe.weight_decay,
        "adam_beta1": recipe.betas[0],
        "adam_beta2": recipe.betas[1],
        "max_grad_norm": recipe.clip,
        "bf16": recipe.precision == "bfloat16",
        "fp16": recipe.precision == "float16",
        "seed": recipe.seed,
        "logging_steps": recipe.log_every,
        "save_steps": recipe.save_every,
        "save_total_limit": recipe.keep,
        "eval_strategy": "steps" if validate else "no",
        "eval_steps": recipe.validate_every,
        "report_to": "none",
        "remove_unused_columns": False,
        "prediction_loss_only": True,
        # there are none, and looking for them costs a pass through the graph
        "ddp_find_unused_parameters": False,
    }
    try:
        return TrainingArguments(**values | recipe.trainer)
    except (TypeError, ValueError, ImportError) as problem:
        raise LlasaError(f"recipe: not possible here ({problem})") from problem


def save(
    trainer: Trainer, recipe: Recipe, prompts: Prompts, about: About, seen: Seen | None
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
        finish(partial, recipe, prompts, about, seen)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    return target


def finish(folder: Path, recipe: Recipe, prompts: Prompts, about: About, seen: Seen | None) -> None:
    """Weights in their type, the tokenizer, and what the model says of itself."""
    model = load_weights(folder, getattr(torch, recipe.weights))
    model = seen.expand(model) if seen else model
    model.config.use_cache = True
    model.save_pretrained(folder)
    prompts.tokenizer.save_pretrained(folder)
    about.save(folder)
    (folder / "training_args.bin").unlink(
        missing_ok=True
    )  # a pickle, and nothing that speaking needs
