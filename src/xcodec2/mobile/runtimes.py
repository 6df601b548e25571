"""ExecuTorch and LiteRT: how a graph is written for each, and how its file is run.

Both are opened only when they are needed. A session looks to streams like one of ONNX Runtime's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from xcodec2.errors import CheckpointError
from xcodec2.extras import require
from xcodec2.onnx.runtime import Array

ENCODER, DECODER, FACTS = "encoder", "decoder", "codec.json"


class Input(NamedTuple):
    """What a graph takes."""

    name: str
    shape: tuple[int, ...]


class Session(Protocol):
    """An opened file."""

    def get_inputs(self) -> list[Input]:
        """In their order: frames, start, length, then caches."""

    def run(self, outputs: None, feeds: dict[str, Array]) -> list[Array]:
        """All results, for inputs in their order."""


class Runtime(NamedTuple):
    """What is different between the two."""

    suffix: str
    require_exporter: Callable[[], Any]
    write: Callable[[nn.Module, tuple[Tensor, ...], Path], None]
    open: Callable[[Path], Session]


# ---- ExecuTorch ----------------------------------------------------------------------------------


def require_executorch() -> Any:
    """Raise MissingExtraError without ExecuTorch's exporter."""
    return require(
        "executorch.exir",
        "executorch.backends.xnnpack.partition.xnnpack_partitioner",
        extra="executorch",
        purpose="export to ExecuTorch",
    )


def write_executorch(module: nn.Module, examples: tuple[Tensor, ...], path: Path) -> None:
    """A .pte: XNNPACK where it is float32, portable operations for spectra (float64) and masks."""
    exir = require_executorch()
    partitioner = require(
        "executorch.backends.xnnpack.partition.xnnpack_partitioner", extra="executorch"
    )
    with torch.enable_grad():  # otherwise products of oneDNN's are traced
        program = torch.export.export(module, examples, strict=False)
    edge = exir.to_edge_transform_and_lower(
        program,
        partitioner=[partitioner.XnnpackPartitioner()],
        compile_config=exir.EdgeCompileConfig(_check_ir_validity=False),
    )
    path.write_bytes(edge.to_executorch().buffer)


class ExecutorchSession:
    """A .pte in ExecuTorch's Python runtime."""

    def __init__(self, path: Path) -> None:
        runtime = require("executorch.runtime", extra="executorch", purpose="an ExecuTorch model")
        try:
            self.program = runtime.Runtime.get().load_program(path)
            self.method = self.program.load_method("forward")
        except Exception as problem:
            raise unreadable(path, problem) from problem

    def get_inputs(self) -> list[Input]:
        """They have no names in the file."""
        facts = self.method.metadata
        shapes = [facts.input_tensor_meta(i).sizes() for i in range(facts.num_inputs())]
        return named(shapes)

    def run(self, outputs: None, feeds: dict[str, Array]) -> list[Array]:
        """All results, copied: their memory is the next call's."""
        inputs = [torch.from_numpy(np.ascontiguousarray(array)) for array in feeds.values()]
        return [result.numpy().copy() for result in self.method.execute(inputs)]


# ---- LiteRT --------------------------------------------------------------------------------------


def require_litert() -> Any:
    """Raise MissingExtraError without LiteRT's exporter."""
    return require("litert_torch", extra="litert", purpose="export to LiteRT")


def write_litert(module: nn.Module, examples: tuple[Tensor, ...], path: Path) -> None:
    """A .tflite with one signature."""
    with torch.enable_grad():  # otherwise products of oneDNN's are traced
        require_litert().convert(module, examples).export(str(path))


class LitertSession:
    """A .tflite in LiteRT's interpreter, on one thread."""

    def __init__(self, path: Path) -> None:
        runtime = require("ai_edge_litert.interpreter", extra="litert", purpose="a LiteRT model")
        try:
            self.interpreter = runtime.Interpreter(model_path=str(path), num_threads=1)
            self.runner = self.interpreter.get_signature_runner()
        except Exception as problem:
            raise unreadable(path, problem) from problem
        self.inputs = in_order(self.runner.get_input_details())
        self.outputs = in_order(self.runner.get_output_details())

    def get_inputs(self) -> list[Input]:
        """They are numbered in the file."""
        details = self.runner.get_input_details()
        return named([details[name]["shape"] for name in self.inputs])

    def run(self, outputs: None, feeds: dict[str, Array]) -> list[Array]:
        """All results."""
        results = self.runner(**dict(zip(self.inputs, feeds.values(), strict=True)))
        return [results[name] for name in self.outputs]


def in_order(names: Any) -> list[str]:
    """args_0 … args_10, which sort otherwise as text."""
    return sorted(names, key=lambda name: int(name.rpartition("_")[2]))


# ---- both ----------------------------------------------------------------------------------------


def named(shapes: list[Any]) -> list[Input]:
    """Inputs by the names that streams know."""
    names = ["frames", "start", "length", *(f"cache_{i}" for i in range(len(shapes) - 3))]
    return [Input(name, tuple(shape)) for name, shape in zip(names, shapes, strict=True)]


def unreadable(path: Path, problem: Exception) -> CheckpointError:
    """What is raised for a damaged file: the runtimes' own errors have no common base."""
    reason = (str(problem).splitlines() or [type(problem).__name__])[0]
    return CheckpointError(f"{path}: cannot be loaded ({reason}); export the model again")


RUNTIMES = {
    "executorch": Runtime(".pte", require_executorch, write_executorch, ExecutorchSession),
    "litert": Runtime(".tflite", require_litert, write_litert, LitertSession),
}
