"""The report: one HTML page with everything in it, that needs nothing from anywhere."""

from __future__ import annotations

from xcodec2.evaluate.report.page import page

__all__ = ["page"]
