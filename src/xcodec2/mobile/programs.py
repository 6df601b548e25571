"""ExecuTorch's programs: how a graph is written as one, and how it is run.

ExecuTorch is imported only when it is needed. A program looks to streams like a session of ONNX
Runtime's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from xcodec2.errors import CheckpointError
from xcodec2.extras import require
from xcodec2.onnx.runtime import Array

ENCODER, DECODER, FACTS = "encoder.pte", "decoder.pte", "codec.json"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex: a program says nothing of its model."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Input(NamedTuple):
    """What a program takes."""

    name: str
    shape: tuple[int, ...]


class PhoneProgram:
    """A .pte file in ExecuTorch's Python runtime.

    Args:
        path: Of the file.

    Raises:
        CheckpointError: It is damaged.
    """

    def __init__(self, path: Path) -> None:
        runtime = require("executorch.runtime", extra="executorch", purpose="an ExecuTorch model")
        try:
            self.program = runtime.Runtime.get().load_program(path)
            self.method = self.program.load_method("forward")
        except Exception as problem:  # the runtime's own errors have no common base
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise CheckpointError(
                f"{path}: ExecuTorch cannot load it ({reason}); export the model again"
            ) from problem

    def get_inputs(self) -> list[Input]:
        """In their order: frames, start, length, then caches."""
        facts = self.method.metadata
        return named_inputs(
            [tuple(facts.input_tensor_meta(i).sizes()) for i in range(facts.num_inputs())]
        )

    def run(self, outputs: None, feeds: dict[str, Array]) -> list[Array]:
        """All results, for inputs in their order."""
        inputs = [torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values()]
        return [result.numpy().copy() for result in self.method.execute(inputs)]


def named_inputs(shapes: list[tuple[int, ...]]) -> list[Input]:
    """Inputs, which have no names in the file, by those that streams know."""
    names = ["frames", "start", "length", *(f"cache_{i}" for i in range(len(shapes) - 3))]
    return [Input(*item) for item in zip(names, shapes, strict=True)]


def require_executorch() -> Any:
    """ExecuTorch's exporter; raises MissingExtraError without it."""
    return require(
        "executorch.exir",
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        extra="executorch",
        purpose="export to ExecuTorch",
    )


def write_program(module: nn.Module, examples: tuple[Tensor, ...], path: Path) -> None:
    """A graph as a .pte: XNNPACK computes what is float32, portable operations spectra (float64)
    and masks.
    """
    exir = require_executorch()
    xnnpack = require(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", extra="executorch"
    )
    with torch.enable_grad():  # otherwise products of oneDNN's are traced
        program = torch.export.export(module, examples, strict=False)
    edge = exir.to_edge_transform_and_lower(
        program,
        partitioner=[xnnpack.XnnpackPartitioner()],
        compile_config=exir.EdgeCompileConfig(_check_ir_validity=False),
    )
    path.write_bytes(edge.to_executorch().buffer)
