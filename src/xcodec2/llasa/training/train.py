"""Training a language model that speaks: transformers' Trainer over packs of rows.

    rows → random order → chat and labels → packs → Trainer (accelerate, FSDP) → OUT/model

Every number is the recipe's. Checkpoints hold optimizer, schedule, random state and the position in
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
from transformers.training_args import ParallelMode

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.lm import LlasaMetadata, load_tokenizer, load_weights
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.audio_samples import AudioSamplesCallback
from xcodec2.llasa.training.compact_vocabulary import CompactVocabulary
from xcodec2.llasa.training.data import (
    mixed_in,
    row_texts,
    shuffled_indices,
    speech_examples,
    text_examples,
)
from xcodec2.llasa.training.packing import Pack, pack
from xcodec2.llasa.training.prepare import SPLITS, Prepared
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Refused, Rows, shape_path
from xcodec2.llasa.vocabulary import extend_tokenizer
from xcodec2.processes import shutdown_process_group

NEW_ROW_SPREAD = 0.5  # of the base's own rows: told apart at once, and none begins far out
MAX_KNOWN_TEXTS = 1000  # of a model that has learned a few by heart, named in its llasa.json


class Packs(IterableDataset):
    """Packs as the Trainer takes them.

    For training without end, each epoch in another order; for validation once.
    """

    def __init__(
        self,
        rows: list[Rows],
        prompts: Prompts,
        recipe: LlasaRecipe,
        compact: CompactVocabulary | None,
        *,
        training: bool,
    ) -> None:
        self.rows, self.prompts, self.recipe, self.compact, self.training = (
            rows,
            prompts,
            recipe,
            compact,
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
            yield tensors(self.compact.remap(item) if self.compact else item)

    def epochs(self) -> Iterator[Any]:
        """Examples without end, in another order each epoch.

        Raises:
            LlasaError: An epoch has none.
        """
        epoch = 0
        while True:
            seed = self.recipe.seed + epoch
            self.refused, before = Refused(), self.refused
            count = 0
            for item in self.once(lambda count, seed=seed: shuffled_indices(count, seed)):
                count += 1
                yield item
            if not count:
                raise LlasaError(f"no row can be trained on: {self.refused}")
            if self.refused.total and not before.total:
                print(f"rows not trained on: {self.refused}", flush=True)
            epoch += 1

    def once(self, order: Any) -> Iterator[Any]:
        """The examples of every split of rows, once.

        Args:
            order: Number of rows → the order of their indices.
        """
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


def train(recipe: LlasaRecipe, *, resume: bool = False) -> Path:
    """Run a recipe.

    Args:
        recipe: Every number of the run.
        resume: Go on from the newest checkpoint in its folder.

    Returns:
        The folder of the finished model, which `xcodec2 speak --lm` takes.

    Raises:
        LlasaError: For rows, a base or a machine that the recipe cannot be run with.
    """
    out = Path(recipe.out)
    if not resume and any(out.glob("checkpoint-*")):
        raise LlasaError(
            f"{out} holds checkpoints of another run: go on with --resume, or choose another out"
        )
    last = get_last_checkpoint(str(out)) if resume and out.is_dir() else None
    if resume and last is None:
        raise LlasaError(f"{out} holds no checkpoint to resume from")
    sets = {split: splits(recipe, split) for split in SPLITS}
    has_validation = any(map(len, sets["val"]))
    settings = arguments(recipe, validate=has_validation)  # before work that they may be wrong for
    torch.manual_seed(recipe.seed)
    codec = rows_codec(recipe)
    prompts = prompts_of(recipe, codec)
    compact, texts = None, []
    if recipe.compact_vocabulary:
        compact = CompactVocabulary.of(sets["train"] + sets["val"], prompts, recipe.length)
        texts = row_texts(sets["train"] + sets["val"], prompts, MAX_KNOWN_TEXTS)
    metadata = LlasaMetadata(codec, recipe.one_voice, tuple(texts), rows_phonemes(recipe))
    callbacks: list[TrainerCallback] = []
    if has_validation and recipe.audio_samples:
        callbacks.append(AudioSamplesCallback(recipe, prompts, metadata, sets["val"]))
    trainer = Trainer(
        model=build_model(recipe, prompts, compact),
        args=settings,
        train_dataset=Packs(sets["train"], prompts, recipe, compact, training=True),
        eval_dataset=Packs(sets["val"], prompts, recipe, compact, training=False)
        if has_validation
        else None,
        callbacks=callbacks,
    )
    trainer.train(resume_from_checkpoint=last)
    folder = save_model(trainer, recipe, prompts, metadata, compact)
    shutdown_process_group(trainer.accelerator)
    return folder


def splits(recipe: LlasaRecipe, split: str) -> list[Rows]:
    """The rows of one split, of all folders that have it.

    Raises:
        LlasaError: No folder has it.
    """
    folders = [name for name in recipe.rows if shape_path(Path(name), split).is_file()]
    if split == "train" and not folders:
        raise LlasaError(
            f"recipe: no rows in {', '.join(recipe.rows)}: `xcodec2 llasa prepare CODES ROWS` "
            "writes them; name its ROWS as rows='[\"ROWS\"]'"
        )
    return [Rows(folder, split) for folder in folders]


def prompts_of(recipe: LlasaRecipe, codec: CodecIdentity) -> Prompts:
    """The tokenizer of the recipe or of its rows, with speech tokens."""
    name = recipe.tokenizer or recipe.rows[0]
    tokenizer = load_tokenizer(name)
    if "<|s_0|>" not in tokenizer.get_vocab():
        extend_tokenizer(tokenizer, codec.codebook_size)
    return Prompts.of(tokenizer, name)


def rows_codec(recipe: LlasaRecipe) -> CodecIdentity:
    """What the rows say of their codec; they must agree."""
    found = [(name, made.codec) for name in recipe.rows if (made := Prepared.load(Path(name)))]
    for name, codec in found[1:]:
        found[0][1].check(codec, found[0][0], name)
    codec = found[0][1] if found else CodecIdentity()
    return (
        CodecIdentity(recipe.codec, codec.weights_hash, codec.codebook_size, codec.frame_rate)
        if recipe.codec
        else codec
    )


def rows_phonemes(recipe: LlasaRecipe) -> bool:
    """Whether the rows hold phonemes.

    Raises:
        LlasaError: Some do and some do not.
    """
    found = [(name, made.phonemes) for name in recipe.rows if (made := Prepared.load(Path(name)))]
    kinds = {holds: name for name, holds in found}
    if len(kinds) > 1:
        raise LlasaError(
            f"{kinds[True]} holds phonemes and {kinds[False]} text: a model reads one of them; "
            "prepare both alike"
        )
    return True in kinds


@float32_parameters("cpu")
def build_model(
    recipe: LlasaRecipe, prompts: Prompts, compact: CompactVocabulary | None = None
) -> Any:
    """The model before the first step.

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
    else:
        ids = {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": prompts.vocabulary.speech_end,
        }
        defaults = {"max_position_embeddings": recipe.length, "tie_word_embeddings": True}
        try:
            size = len(compact.ids) + 1 if compact else len(tokenizer)
            config = LlamaConfig(**defaults | recipe.shape | ids | {"vocab_size": size})
            model = LlamaForCausalLM(config)
        except Exception as problem:  # of a handful of types, huggingface_hub's own among them
            raise LlasaError(
                f"recipe: no model has this shape ({str(problem).splitlines()[-1].strip()})"
            ) from problem
    if compact:
        compact.add_unseen_logit(model)
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
            own = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
            own[new] = False
            known = weight[own]
            noise = torch.randn(len(new), weight.shape[1], dtype=weight.dtype, device=weight.device)
            weight[new] = known.mean(0) + NEW_ROW_SPREAD * known.std(0) * noise


def precision(recipe: LlasaRecipe) -> str:
    """The recipe's, or what this machine is fast and sound with; LlasaError for one it has not."""
    on_gpu = torch.cuda.is_available() and not recipe.trainer.get("use_cpu")
    if recipe.precision == "auto":
        fast = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fast else "float32"
    on_cpu = recipe.precision == "bfloat16" and recipe.trainer.get("use_cpu")
    if recipe.precision != "float32" and not on_gpu and not on_cpu:
        more = ", or trainer.use_cpu=true to compute it on the CPU"
        raise LlasaError(
            f"recipe: precision={recipe.precision} needs a GPU, and there is none here: set "
            f"precision=auto{more if recipe.precision == 'bfloat16' else ''}"
        )
    return recipe.precision


def arguments(recipe: LlasaRecipe, *, validate: bool) -> TrainingArguments:
    """The recipe in the Trainer's words.

    Raises:
        LlasaError: This machine cannot run the recipe.
    """
    chosen = precision(recipe)
    values: dict[str, Any] = {
        "output_dir": recipe.out,
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": recipe.min_lr_ratio},
        "warmup_steps": round(recipe.warmup * recipe.steps),
        "weight_decay": recipe.weight_decay,
        "adam_beta1": recipe.betas[0],
        "adam_beta2": recipe.betas[1],
        "max_grad_norm": recipe.clip,
        "bf16": chosen == "bfloat16",
        "fp16": chosen == "float16",
        "seed": recipe.seed,
        "logging_steps": recipe.log_every,
        "save_steps": recipe.save_every,
        "save_total_limit": recipe.keep,
        "eval_strategy": "steps" if validate else "no",
        "eval_steps": recipe.validate_every,
        "report_to": "none",
        "dataloader_pin_memory": torch.cuda.is_available(),
        "remove_unused_columns": False,
        "prediction_loss_only": True,
        # there are none, and looking for them costs a pass through the graph
        "ddp_find_unused_parameters": False,
    }
    try:
        made = TrainingArguments(**values | recipe.trainer)
    except (TypeError, ValueError, ImportError, RuntimeError) as problem:
        raise LlasaError(f"recipe: not possible here ({problem})") from problem
    if recipe.trainer.get("fsdp") and made.parallel_mode != ParallelMode.DISTRIBUTED:
        raise LlasaError(
            "recipe: FSDP parts a model among processes, and this is the only one: start it with "
            "`accelerate launch -m xcodec2.cli llasa train`, or set trainer.fsdp=false"
        )
    return made


def save_model(
    trainer: Trainer,
    recipe: LlasaRecipe,
    prompts: Prompts,
    metadata: LlasaMetadata,
    compact: CompactVocabulary | None,
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
        finish_model(partial, recipe, prompts, metadata, compact)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    return target


def finish_model(
    folder: Path,
    recipe: LlasaRecipe,
    prompts: Prompts,
    metadata: LlasaMetadata,
    compact: CompactVocabulary | None,
) -> None:
    """Weights in their type, the tokenizer, and what the model says of itself."""
    model = load_weights(folder, getattr(torch, recipe.weights))
    model = compact.expand(model) if compact else model
    model.config.use_cache = True
    model.save_pretrained(folder)
    prompts.tokenizer.save_pretrained(folder)
    metadata.save(folder)
    (folder / "training_args.bin").unlink(
        missing_ok=True
    )  # a pickle, and nothing that speaking needs
