"""The report: one HTML page with everything in it, that needs nothing from anywhere."""

from __future__ import annotations

from .page import page

__all__ = ["page"]
