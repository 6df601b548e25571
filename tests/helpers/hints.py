"""The command that an error names where an optional library is missing."""

from pathlib import Path

from paths import ROOT

import xcodec2


def install_hint(extra: str) -> str:
    """A pattern of it: in a clone its extra, elsewhere libraries."""
    in_clone = Path(xcodec2.__file__).is_relative_to(ROOT)
    return rf"run `pip install -e .*\[{extra}\]'?`" if in_clone else r"run `pip install [\w -]+`"
