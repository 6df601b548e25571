"""Packages whose public names are imported when they are asked for, so that a face costs nothing
before it is used.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package.

    Args:
        package: Its name.
        homes: Public name → the module that it is imported from.

    Returns:
        Two functions: the first raises AttributeError for a name that has no home, the second
        gives the package's `__all__`, imported or not.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return load, lambda: sorted(sys.modules[package].__all__)
