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
from xcodec2.codec.checkpoints.load import OWN_MODEL_TYPE
from xcodec2.codec.inference import int8
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import CheckpointError
from xcodec2.files import replacing


def save_network(model: CodecNetwork, folder: str | Path) -> None:
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
        settings = {"model_type": OWN_MODEL_TYPE} | config.to_dict()
    else:
        settings = transformers.write_config(config)
    write_folder(Path(folder), plain_state(model), settings)
    if settings["model_type"] != OWN_MODEL_TYPE:
        write_json(
            Path(folder) / "preprocessor_config.json",
            transformers.feature_extractor_settings(config),
        )


def write_folder(folder: Path, state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    """model.safetensors and config.json, each under a temporary name first."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{folder}: cannot be made a folder ({problem})") from problem
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    with replacing(folder / "model.safetensors", CheckpointError) as file:
        mode = os.fstat(
            file.fileno()
        ).st_mode  # as the user's umask wants it; safetensors writes a private file
        try:
            safetensors.torch.save_file(tensors, file.name, metadata={"format": "pt"})
        except SafetensorError as problem:
            raise CheckpointError(
                f"{folder}: the weights cannot be written ({problem})"
            ) from problem
        os.chmod(file.name, mode)
    write_json(folder / "config.json", settings)


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
