"""A recipe: every number of one training run of a language model, as TOML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xcodec2.errors import RecipeError
from xcodec2.recipe_file import apply_change, build, find_recipe, read_toml

Precision = Literal["float32", "bfloat16", "float16"]
SHIPPED = Path(__file__).parents[2] / "recipes" / "llasa"


@dataclass(frozen=True)
class Recipe:
    """One run. Lengths are in tokens; a step is batch × accumulate × processes packs of `length`."""

    out: str  # folder of checkpoints, samples and the finished model
    rows: list[str]  # folders of `xcodec2 llasa prepare`, or of the published corpus
    steps: int
    learning_rate: float

    base: str = ""  # an LM to start from, a folder or a Hub id; empty: random weights of `shape`
    shape: dict[str, Any] = field(default_factory=dict)  # fields of transformers' LlamaConfig
    tokenizer: str = ""  # empty: the one beside the first rows
    # one row stands for all tokens that the rows do not hold: cheap, for small fixed sets
    seen_only: bool = False
    lora: dict[str, Any] = field(
        default_factory=dict
    )  # fields of peft's LoraConfig; empty: all weights learn

    length: int = 2048
    batch: int = 1
    accumulate: int = 1
    least_rate: float = 0.1  # share of the learning rate that the cosine ends at
    warmup: float = 0.03  # share of the steps
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    precision: Precision = "float32"
    weights: Precision = "float32"  # of the finished model's file
    seed: int = 0

    text: list[str] = field(
        default_factory=list
    )  # plain text files, a document a line, mixed in to keep a base's text
    text_share: float = 0.0  # of all tokens

    log_every: int = 10
    save_every: int = 500
    keep: int = 2
    validate_every: int = 500
    validate_packs: int = 64
    listen: int = 4  # validation texts spoken at each validation
    codec: str = ""  # what decodes them; empty: the codec that the rows name
    one_voice: bool = False  # the model will know one voice only, and take no voice prompt
    trainer: dict[str, Any] = field(
        default_factory=dict
    )  # further TrainingArguments: fsdp, gradient_checkpointing, …

    def __post_init__(self) -> None:
        problems = [
            (not self.rows, "rows names no folder"),
            (bool(self.base) == bool(self.shape), "give either a base or a shape"),
            (self.lora and not self.base, "lora needs a base"),
            (
                self.seen_only and (self.base or self.text or self.listen),
                "seen_only goes with a shape, listen=0, no text",
            ),
            (not 0 <= self.text_share < 1, "text_share must be at least 0 and below 1"),
            (self.text_share and not self.text, "text_share needs text files"),
            (
                min(self.steps, self.length, self.batch, self.accumulate) < 1,
                "steps, length and batch are at least 1",
            ),
        ]
        for wrong, message in problems:
            if wrong:
                raise RecipeError(f"recipe: {message}")


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a TOML file, or of a name in the package, with KEY=VALUE changes.

    Raises RecipeError.
    """
    values = read_toml(find_recipe(name, SHIPPED))
    for change in changes:
        apply_change(values, change)
    return build(Recipe, values, "recipe")
