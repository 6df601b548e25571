"""The old name of `python -m xcodec2.evaluators.fetch`, for one release."""

from __future__ import annotations

from xcodec2.deprecation import warn_renamed
from xcodec2.evaluators.fetch import main

warn_renamed("xcodec2.evaluate.judges.fetch", "xcodec2.evaluators.fetch", stacklevel=1)

if __name__ == "__main__":
    main()
