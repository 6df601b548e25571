"""Headless Chromium in tests."""

import os


def no_sandbox() -> list[str]:
    """Chromium's own sandbox does not work for root, as which containers run tests."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []
