"""A recipe: every number of one training run of a language model, as TOML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xcodec2.recipe_file import RecipeReader, refuse

Precision = Literal["auto", "float32", "bfloat16", "float16"]
CodeRows = Literal["free", "bytes", "digits"]
WeightsType = Literal["float32", "bfloat16", "float16"]
SHIPPED = Path(__file__).parents[2] / "recipes" / "llasa"
#: Old names of keys and of recipes, read for one more release.
RENAMED = {
    "seen_only": "compact_vocabulary",
    "listen": "audio_samples",
    "least_rate": "min_lr_ratio",
}
RENAMED_RECIPES = {"inside": "few", "bundled": "few"}


@dataclass(frozen=True)
class LlasaRecipe:
    """One run. Lengths are in tokens; a step is batch × accumulate × processes packs of `length`.

    Attributes:
        out: Folder of checkpoints, samples and the finished model.
        rows: Folders of `xcodec2 llasa prepare`, or of the published corpus.
        steps: How many.
        learning_rate: The highest.
        base: An LM to start from, a folder or a Hub id; empty is random weights of `shape`.
        shape: Fields of transformers' LlamaConfig.
        tokenizer: Empty is the one beside the first rows.
        compact_vocabulary: One row stands for all tokens that the rows do not hold: cheap, for
            small fixed sets.
        code_rows: How the codes' rows are learned: each by itself, or as sums of the rows of two
            bytes or of digits of four levels, which takes far less time; the finished model has
            all rows. A base must have been trained so.
        copy_steps: So many first steps learn to copy the phonemes of a track, without codes.
        code_noise: Share of the codes that are read as others, while the right ones are to be
            said: a model that does not trust what it said hears its text better.
        lora: Fields of peft's LoraConfig; empty lets all weights learn.
        length: Tokens in a pack.
        batch: Packs a process and step.
        accumulate: Batches a step.
        min_lr_ratio: Share of the learning rate that the cosine ends at.
        warmup: Share of the steps.
        weight_decay: AdamW's.
        betas: AdamW's.
        clip: Largest norm of the gradient.
        precision: Of the arithmetic; auto is bfloat16 on GPUs that have it and float32 elsewhere.
        weights: Type of the finished model's file.
        seed: Of weights and order.
        text: Plain text files, a document a line, mixed in to keep a base's text.
        text_share: Of all tokens.
        log_every: Steps.
        save_every: Steps.
        keep: Checkpoints.
        validate_every: Steps.
        validate_packs: At most so many.
        audio_samples: Validation texts spoken at each validation.
        codec: What decodes them; empty is the codec that the rows name.
        one_voice: The model will know one voice only, and take no voice prompt.
        trainer: Further TrainingArguments: fsdp, gradient_checkpointing, …
    """

    out: str
    rows: list[str]
    steps: int
    learning_rate: float

    base: str = ""
    shape: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    compact_vocabulary: bool = False
    code_rows: CodeRows = "free"
    copy_steps: int = 0
    code_noise: float = 0.0
    lora: dict[str, Any] = field(default_factory=dict)

    length: int = 2048
    batch: int = 1
    accumulate: int = 1
    min_lr_ratio: float = 0.1
    warmup: float = 0.03
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    precision: Precision = "auto"
    weights: WeightsType = "float32"
    seed: int = 0

    text: list[str] = field(default_factory=list)
    text_share: float = 0.0

    log_every: int = 10
    save_every: int = 500
    keep: int = 2
    validate_every: int = 500
    validate_packs: int = 64
    audio_samples: int = 4
    codec: str = ""
    one_voice: bool = False
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            (not self.rows, "rows names no folder"),
            (bool(self.base) == bool(self.shape), "give either a base or a shape"),
            (self.lora and not self.base, "lora needs a base"),
            (
                self.compact_vocabulary and (self.base or self.text or self.audio_samples),
                "compact_vocabulary goes with a shape, audio_samples=0, no text",
            ),
            (
                self.compact_vocabulary and self.code_rows != "free",
                "compact_vocabulary goes with code_rows=free",
            ),
            (self.copy_steps < 0, "copy_steps must be 0 or more"),
            (not 0 <= self.code_noise < 1, "code_noise must be at least 0 and below 1"),
            (not 0 <= self.text_share < 1, "text_share must be at least 0 and below 1"),
            (self.text_share and not self.text, "text_share needs text files"),
            (
                min(self.steps, self.length, self.batch, self.accumulate) < 1,
                "steps, length and batch are at least 1",
            ),
        ]
        refuse(problems)


READER = RecipeReader(LlasaRecipe, SHIPPED, renamed_keys=RENAMED, renamed_recipes=RENAMED_RECIPES)


def read_llasa_recipe(name: str | Path, changes: Sequence[str] = ()) -> LlasaRecipe:
    """A recipe with its changes.

    Args:
        name: A TOML file, or a name in the package.
        changes: KEY=VALUE each.

    Raises:
        RecipeError: For what is no recipe.
    """
    return READER.read(name, changes)
