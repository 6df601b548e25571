"""TOML files of settings into frozen dataclasses, every value checked; the recipes of training are
such files.

An unknown key raises, and so does a missing one or a value of another type: a misspelt number must
not be silently the default.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from xcodec2.errors import RecipeError
from xcodec2.extras import require

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = require("tomli", extra="train", purpose="a recipe")


def find_recipe(name_or_path: str, shipped: Path) -> Path:
    """The file of a recipe: one of the folder `shipped` by its name, or a path.

    Raises RecipeError.
    """
    inside = shipped / f"{name_or_path}.toml"
    if "/" not in name_or_path and inside.is_file():
        return inside
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = ", ".join(sorted(file.stem for file in shipped.glob("*.toml")))
    raise RecipeError(f"{name_or_path}: no such recipe; give a TOML file or one of {names}")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a recipe.

    Raises:
        RecipeError: The file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise RecipeError(f"{path}: not a readable recipe ({problem})") from problem


def apply_change(values: dict[str, Any], change: str) -> None:
    """Put `key.key=value` into tables; the value is TOML, or a string where that is no TOML.

    Raises:
        RecipeError: It is not written so, or its key lies under a value.
    """
    name, equals, text = change.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"{change!r}: a change is KEY=VALUE, the key of a table with a dot")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{change!r}: {key} is a value, not a table")
    values[keys[-1]] = value


def build(kind: Any, value: Any, place: str) -> Any:
    """`value` as TOML gives it → an instance of the annotated type, checked.

    Raises:
        RecipeError: It is of another type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return build(arguments[0], value, place)
    if dataclasses.is_dataclass(kind):
        return build_table(kind, value, place)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{place}: must be a list, not {value!r}")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise RecipeError(f"{place}: must have {len(kinds)} values, not {len(value)}")
        return tuple(
            build(k, v, f"{place}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is Literal:
        if value not in arguments:
            raise RecipeError(
                f"{place}: must be one of {', '.join(map(repr, arguments))}, not {value!r}"
            )
        return value
    if origin is list:
        if not isinstance(value, list):
            raise RecipeError(f"{place}: must be a list, not {value!r}")
        return [build(arguments[0], item, f"{place}[{i}]") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise RecipeError(f"{place}: must be a table, not {value!r}")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        raise RecipeError(f"{place}: must be of type {kind.__name__}, not {value!r}")
    return value


def build_table(kind: Any, value: Any, place: str) -> Any:
    """A table → an instance of a dataclass, checked.

    Args:
        kind: The dataclass.
        value: The table.
        place: Its name in the recipe, for errors.

    Raises:
        RecipeError: The table lacks a key, or has one that is unknown or of another type.
    """
    if not isinstance(value, Mapping):
        raise RecipeError(f"{place}: must be a table, not {value!r}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise RecipeError(f"{place}: unknown {', '.join(unknown)}; known are {', '.join(fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in value
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeError(f"{place}: lacks {', '.join(missing)}")
    return kind(
        **{name: build(hints[name], item, f"{place}.{name}") for name, item in value.items()}
    )
