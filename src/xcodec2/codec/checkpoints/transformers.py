"""transformers' configuration of the same models (Xcodec2Config, NeuCodecConfig), to ours and back.

Tensor names need no table: our modules carry transformers' names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xcodec2.codec.config import XCodec2Config
from xcodec2.errors import CheckpointError

MODEL_TYPES = ("xcodec2", "neucodec")

# Settings that transformers offers and the published models do not use, with the value that we can
# express.
CODEC_FIXED = {"hidden_act": ("silu", "swish"), "attention_bias": (False,), "rms_norm_eps": (1e-6,)}
SEMANTIC_FIXED = {
    "hidden_act": ("swish", "silu"),
    "position_embeddings_type": ("relative_key",),
    "add_adapter": (False,),
    "layer_norm_eps": (1e-5,),
    "use_intermediate_ffn_before_adapter": (False,),
}


def read_config(settings: Mapping[str, Any]) -> XCodec2Config:
    """config.json's content → our configuration.

    Raises:
        CheckpointError: a setting that ours cannot express.
    """
    try:
        return _read_config(settings)
    except (
        TypeError,
        AttributeError,
        ZeroDivisionError,
    ) as problem:  # text for a number, a number for a list ...
        raise CheckpointError(
            f"config.json holds a value of the wrong kind ({problem})"
        ) from problem


def _read_config(settings: Mapping[str, Any]) -> XCodec2Config:
    model_type = settings.get("model_type")
    if model_type not in MODEL_TYPES:
        raise CheckpointError(
            f"config.json names the model type {model_type!r}, not one of {', '.join(MODEL_TYPES)}"
        )
    # transformers leaves out what equals its defaults, which are the published models' and so ours
    default = XCodec2Config()
    semantic = settings.get("semantic_model_config") or {}
    _check_fixed(settings, CODEC_FIXED)
    _check_fixed(semantic, SEMANTIC_FIXED)
    neucodec = model_type == "neucodec"
    input_rate = settings.get(
        "input_sampling_rate" if neucodec else "sampling_rate", default.input_rate
    )
    width, heads = (
        settings.get("hidden_size", default.width),
        settings.get("num_attention_heads", default.heads),
    )
    config = XCodec2Config(
        input_rate=input_rate,
        sample_rate=settings.get("output_sampling_rate", 24_000) if neucodec else input_rate,
        semantic_width=semantic.get("hidden_size", default.semantic_width),
        semantic_layers=semantic.get("num_hidden_layers", default.semantic_layers),
        semantic_heads=semantic.get("num_attention_heads", default.semantic_heads),
        semantic_ffn=semantic.get("intermediate_size", default.semantic_ffn),
        semantic_conv_kernel=semantic.get(
            "conv_depthwise_kernel_size", default.semantic_conv_kernel
        ),
        attention_left=semantic.get("left_max_position_embeddings", default.attention_left),
        attention_right=semantic.get("right_max_position_embeddings", default.attention_right),
        feature_padding=0 if neucodec else default.feature_padding,
        acoustic_channels=settings.get("encoder_hidden_size", default.acoustic_channels),
        strides=tuple(settings.get("downsampling_ratios", default.strides)),
        levels=tuple(settings.get("quantization_levels", default.levels)),
        width=width,
        layers=settings.get("num_hidden_layers", default.layers),
        heads=heads,
        head_width=width // heads
        if settings.get("head_dim", 0) is None
        else settings.get("head_dim", 64),
        ffn=settings.get("intermediate_size", default.ffn),
        dropout=settings.get("activation_dropout", default.dropout),
    )
    _check_fixed(
        settings, {"num_key_value_heads": (heads,), "quantization_dim": (config.latent_width,)}
    )
    return config


def _check_fixed(settings: Mapping[str, Any], fixed: Mapping[str, tuple[Any, ...]]) -> None:
    for key, values in fixed.items():
        if settings.get(key) not in (*values, None):
            raise CheckpointError(
                f"config.json has {key} = {settings[key]!r}; only {values[0]!r} is supported"
            )


def is_unused(key: str, config: XCodec2Config) -> bool:
    """Tensors that a transformers checkpoint may hold and the model never reads."""
    if layer := re.match(r"semantic_encoder\.encoder\.layers\.(\d+)\.", key):
        return int(layer[1]) >= config.semantic_layers
    return key == "semantic_encoder.masked_spec_embed"


def inexpressible(config: XCodec2Config) -> str:
    """What of `config` transformers has no setting for; empty when it can load the model."""
    if config.acoustic_encoder != "waveform":
        return "the spectrogram encoder"
    if config.attention_window:
        return "a window of attention"
    if config.pooling > 1:
        return f"{config.pooling} frames pooled into a code"
    if config.upsampling:
        return "an upsampler before the head"
    if config.feature_stack != 2:
        return f"{config.frame_rate} tokens a second"
    if config.feature_padding and config.sample_rate != config.input_rate:
        return f"XCodec2's framing with an output rate of {config.sample_rate} Hz"
    return ""


def write_config(config: XCodec2Config) -> dict[str, Any]:
    """The reverse of `read_config`."""
    if config.feature_padding:
        names = {
            "architectures": ["Xcodec2Model"],
            "model_type": "xcodec2",
            "sampling_rate": config.sample_rate,
        }
    else:
        rates = {
            "input_sampling_rate": config.input_rate,
            "output_sampling_rate": config.sample_rate,
        }
        names = {"architectures": ["NeuCodecModel"], "model_type": "neucodec", **rates}
    return names | {
        "hidden_size": config.width,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.head_width,
        "encoder_hidden_size": config.acoustic_channels,
        "downsampling_ratios": list(config.strides),
        "activation_dropout": config.dropout,
        "quantization_dim": config.latent_width,
        "quantization_levels": list(config.levels),
        "semantic_model_config": {
            "model_type": "wav2vec2-bert",
            "hidden_size": config.semantic_width,
            "num_hidden_layers": config.semantic_layers,
            "num_attention_heads": config.semantic_heads,
            "intermediate_size": config.semantic_ffn,
            "conv_depthwise_kernel_size": config.semantic_conv_kernel,
            "left_max_position_embeddings": config.attention_left,
            "right_max_position_embeddings": config.attention_right,
            "feature_projection_input_dim": config.feature_width,
            "mask_time_prob": 0.0,  # no masked_spec_embed: inference never masks
            "mask_feature_prob": 0.0,
        },
    }


def feature_extractor_settings(config: XCodec2Config) -> dict[str, Any]:
    """preprocessor_config.json, with which transformers prepares the model's two inputs."""
    name = "Xcodec2FeatureExtractor" if config.feature_padding else "NeuCodecFeatureExtractor"
    return {
        "feature_extractor_type": name,
        "sampling_rate": config.input_rate,
        "hop_length": config.hop,
    }
