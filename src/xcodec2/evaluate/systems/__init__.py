"""Systems: whatever turns a waveform into another one that should sound the same."""

from __future__ import annotations

from xcodec2.evaluate.systems.named import baseline, bit_rate
from xcodec2.evaluate.systems.system import Decoded, FunctionSystem, System
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem, all_weights, model_system

__all__ = [
    "Decoded",
    "FunctionSystem",
    "System",
    "TokenizerSystem",
    "all_weights",
    "baseline",
    "bit_rate",
    "model_system",
]
