"""ONNX Runtime, one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xcodec2.evaluate.judges import JudgeError


def session(path: Path) -> Any:
    """An inference session on the CPU. Raises JudgeError without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError as error:
        raise JudgeError(
            "this judge needs onnxruntime: pip install 'open-xcodec2[evaluate]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
