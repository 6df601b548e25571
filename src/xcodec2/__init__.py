"""XCodec2: 16 kHz speech → 50 tokens a second from one codebook of 65536 → speech.

Examples:
    >>> from xcodec2 import XCodec2Model
    >>> model = XCodec2Model.from_pretrained()          # the bundled model
    >>> codes = model.encode("speech.wav")
    >>> waveform = model.decode(codes)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xcodec2.moved import install

if TYPE_CHECKING:
    from xcodec2.codec.config import XCodec2Config
    from xcodec2.codes import Codes
    from xcodec2.errors import XCodec2Error
    from xcodec2.model import XCodec2Model

__version__ = "0.1.0"
__all__ = ["Codes", "XCodec2Config", "XCodec2Error", "XCodec2Model", "__version__"]

_HOMES = {
    "Codes": "xcodec2.codes",
    "XCodec2Config": "xcodec2.codec.config",
    "XCodec2Error": "xcodec2.errors",
    "XCodec2Model": "xcodec2.model",
}


install()


def __getattr__(name: str) -> Any:
    """Import torch only when something that needs it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted(__all__)
