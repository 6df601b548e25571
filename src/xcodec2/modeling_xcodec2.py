"""The import path of the original package, so that code written for it runs unchanged."""

from xcodec2.codec.config import XCodec2Config
from xcodec2.model import XCodec2Model

__all__ = ["XCodec2Config", "XCodec2Model"]
