"""Code of the user's own, named on the command line."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from xcodec2.errors import XCodec2Error


def load_object(name: str) -> Any:
    """Import what a user names.

    Args:
        name: `module:attribute`, of a module that is installed or in the current folder, or
            `path/to/file.py:attribute`.

    Returns:
        The attribute.

    Raises:
        XCodec2Error: There is none, or its module cannot be imported.
    """
    place, _, attribute = name.rpartition(":")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except Exception as problem:  # a user's module may raise anything while it is imported
        raise XCodec2Error(
            f"{name}: {place} cannot be imported ({type(problem).__name__}: {problem})"
        ) from problem
    if not hasattr(module, attribute):
        raise XCodec2Error(f"{name}: {place} has no {attribute}")
    return getattr(module, attribute)


def _from_path(name: str) -> ModuleType:
    """Unlike `python -m`, a command does not look for modules in the current folder by itself."""
    here = str(Path.cwd())
    if not {"", here} & set(sys.path):
        sys.path.append(here)
        importlib.invalidate_caches()
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    name = f"xcodec2_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickle look for a class's module
    spec.loader.exec_module(module)
    return module
