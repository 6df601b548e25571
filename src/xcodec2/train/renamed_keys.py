"""Keys of recipes by their names of before: read for one more release, with a warning."""

from __future__ import annotations

from typing import Any

from xcodec2.deprecation import warn_renamed
from xcodec2.errors import RecipeError

#: Old key → new key. A key of a table stands behind the table's own change and has its new name.
RENAMED_KEYS = {
    "optimiser": "optimizer",
    "optimizer.rate": "optimizer.learning_rate",
    "optimizer.of_run": "optimizer.relative_steps",
    "discriminator_optimiser": "discriminator_optimizer",
    "discriminator_optimizer.rate": "discriminator_optimizer.learning_rate",
    "discriminator_optimizer.of_run": "discriminator_optimizer.relative_steps",
    "discriminators.period_most": "discriminators.period_max_channels",
    "discriminators.spectrogram_most": "discriminators.spectrogram_max_channels",
    "losses.recogniser": "losses.recognizer",
    "recogniser": "recognizer",
    "data.most_crops": "data.max_crops",
    "data.valid_recogniser": "data.valid_recognizer",
    "data.augment.equaliser": "data.augment.equalizer",
    "data.augment.equaliser_db": "data.augment.equalizer_db",
    "teacher.rate": "teacher.feature_rate",
}


def rename_key(key: str) -> str:
    """The dotted key that a change names → the same with every part as it is called now."""
    for old, new in RENAMED_KEYS.items():
        if key == old or key.startswith(f"{old}."):
            key = new + key[len(old) :]
            warn_renamed(f"recipe key {old}", new, stacklevel=3)
    return key


def rename_keys(values: dict[str, Any], place: str) -> None:
    """Give every key of a recipe's tables the name that it has now, in place.

    Args:
        values: Tables as TOML has them.
        place: Named where a table has a key by both names.

    Raises:
        RecipeError: It has.
    """
    for old, new in RENAMED_KEYS.items():
        *tables, old_name = old.split(".")
        new_name = new.rpartition(".")[2]
        table: Any = values
        for name in tables:
            table = table.get(name) if isinstance(table, dict) else None
        if not isinstance(table, dict) or old_name not in table:
            continue
        if new_name in table:
            raise RecipeError(f"{place}: has both {old} and {new}; keep {new}")
        warn_renamed(f"recipe key {old}", new, stacklevel=3)
        # in its old place among the keys, which the resolved recipe keeps
        items = [(new_name if key == old_name else key, item) for key, item in table.items()]
        table.clear()
        table.update(items)
