"""Speech and codes over HTTP and WebSocket: `xcodec2 serve`, and an app for one's own deployment.

Examples:
    >>> from xcodec2.serve import create_app
    >>> app = create_app()                              # the bundled models
    >>> app = create_app(speaker, keys=["secret"])      # any ASGI server runs it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

if TYPE_CHECKING:
    from xcodec2.serve.app import create_app
    from xcodec2.serve.limits import Limits

__all__ = ["Limits", "create_app"]

_HOMES = {"Limits": "xcodec2.serve.limits", "create_app": "xcodec2.serve.app"}

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
