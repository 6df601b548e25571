"""Training a language model that speaks: transformers' Trainer over packs of rows.

    rows → random order → chat and labels → packs → Trainer (accelerate, FSDP) → OUT/model

Every number is the recipe's. Checkpoints hold optimizer, schedule, random state and the position in
the data. Validation says the loss (eval_loss), that of codes alone (eval_codes_loss), and what the
same codes cost with another row's text (eval_wrong_text_loss): the lowest loss may be that of a
model that does not read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint
from transformers.training_args import ParallelMode

from xcodec2.errors import LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.lm import LlasaMetadata, load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track
from xcodec2.llasa.training.audio_samples import AudioSamplesCallback
from xcodec2.llasa.training.data import row_texts
from xcodec2.llasa.training.model import build_model, save_model, small_table
from xcodec2.llasa.training.packs import VIEWS, Packs, View
from xcodec2.llasa.training.prepare import SPLITS, Prepared
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows, shape_path
from xcodec2.llasa.vocabulary import extend_tokenizer
from xcodec2.processes import shutdown_process_group

MAX_KNOWN_TEXTS = 1000  # of a model that has learned a few by heart, named in its llasa.json


class SpeechTrainer(Trainer):
    """A Trainer whose validation also says what codes cost with right and with wrong text."""

    views: dict[View, Packs]

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The metrics of a validation."""
        metrics = super().evaluate(*args, **kwargs)
        for view, packs in self.views.items():
            metrics |= super().evaluate(packs, metric_key_prefix=f"eval_{view}")
        return metrics


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
    every = sets["train"] + sets["val"]
    table = small_table(recipe, prompts, every)
    texts = row_texts(every, prompts, MAX_KNOWN_TEXTS) if recipe.compact_vocabulary else []
    metadata = rows_metadata(recipe, codec, tuple(texts))
    track = Track.of(prompts) if metadata.track else None
    if recipe.copy_steps and track is None:
        raise LlasaError("recipe: copy_steps needs rows of `xcodec2 llasa prepare --track`")
    callbacks: list[TrainerCallback] = []
    if has_validation and recipe.audio_samples:
        finished = table.expand if table else lambda model: model
        callbacks.append(AudioSamplesCallback(recipe, prompts, metadata, sets["val"], finished))
    validation = {
        view: Packs(sets["val"], prompts, recipe, table, track, view=view) for view in VIEWS
    }
    trainer = SpeechTrainer(
        model=build_model(recipe, prompts, table),
        args=settings,
        train_dataset=Packs(sets["train"], prompts, recipe, table, track, training=True),
        eval_dataset=validation.pop("all") if has_validation else None,
        callbacks=callbacks,
    )
    trainer.views = validation if "tts" in metadata.tasks else {}
    trainer.train(resume_from_checkpoint=last)
    folder = save_model(trainer, recipe, prompts, metadata, table)
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


def rows_metadata(
    recipe: LlasaRecipe, codec: CodecIdentity, texts: tuple[str, ...]
) -> LlasaMetadata:
    """What the finished model says of itself, as its rows say.

    Raises:
        LlasaError: Some hold phonemes, or a track, and some do not.
    """
    found = [(name, made) for name in recipe.rows if (made := Prepared.load(Path(name)))]
    for field, what in (("phonemes", "phonemes"), ("track", "a phoneme track")):
        kinds = {getattr(made, field): name for name, made in found}
        if len(kinds) > 1:
            raise LlasaError(
                f"{kinds[True]} holds {what} and {kinds[False]} does not: a model reads one of "
                "them; prepare both alike"
            )
    phonemes, track = (any(getattr(made, f) for _, made in found) for f in ("phonemes", "track"))
    tasks = tuple(dict.fromkeys(task for _, made in found for task in made.tasks)) or ("tts",)
    one_voice = recipe.one_voice or (track and not any(made.voices for _, made in found))
    return LlasaMetadata(codec, one_voice, texts, phonemes, track, tasks)


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
