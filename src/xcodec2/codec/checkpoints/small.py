"""Reading a small model's files without PyTorch, or finding that PyTorch has to."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from xcodec2.codec.checkpoints import hub
from xcodec2.codec.compiled import library
from xcodec2.codec.compiled.network import suits
from xcodec2.codec.compiled.program import Array
from xcodec2.codec.config import MEL_BINS, XCodec2Config
from xcodec2.codec.constants import PITCH_BINS
from xcodec2.errors import XCodec2Error

OWN_MODEL_TYPE = "open-xcodec2"
DECODER = "acoustic_decoder."


@dataclass(frozen=True)
class SmallModel:
    """A model that the engine runs.

    Attributes:
        name: Of the model.
        config: Its configuration.
        weights: By name, as they lie in the file.
    """

    name: str
    config: XCodec2Config
    weights: Mapping[str, Array]

    @property
    def weights_hash(self) -> str:
        """`XCodec2Model.weights_hash`."""
        digest = hashlib.sha256()
        for key, values in sorted(self.weights.items()):
            if not key.startswith(DECODER):
                digest.update(f"{key}{values.shape}".encode())
                digest.update(np.ascontiguousarray(values, np.float32).data)
        return digest.hexdigest()[:16]

    @property
    def parts(self) -> dict[str, int]:
        """Parameters of each part of the network."""
        names = (
            "quantizer", "acoustic_decoder", "semantic_encoder", "semantic_adapter",
            "acoustic_encoder", "fc_encoder",
        )  # fmt: skip
        return {
            part: sum(
                values.size for key, values in self.weights.items() if key.startswith(f"{part}.")
            )
            for part in names
        }


def read_small(name_or_path: str | Path) -> SmallModel | None:
    """The model of that name where the engine runs it as PyTorch would; None where PyTorch has to
    load it, or say what is wrong with it.
    """
    try:
        with warnings.catch_warnings():  # whoever loads it in this one's place warns
            warnings.simplefilter("error")
            files = hub.find_model(name_or_path)
        if files.config is None or len(files.weights) != 1:
            return None
        settings = json.loads(files.config.read_text(encoding="utf-8"))
        if not isinstance(settings, dict) or settings.pop("model_type", None) != OWN_MODEL_TYPE:
            return None
        config = XCodec2Config.from_dict(settings)
        if not suits(config) or library.load_engine() is None:
            return None
        weights = safetensors.numpy.load_file(files.weights[0])
    except (XCodec2Error, UserWarning, OSError, ValueError, KeyError, SafetensorError):
        return None
    types = {values.dtype for values in weights.values()}
    found = {name: values.shape for name, values in weights.items()}
    if found != shapes(config) or not types <= {np.dtype(np.float16), np.dtype(np.float32)}:
        return None
    return SmallModel(files.name, config, weights)


def shapes(config: XCodec2Config) -> dict[str, tuple[int, ...]]:
    """Of all weights of a model with a spectrogram encoder, by name."""
    found: dict[str, tuple[int, ...]] = {}

    def add(name: str, *weight: int, bias: bool = True) -> None:
        found[f"{name}.weight"] = weight
        if bias:
            found[f"{name}.bias"] = weight[:1]

    semantic, width, latent = config.semantic_width, config.width, config.latent_width
    add("quantizer.project_in", len(config.levels), latent)
    add("quantizer.project_out", latent, len(config.levels))
    add("fc_encoder", latent, latent)
    add("semantic_encoder.feature_projection.layer_norm", config.feature_width)
    add("semantic_encoder.feature_projection.projection", semantic, config.feature_width)
    for index in range(config.semantic_layers):
        add_conformer(add, f"semantic_encoder.encoder.layers.{index}", config)
    for index in (1, 2, 3, 4):
        add(f"semantic_adapter.conv{index}", semantic, semantic, 3, bias=index in (2, 3))
    add("acoustic_encoder.embed", width, config.feature_stack * (MEL_BINS + PITCH_BINS), 3)
    for index in range(config.spectrogram_layers):
        block = f"acoustic_encoder.blocks.{index}"
        add(f"{block}.depthwise", width, 1, 7)
        add(f"{block}.norm", width)
        add(f"{block}.expand", 4 * width, width)
        add(f"{block}.project", width, 4 * width)
    add("acoustic_encoder.norm", width)
    add(f"{DECODER}fc", width, latent)
    add(f"{DECODER}embed", width, width, 7)
    for name in ("prior_net.0", "prior_net.1", "post_net.0", "post_net.1"):
        for part in (1, 2):
            add(f"{DECODER}{name}.norm{part}", width)
            add(f"{DECODER}{name}.conv{part}", width, width, 3)
    for index in range(config.layers):
        add_transformer(add, f"{DECODER}layers.{index}", config)
    add(f"{DECODER}norm", width)
    add(f"{DECODER}head.linear", config.n_fft + 2, width)
    return found


def add_conformer(add: Any, name: str, config: XCodec2Config) -> None:
    """The weights of one layer of the semantic encoder."""
    width, wide, kernel = config.semantic_width, config.semantic_ffn, config.semantic_conv_kernel
    for part in ("ffn1", "ffn2"):
        add(f"{name}.{part}.intermediate_dense", wide, width)
        add(f"{name}.{part}.output_dense", width, wide)
    for part in ("q", "k", "v", "out"):
        add(f"{name}.self_attn.linear_{part}", width, width)
    distances, size = (
        config.attention_left + config.attention_right + 1,
        width // config.semantic_heads,
    )
    add(f"{name}.self_attn.distance_embedding", distances, size, bias=False)
    add(f"{name}.conv_module.pointwise_conv1", 2 * width, width, 1, bias=False)
    add(f"{name}.conv_module.depthwise_conv", width, 1, kernel, bias=False)
    add(f"{name}.conv_module.pointwise_conv2", width, width, 1, bias=False)
    norms = ("ffn1_layer_norm", "self_attn_layer_norm", "ffn2_layer_norm", "final_layer_norm")
    for norm in (*norms, "conv_module.layer_norm", "conv_module.depthwise_layer_norm"):
        add(f"{name}.{norm}", width)


def add_transformer(add: Any, name: str, config: XCodec2Config) -> None:
    """The weights of one layer of the decoder."""
    attended = config.heads * config.head_width
    for part in ("q", "k", "v"):
        add(f"{name}.self_attn.{part}_proj", attended, config.width, bias=False)
    add(f"{name}.self_attn.o_proj", config.width, attended, bias=False)
    add(f"{name}.mlp.fc1", config.ffn, config.width, bias=False)
    add(f"{name}.mlp.fc2", config.width, config.ffn, bias=False)
    for norm in ("input_layernorm", "post_attention_layernorm"):
        add(f"{name}.{norm}", config.width, bias=False)
