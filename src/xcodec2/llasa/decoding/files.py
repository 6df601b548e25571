"""A Llama's weights from its files alone, without transformers and without a second copy."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.llasa.decoding.library import load_llama
from xcodec2.llasa.decoding.llama import LlamaDecoder
from xcodec2.llasa.decoding.numbers import Numbers
from xcodec2.llasa.decoding.shape import LlamaShape

if TYPE_CHECKING:
    import torch

TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
}


def read_llama(folder: Path, dtype: torch.dtype | None = None) -> LlamaDecoder | None:
    """The Llama of a folder on the CPU.

    Args:
        folder: With config.json and safetensors.
        dtype: Weights are rounded to it; numbers that are stored in fewer bits stay as they are.
            float32 when None.

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
        stored: dict[str, Numbers] = {}
        maps = [mapped_file(path) for path in weight_files(folder)]
        for mapped in maps:
            stored |= read_safetensors(mapped)
        if {name: numbers.shape for name, numbers in stored.items()} != shape.weights():
            return None
        name = str(dtype or "float32").rpartition(".")[2]

        def weight(key: str) -> Numbers:
            for mapped in maps:  # what was read was copied: without this all would be there twice
                forget_pages(mapped)
            return stored[key] if name == "float32" else stored[key].to(name)

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


def mapped_file(path: Path) -> mmap.mmap:
    """A file as memory, of which only what is looked at is read."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def forget_pages(mapped: mmap.mmap) -> None:
    """Give back the memory of what was read of a file; it is read again when it is needed again."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def read_safetensors(mapped: mmap.mmap) -> dict[str, Numbers]:
    """The tensors of a file, by name; they stay in the file until they are looked at.

    safetensors' own reader gives NumPy no bfloat16.

    Raises:
        ValueError: For a file that is none, or of other types.
    """
    data = np.frombuffer(mapped, np.uint8)
    size = int(data[:8].view("<u8")[0])
    header = json.loads(data[8 : 8 + size].tobytes())
    header.pop("__metadata__", None)
    found = {}
    for name, facts in header.items():
        dtype, (first, last) = TYPES[facts["dtype"]], facts["data_offsets"]
        part = data[8 + size + first : 8 + size + last]
        if not 0 <= first <= last <= len(data) - 8 - size:
            raise ValueError(f"{name} lies outside of the file")
        found[name] = Numbers(part.view(dtype).reshape(facts["shape"]))
    return found
