"""Writing checkpoints: in transformers' form, or our own where it has none."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils import parametrize

from xcodec2.codec.checkpoints import transformers
from xcodec2.codec.checkpoints.hub import INDEX_FILE, WEIGHT_FILES
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
        settings, preprocessor = {"model_type": OWN_MODEL_TYPE} | config.to_dict(), None
    else:
        settings = transformers.write_config(config)
        preprocessor = transformers.feature_extractor_settings(config)
    write_folder(Path(folder), plain_state(model), settings, max_shard_size, preprocessor)


def write_folder(
    folder: Path,
    state: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    max_shard_size: int | str | None = None,
    preprocessor: Mapping[str, Any] | None = None,
) -> None:
    """The weights, in one file or several with an index, config.json and, for transformers, that of
    the preprocessor, each under a temporary name first. What another form left there is removed.

    Raises:
        CheckpointError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{folder}: cannot be made a folder ({problem})") from problem
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    files, index = sharded(tensors, max_shard_size)
    for name, keys in files.items():
        write_tensors(folder / name, {key: tensors[key] for key in keys})
    if index:
        write_json(folder / INDEX_FILE, index)
    write_json(folder / "config.json", settings)
    if preprocessor:
        write_json(folder / PREPROCESSOR_FILE, preprocessor)
    else:
        (folder / PREPROCESSOR_FILE).unlink(missing_ok=True)
    for old in weights_in(folder) - {*files, *([INDEX_FILE] if index else [])}:
        (folder / old).unlink(missing_ok=True)


def weights_in(folder: Path) -> set[str]:
    """Names of files that an earlier save may have left, which would be read before a new one's."""
    shards = {file.name for file in folder.glob("model-*-of-*.safetensors")}
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


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One safetensors file, under a temporary name first.

    Raises:
        CheckpointError: It cannot be written.
    """
    with replacing(path, CheckpointError) as file:
        mode = os.fstat(
            file.fileno()
        ).st_mode  # as the user's umask wants it; safetensors writes a private file
        try:
            safetensors.torch.save_file(dict(tensors), file.name, metadata={"format": "pt"})
        except SafetensorError as problem:
            raise CheckpointError(
                f"{path.parent}: the weights cannot be written ({problem})"
            ) from problem
        os.chmod(file.name, mode)


def write_json(path: Path, settings: Mapping[str, Any]) -> None:
    """`settings` as JSON, under a temporary name first."""
    with replacing(path, CheckpointError) as file:
        file.write((json.dumps(settings, indent=2) + "\n").encode())


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
