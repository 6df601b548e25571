"""The old name of `xcodec2.evaluators`, for one release."""

from __future__ import annotations

from typing import Any

from xcodec2 import errors, evaluators
from xcodec2.deprecation import warn_renamed

_RENAMED = {"recogniser": "asr", "rater": "mos_predictor", "speaker_encoder": "speaker_encoder"}


def __getattr__(name: str) -> Any:
    if name == "JudgeError":
        warn_renamed("judges.JudgeError", "xcodec2.errors.EvaluatorError")
        return errors.EvaluatorError
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warn_renamed(f"judges.{name}", f"xcodec2.evaluators.{_RENAMED[name]}")
    return getattr(evaluators, _RENAMED[name])
