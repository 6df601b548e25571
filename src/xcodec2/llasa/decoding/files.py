"""A Llama's weights from its files alone, without transformers and without a second copy."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from xcodec2.llasa.decoding.library import load_llama
from xcodec2.llasa.decoding.llama import LlamaDecoder
from xcodec2.llasa.decoding.shape import LlamaShape


def read_llama(folder: Path, dtype: torch.dtype) -> LlamaDecoder | None:
    """The Llama of a folder on the CPU.

    Args:
        folder: With config.json and safetensors.
        dtype: Weights are rounded to it; numbers that are stored in fewer bits stay as they are.

    Returns:
        None when the folder holds anything else, or not all of it: transformers' loader has the
        say then.
    """
    if load_llama() is None:
        return None
    try:
        shape = LlamaShape.of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        if shape is None or (folder / "adapter_config.json").exists():
            return None
        with ExitStack() as stack:
            places: dict[str, Any] = {}
            for path in weight_files(folder):
                file = stack.enter_context(safe_open(path, framework="pt", device="cpu"))
                places.update(dict.fromkeys(file.keys(), file))
            shapes = {
                name: tuple(file.get_slice(name).get_shape()) for name, file in places.items()
            }
            if shapes != shape.weights():
                return None

            def weight(name: str) -> torch.Tensor:
                tensor: torch.Tensor = places[name].get_tensor(name)
                return tensor if dtype == torch.float32 else tensor.to(dtype)

            return LlamaDecoder(shape, weight)
    except Exception:  # whatever it is, transformers' loader names it
        return None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, one or several."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [folder / "model.safetensors"]
    names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    if any(Path(name).name != name for name in names):
        raise ValueError("a file of weights is outside of its folder")
    return [folder / name for name in sorted(names)]
