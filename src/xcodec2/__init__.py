"""XCodec2: 16 kHz speech → 50 tokens a second from one codebook of 65536 → speech.

Examples:
    >>> from xcodec2 import XCodec2Model
    >>> model = XCodec2Model.from_pretrained()          # the bundled model
    >>> codes = model.encode("speech.wav")
    >>> waveform = model.decode(codes)
"""

from __future__ import annotations

from xcodec2.lazy import exports
from xcodec2.moved import install

TYPE_CHECKING = False  # typing's own would double the time that this import takes
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

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
