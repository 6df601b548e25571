"""What LLaSA needs beyond the core install, asked for by name when it is missing."""

from __future__ import annotations

from xcodec2 import extras


def require_llasa(*modules: str) -> None:
    """MissingExtraError that says what to install when one of the modules is not there."""
    extras.require(*modules, extra="llasa", purpose="LLaSA")
