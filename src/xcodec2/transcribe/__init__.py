"""Codes → text: a small CTC model reads a codec's tokens, without decoding them to sound.

Examples:
    >>> from xcodec2.transcribe import Transcriber
    >>> transcriber = Transcriber.load("ctc.safetensors")
    >>> transcriber.transcribe(codes).text
    'hello there'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xcodec2.transcribe.decoding import Timed, Transcript
    from xcodec2.transcribe.measuring import TextInCodes, text_in_codes
    from xcodec2.transcribe.network import CtcConfig, CtcNetwork
    from xcodec2.transcribe.training import CtcRecipe, train_ctc
    from xcodec2.transcribe.transcriber import Transcriber

_HOMES = {
    "CtcConfig": "network",
    "CtcNetwork": "network",
    "CtcRecipe": "training",
    "TextInCodes": "measuring",
    "Timed": "decoding",
    "Transcriber": "transcriber",
    "Transcript": "decoding",
    "text_in_codes": "measuring",
    "train_ctc": "training",
}
__all__ = [
    "CtcConfig",
    "CtcNetwork",
    "CtcRecipe",
    "TextInCodes",
    "Timed",
    "Transcriber",
    "Transcript",
    "text_in_codes",
    "train_ctc",
]


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
