"""What LLaSA needs beyond the core install, asked for by name when it is missing."""

from __future__ import annotations

import importlib

from xcodec2.llasa.vocabulary import LlasaError


def require(*modules: str) -> None:
    """LlasaError that says what to install when one of the modules is not there."""
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as problem:
            raise LlasaError(
                f"LLaSA needs {module}: pip install '.[llasa]' in the folder of open-xcodec2"
            ) from problem
