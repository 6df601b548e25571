"""Recipes: TOML files of settings into frozen dataclasses, every value checked.

An unknown key raises, and so does a missing one or a value of another type: a misspelt number must
not be silently the default.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from xcodec2.deprecation import warn_renamed
from xcodec2.errors import RecipeError
from xcodec2.extras import require

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = require("tomli", extra="train", purpose="a recipe")

R = TypeVar("R")


@dataclass(frozen=True)
class RecipeReader(Generic[R]):
    """Reads recipes of one kind.

    Attributes:
        kind: The dataclass that a recipe becomes.
        shipped: Folder of the recipes in the package.
        inherits: `base = "NAME"` at the top of a file takes all that the file does not say from
            another recipe.
        renamed_keys: Old dotted key → new key, read for one more release with a warning. A key of
            a table stands behind the table's own change and has the table's new name.
        renamed_recipes: Old name of a recipe in the package → new name.
    """

    kind: type[R]
    shipped: Path
    inherits: bool = False
    renamed_keys: Mapping[str, str] = field(default_factory=dict)
    renamed_recipes: Mapping[str, str] = field(default_factory=dict)

    def read(self, name_or_path: str | Path, changes: Sequence[str] = ()) -> R:
        """A recipe with its changes.

        Args:
            name_or_path: Name of a recipe in the package, or a TOML file.
            changes: `key.key=value` each. Values are TOML; what is not valid TOML is a string.

        Raises:
            RecipeError: The recipe is missing, incomplete, or has an unknown key or a wrong value.
        """
        return self.build(self.tables(str(name_or_path)), changes)

    def build(self, values: dict[str, Any], changes: Sequence[str]) -> R:
        """Tables as TOML has them, with changes as `read` takes them → a recipe.

        Raises:
            RecipeError: They are not those of a recipe.
        """
        for change in changes:
            name, equals, text = change.partition("=")
            apply_change(values, self.current_key(name.strip()) + equals + text)
        # once more, for tables that a change gives whole
        recipe: R = build(self.kind, self.renamed(values, "changes"), "recipe")
        return recipe

    def tables(self, name_or_path: str, above: tuple[Path, ...] = ()) -> dict[str, Any]:
        """A recipe's tables, with those of its base.

        Args:
            name_or_path: As `read` takes it.
            above: The files that have this one as their base, outermost first.

        Raises:
            RecipeError: There is no such recipe, or recipes name each other as base.
        """
        path = self.find(name_or_path)
        if path.resolve() in above:
            chain = " → ".join(file.name for file in (*above, path))
            raise RecipeError(f"{above[0]}: recipes name each other as base: {chain}")
        values = self.renamed(read_toml(path), str(path))
        base = values.pop("base", None) if self.inherits else None
        if base is None:
            return values
        if not isinstance(base, str):
            raise RecipeError(f"{path}: base must name another recipe, not {base!r}")
        return merged(self.tables(base, (*above, path.resolve())), values)

    def find(self, name_or_path: str) -> Path:
        """The file of a recipe in the package, or the path itself.

        Raises:
            RecipeError: There is neither.
        """
        path, new = Path(name_or_path), self.renamed_recipes.get(name_or_path)
        if new and not path.exists():
            warn_renamed(f"recipe: {name_or_path}", new)
            name_or_path = new
        bundled = self.shipped / f"{name_or_path}.toml"
        if "/" not in name_or_path and bundled.is_file():
            return bundled
        if path.is_file():
            return path
        names = ", ".join(sorted(file.stem for file in self.shipped.glob("*.toml")))
        raise RecipeError(f"{name_or_path}: no such recipe; give a TOML file or one of {names}")

    def current_key(self, key: str) -> str:
        """The dotted key that a change names → the same with every part as it is called now."""
        now = ""
        for part in key.split("."):
            old = f"{now}.{part}" if now else part
            now = self.renamed_keys.get(old, old)
            if now != old:
                warn_renamed(f"recipe key {old}", now)
        return now

    def renamed(self, values: Mapping[str, Any], place: str, above: str = "") -> dict[str, Any]:
        """Tables with every key as it is called now.

        Args:
            values: Tables as TOML has them.
            place: Named where a table has a key by both names.
            above: Dotted name of the table, and a dot.

        Raises:
            RecipeError: It has.
        """
        result: dict[str, Any] = {}
        for key, value in values.items():
            now = self.renamed_keys.get(above + key, above + key)
            # A key of a user's own, such as a file's name, may have dots in it.
            name = key if now == above + key else now.rpartition(".")[2]
            if name != key:
                if name in values:
                    raise RecipeError(f"{place}: has both {above}{key} and {now}; keep {now}")
                warn_renamed(f"recipe key {above}{key}", now)
            table = isinstance(value, dict)
            result[name] = self.renamed(value, place, f"{now}.") if table else value
        return result


def refuse(problems: Iterable[tuple[object, str]]) -> None:
    """Check what a recipe's values must have in common.

    Args:
        problems: Of each, whether there is it, and what to say of it.

    Raises:
        RecipeError: There is one.
    """
    for wrong, message in problems:
        if wrong:
            raise RecipeError(f"recipe: {message}")


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Tables with those of `changes` over them, table by table."""
    result = dict(base)
    for key, value in changes.items():
        old, tables = result.get(key), isinstance(value, dict)
        result[key] = merged(old, value) if tables and isinstance(old, dict) else value
    return result


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
        raise RecipeError(f"{change!r}: a change is KEY=VALUE, or TABLE.KEY=VALUE")
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
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise RecipeError(f"{place}: must be a list, not {value!r}")
        fixed = origin is tuple and arguments[-1] is not Ellipsis
        kinds = arguments if fixed else arguments[:1] * len(value)
        if len(kinds) != len(value):
            raise RecipeError(f"{place}: must have {len(kinds)} values, not {len(value)}")
        pairs = enumerate(zip(kinds, value, strict=True))
        return origin(build(k, item, f"{place}[{i}]") for i, (k, item) in pairs)
    if origin is Literal:
        if value not in arguments:
            raise RecipeError(
                f"{place}: must be one of {', '.join(map(repr, arguments))}, not {value!r}"
            )
        return value
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
