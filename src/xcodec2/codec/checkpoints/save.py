"""Writing checkpoints: in transformers' form, or our own where it has none."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils import parametrize

from xcodec2.codec.checkpoints import transformers
from xcodec2.codec.checkpoints.hub import (
    CONFIG_FILE,
    INDEX_FILE,
    SHARD,
    UNFINISHED,
    WEIGHT_FILES,
)
from xcodec2.codec.checkpoints.load import OWN_MODEL_TYPE
from xcodec2.codec.inference import int8
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import CheckpointError
from xcodec2.files import replacing

PREPROCESSOR_FILE = "preprocessor_config.json"  # of transformers' form alone


def save_network(
    model: CodecNetwork, folder: str | Path, *, max_shard_size: int | str | None = None
) -> None:
    """Write a network to `folder`; see `XCodec2Model.save_pretrained`.

    Raises:
        CheckpointError: it is not whole, or the disk refuses.
    """
    if model.decoder_only:
        raise CheckpointError(
            "a model loaded with decoder_only=True is not whole and cannot be saved; "
            "load it without"
        )
    if int8.is_quantized(model.acoustic_decoder):
        raise CheckpointError(
            "a model loaded with dtype=torch.int8 has lost its weights and cannot be saved; "
            "load it again"
        )
    config = model.config
    if reason := transformers.inexpressible(config):
        warnings.warn(
            f"written in open-xcodec2's own form: transformers cannot express {reason}",
            stacklevel=3,
        )
        settings = {CONFIG_FILE: {"model_type": OWN_MODEL_TYPE} | config.to_dict()}
    else:
        settings = {
            CONFIG_FILE: transformers.write_config(config),
            PREPROCESSOR_FILE: transformers.feature_extractor_settings(config),
        }
    write_folder(Path(folder), plain_state(model), settings, max_shard_size)


def write_folder(
    folder: Path,
    state: Mapping[str, Tensor],
    settings: Mapping[str, Mapping[str, Any]],
    max_shard_size: int | str | None = None,
) -> None:
    """The weights, in one file or several with an index, and what stands beside them. What another
    form left there is removed.

    Everything is written under temporary names first. Interrupted at any point, the folder is the
    model that it was, or the new one, or is refused: it is never a mixture.

    Args:
        folder: Made when it is missing.
        state: The weights.
        settings: Contents of config.json and its like, by file name.
        max_shard_size: Of one file.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{folder}: cannot be made a folder ({problem})") from problem
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    files, index = sharded(tensors, max_shard_size)
    texts = {name: as_json(content) for name, content in settings.items()}
    texts |= {INDEX_FILE: as_json(index)} if index else {}
    whole = folder / WEIGHT_FILES[0]
    with ExitStack() as renamed:  # the last one first
        for name, keys in files.items():
            write_tensors(
                renamed.enter_context(replacing(folder / name, CheckpointError)),
                {key: tensors[key] for key in keys},
            )
        for name, text in texts.items():
            file = renamed.enter_context(replacing(folder / name, CheckpointError))
            file.write(text)
            file.flush()  # a full disk is noticed here
        if index or any(bytes_in(folder / name) != text for name, text in texts.items()):
            mark_unfinished(whole, follow=not index)
    for old in (weights_in(folder) | {PREPROCESSOR_FILE}) - {*files, *texts, whole.name}:
        (folder / old).unlink(missing_ok=True)
    if index:
        whole.unlink(missing_ok=True)


def mark_unfinished(whole: Path, *, follow: bool) -> None:
    """Put something unreadable where every reader looks first, until it is replaced or removed.

    Args:
        whole: The single file of weights.
        follow: Whether it is what a symbolic link of that name points to that will be replaced.
    """
    if whole.is_symlink() and not follow:
        whole.unlink()
    with replacing(whole, CheckpointError) as file:
        file.write(UNFINISHED)


def weights_in(folder: Path) -> set[str]:
    """Names of files that an earlier save may have left."""
    shards = {file.name for file in folder.iterdir() if SHARD.fullmatch(file.name)}
    return shards | {name for name in (WEIGHT_FILES[0], INDEX_FILE) if (folder / name).is_file()}


def sharded(
    tensors: Mapping[str, Tensor], max_shard_size: int | str | None
) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Which file holds which tensors, and their index; none for a single file.

    Raises:
        CheckpointError: `max_shard_size` is no size.
    """
    if max_shard_size is None:
        return {WEIGHT_FILES[0]: list(tensors)}, {}
    from huggingface_hub import split_torch_state_dict_into_shards

    try:
        split = split_torch_state_dict_into_shards(dict(tensors), max_shard_size=max_shard_size)
    except (ValueError, TypeError) as problem:
        raise CheckpointError(
            f"max_shard_size is a number of bytes or such as '1GB', not {max_shard_size!r}"
        ) from problem
    index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    return split.filename_to_tensors, index if split.is_sharded else {}


def write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file.

    Raises:
        CheckpointError: It cannot be written.
    """
    mode = os.fstat(
        file.fileno()
    ).st_mode  # as the user's umask wants it; safetensors writes a private file
    try:
        safetensors.torch.save_file(dict(tensors), file.name, metadata={"format": "pt"})
    except SafetensorError as problem:
        raise CheckpointError(
            f"{Path(file.name).parent}: the weights cannot be written ({problem})"
        ) from problem
    os.chmod(file.name, mode)


def as_json(settings: Mapping[str, Any]) -> bytes:
    """A file's content."""
    return (json.dumps(settings, indent=2) + "\n").encode()


def bytes_in(path: Path) -> bytes | None:
    """Of a file; None where there is none."""
    return path.read_bytes() if path.is_file() else None


def plain_state(model: CodecNetwork) -> dict[str, Tensor]:
    """The state dict with weight norm folded into plain weights."""
    state = {
        key: tensor.detach()
        for key, tensor in model.state_dict(keep_vars=True).items()  # no copies
        if ".parametrizations." not in key
    }
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            state[f"{name}.weight"] = module.weight
    return state
