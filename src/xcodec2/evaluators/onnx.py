"""ONNX Runtime, one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xcodec2.extras import require


def session(path: Path) -> Any:
    """An inference session on the CPU. Raises MissingExtraError without ONNX Runtime."""
    onnxruntime = require("onnxruntime", extra="evaluate", purpose="this evaluator")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
