"""How good a codec is: metrics, judges, baselines, and a report of them.

>>> from xcodec2.evaluate import FunctionSystem, evaluate
>>> mine = FunctionSystem("mine", lambda waveform: waveform * 0.5, bit_rate=800)
>>> summary = evaluate("speech/", "report/", models=["nano"], baselines=["opus@6k"], functions=[mine])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcodec2.evaluate.evaluation import evaluate
    from xcodec2.evaluate.systems import FunctionSystem

__all__ = ["FunctionSystem", "evaluate"]

_HOMES = {"FunctionSystem": "xcodec2.evaluate.systems", "evaluate": "xcodec2.evaluate.evaluation"}


def __getattr__(name: str) -> Any:
    """Import what is heavy only when it is asked for: training takes a filter bank from here."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
