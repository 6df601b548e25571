"""The codec as ONNX files: :mod:`~xcodec2.onnx.export` writes them, :mod:`~xcodec2.onnx.runtime`
runs them without PyTorch.
"""

from __future__ import annotations

from xcodec2.onnx.runtime import OnnxCodec

__all__ = ["OnnxCodec"]
