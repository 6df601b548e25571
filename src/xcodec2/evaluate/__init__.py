"""How good a codec is: metrics, evaluators, baselines, and a report of them.

Examples:
    >>> from xcodec2.evaluate import FunctionSystem, evaluate
    >>> mine = FunctionSystem("mine", lambda waveform: waveform * 0.5, bit_rate=800)
    >>> summary = evaluate(
    ...     "speech/", "report/", models=["nano"], baselines=["opus@6k"], systems=[mine]
    ... )
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

if TYPE_CHECKING:
    from xcodec2.evaluate.evaluation import evaluate
    from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
    from xcodec2.evaluate.systems.system import Decoded, FunctionSystem, System
    from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

__all__ = [
    "Column",
    "Decoded",
    "FunctionSystem",
    "Metric",
    "Pair",
    "System",
    "TokenizerSystem",
    "evaluate",
]

_HOMES = {
    "Column": "xcodec2.evaluate.metrics.metric",
    "Decoded": "xcodec2.evaluate.systems.system",
    "FunctionSystem": "xcodec2.evaluate.systems.system",
    "Metric": "xcodec2.evaluate.metrics.metric",
    "Pair": "xcodec2.evaluate.metrics.metric",
    "System": "xcodec2.evaluate.systems.system",
    "TokenizerSystem": "xcodec2.evaluate.systems.tokenizer",
    "evaluate": "xcodec2.evaluate.evaluation",
}

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
