"""One name, one meaning: what is public at the top of a module is defined in no other one."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import xcodec2

PACKAGE = Path(xcodec2.__file__).parent

#: Name → modules that all define it, and why.
REASONS = {
    "Decoded": ({"codec.decoder", "evaluate.systems.system"}, "what decoding gives: tensors, and"
                " the public one of a system under evaluation"),
    "can_run": ({"codec.kernels.snake_cpu", "codec.kernels.snake_triton"}, "one interface"),
    "snake": ({"codec.kernels.snake_cpu", "codec.kernels.snake_triton"}, "one interface"),
    "run": ({"extract.cluster", "extract.local", "train.engines.graphs"}, "of several engines"),
    "main": ({"cli", "evaluators.fetch"}, "what a program starts with"),
    "train": ({"llasa.training.train", "train.loop"}, "runs a recipe: of an LM, of a codec"),
    "normalize": ({"evaluators.text", "llasa.text.normalize"}, "text: for counting errors, and for"
                  " reading it out"),
    "export": ({"onnx.export", "train.run_folder"}, "writes a model: as ONNX, and a run's"),
    "Batches": ({"train.data.crops", "train.tasks.distillation"}, "what the loop asks of a task"),
    **dict.fromkeys(
        ["Step", "delayed"], ({"codec.step", "mlx.step"}, "one interface: of PyTorch, of MLX")
    ),
    **dict.fromkeys(
        ["mel_filters", "povey_window", "kaldi_fbank", "log_spectra"],
        ({"codec.features", "codec.compiled.arithmetic"}, "one meaning: in PyTorch, in NumPy"),
    ),
    **dict.fromkeys(
        ["encode_frames", "decode_frames"],
        ({"codec.inference.frames", "codec.inference.compiled"}, "one interface"),
    ),
    "pieces_of": ({"quick_streams", "streaming"}, "what a stream can give: in NumPy, in PyTorch"),
    **dict.fromkeys(
        ["starting_state", "train_step", "validate"],
        ({"train.tasks.codec", "train.tasks.distillation"}, "what the loop asks of a task"),
    ),
}  # fmt: skip


def test_no_public_name_is_defined_twice_without_a_reason():
    homes = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            # A command is named by its verb, as the function that it calls is.
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not is_command(node):
                homes[node.name].add(module)
    twice = {
        name: modules
        for name, modules in homes.items()
        if len(modules) > 1 and not name.startswith("_")
    }
    expected = {name: modules for name, (modules, _) in REASONS.items()}
    assert twice == expected


def is_command(node: ast.ClassDef | ast.FunctionDef) -> bool:
    decorators = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return any(isinstance(d, ast.Attribute) and d.attr == "command" for d in decorators)
