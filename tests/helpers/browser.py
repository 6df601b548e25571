"""A page in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def in_browser(page: Path, content: str, width: int = 1240) -> str:
    """The document after it has loaded, as Chromium has it; `page` says where to put it."""
    browser = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not browser:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    probed = page.with_name("probed.html")
    probed.write_text(content, encoding="utf-8")
    profile = page.with_name("profile")
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        f"--window-size={width},900",
        "--virtual-time-budget=10000",
        "--dump-dom",
        probed.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
