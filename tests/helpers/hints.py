"""The command that an error names where an optional library is missing."""

import re
from pathlib import Path

from paths import ROOT

import xcodec2
from xcodec2.extras import BESIDE


def install_hint(extra: str) -> str:
    """A pattern of it: in a clone its extra, elsewhere libraries."""
    in_clone = Path(xcodec2.__file__).is_relative_to(ROOT)
    beside = re.escape(BESIDE.get(extra, ""))
    libraries = rf"-e .*\[{extra}\]'?" if in_clone else r"[\w -]+"
    return rf"run `pip install {beside}{libraries}`"
