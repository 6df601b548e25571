"""Training: a recipe in, a codec out.

Examples:
    >>> from xcodec2.train import train
    >>> folder = train("finetune", ["run.out=runs/mine", 'data.sources=[{path="speech"}]'])
    >>> folder                                  # runs/mine/model, for from_pretrained
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcodec2.train.loop import export_newest, train
    from xcodec2.train.recipe import Recipe, read_recipe

__all__ = ["Recipe", "export_newest", "read_recipe", "train"]

_HOMES = {
    "Recipe": "xcodec2.train.recipe",
    "export_newest": "xcodec2.train.loop",
    "read_recipe": "xcodec2.train.recipe",
    "train": "xcodec2.train.loop",
}


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
