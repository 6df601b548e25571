"""A recipe: every number of one training run of a language model, as TOML."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xcodec2.llasa.tokens import LlasaError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS = typing.get_args(Precision)
SHIPPED = Path(__file__).parent / "recipes"


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
    seen_only: bool = False  # one row stands for all tokens that the rows do not hold: cheap, for small fixed sets
    lora: dict[str, Any] = field(default_factory=dict)  # fields of peft's LoraConfig; empty: all weights learn

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

    text: list[str] = field(default_factory=list)  # plain text files, a document a line, mixed in to keep a base's text
    text_share: float = 0.0  # of all tokens

    log_every: int = 10
    save_every: int = 500
    keep: int = 2
    validate_every: int = 500
    validate_packs: int = 64
    listen: int = 4  # validation texts spoken at each validation
    codec: str = ""  # what decodes them; empty: the codec that the rows name
    one_voice: bool = False  # the model will know one voice only, and take no voice prompt
    trainer: dict[str, Any] = field(default_factory=dict)  # further TrainingArguments: fsdp, gradient_checkpointing, …

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
            (min(self.steps, self.length, self.batch, self.accumulate) < 1, "steps, length and batch are at least 1"),
        ]
        for wrong, message in problems:
            if wrong:
                raise LlasaError(f"recipe: {message}")


def read_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a TOML file, or of a name in the package, with KEY=VALUE changes (values in TOML's syntax)."""
    path = SHIPPED / f"{name}.toml" if not name.endswith(".toml") else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise LlasaError(f"{name}: no such recipe; give a TOML file or one of {known}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise LlasaError(f"{path}: not TOML ({problem})") from problem
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise LlasaError(f"{change!r}: a change is KEY=VALUE")
        set_value(values, key.strip().split("."), parsed(value.strip()))
    fields = {item.name: item for item in dataclasses.fields(Recipe)}
    for key in values:
        if key not in fields:
            raise LlasaError(f"{path}: unknown key {key!r}")
    required = [name for name, item in fields.items() if is_required(item) and name not in values]
    if required:
        raise LlasaError(f"{path}: {', '.join(required)} missing; give it as KEY=VALUE")
    return Recipe(**{key: checked(key, value, fields[key].type) for key, value in values.items()})


def is_required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def set_value(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise LlasaError(f"{'.'.join(keys)}: {key} holds a value and no table")
    values[keys[-1]] = value


def parsed(value: str) -> Any:
    """TOML, or plain text where that is no TOML."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def checked(key: str, value: Any, kind: Any) -> Any:
    """The value as its field has it; LlasaError when it is of another type."""
    text = str(kind)
    if key == "betas":
        good, value = isinstance(value, list) and len(value) == 2, tuple(value) if isinstance(value, list) else value
    elif text.startswith("list"):
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
    elif text.startswith("dict"):
        good = isinstance(value, dict)
    elif text == "Precision":
        good = value in PRECISIONS
    elif text == "float":
        good, value = isinstance(value, (int, float)) and not isinstance(value, bool), value
    elif text == "int":
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, bool if text == "bool" else str)
    if not good:
        raise LlasaError(f"recipe: {key} cannot be {value!r}")
    return value
