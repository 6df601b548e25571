"""Codes → text: a small CTC model reads a codec's tokens, without decoding them to sound.

Examples:
    >>> from xcodec2.transcribe import Transcriber
    >>> transcriber = Transcriber.load("ctc.safetensors")
    >>> transcriber.transcribe(codes).text
    'hello there'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

if TYPE_CHECKING:
    from xcodec2.transcribe.decoding import Timed, Transcript
    from xcodec2.transcribe.measuring import TextInCodes, text_in_codes
    from xcodec2.transcribe.network import CtcConfig, CtcNetwork
    from xcodec2.transcribe.training import CtcRecipe, train_ctc
    from xcodec2.transcribe.transcriber import Transcriber

_HOMES = {
    "CtcConfig": "xcodec2.transcribe.network",
    "CtcNetwork": "xcodec2.transcribe.network",
    "CtcRecipe": "xcodec2.transcribe.training",
    "TextInCodes": "xcodec2.transcribe.measuring",
    "Timed": "xcodec2.transcribe.decoding",
    "Transcriber": "xcodec2.transcribe.transcriber",
    "Transcript": "xcodec2.transcribe.decoding",
    "text_in_codes": "xcodec2.transcribe.measuring",
    "train_ctc": "xcodec2.transcribe.training",
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

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
