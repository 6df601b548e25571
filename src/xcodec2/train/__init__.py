"""Training: a recipe in, a codec out.

Examples:
    >>> from xcodec2.train import train
    >>> folder = train("finetune", ["run.out=runs/mine", 'data.sources=[{path="speech"}]'])
    >>> folder                                  # runs/mine/model, for from_pretrained
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

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

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
