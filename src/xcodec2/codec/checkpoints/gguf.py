"""XCodec2 as a GGUF file in the layout of codec.cpp, which runs it in C++.

Tensors go by that program's names, with weight norm folded and SnakeBeta's parameters as they are
computed with. Its own converter writes 1 for every 1/β, as the PyPI package computes on newer
transformers; here it is the trained β, so codes are those of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xcodec2.codec import features
from xcodec2.codec.acoustic import DILATIONS
from xcodec2.codec.checkpoints.original import FLOAT32, original_keys
from xcodec2.codec.checkpoints.save import plain_state
from xcodec2.codec.config import FEATURE_HOP, FEATURE_RATE, FEATURE_WINDOW, MEL_BINS, XCodec2Config
from xcodec2.codec.network import CodecNetwork
from xcodec2.codec.quantizer import codes_to_digits
from xcodec2.codec.snake import NO_ZERO_DIVISION, kaiser_sinc
from xcodec2.errors import CheckpointError
from xcodec2.extras import require
from xcodec2.files import replacing

ARCHITECTURE = "xcodec2"
ROPE_THETA = 10_000.0  # what the original names; it turns by head, and so nothing
STRIDES = (2, 2, 4, 4, 5)  # codec.cpp has them in its code
LAYER_PARTS = {
    "ffn1_layer_norm": "ffn1_ln",
    "ffn1.intermediate_dense": "ffn1.fc1",
    "ffn1.output_dense": "ffn1.fc2",
    "self_attn_layer_norm": "attn_ln",
    "self_attn.linear_q": "attn.q",
    "self_attn.linear_k": "attn.k",
    "self_attn.linear_v": "attn.v",
    "self_attn.linear_out": "attn.o",
    "self_attn.distance_embedding": "attn.dist",
    "conv_module.layer_norm": "conv.ln",
    "conv_module.pointwise_conv1": "conv.pw1",
    "conv_module.depthwise_conv": "conv.dw",
    "conv_module.depthwise_layer_norm": "conv.dw_ln",
    "conv_module.pointwise_conv2": "conv.pw2",
    "ffn2_layer_norm": "ffn2_ln",
    "ffn2.intermediate_dense": "ffn2.fc1",
    "ffn2.output_dense": "ffn2.fc2",
    "final_layer_norm": "final_ln",
}


def write_codec_gguf(model: CodecNetwork, path: str | Path, *, full: bool = False) -> None:
    """Write a codec as GGUF, whole or not at all.

    Args:
        model: XCodec2, of any sizes.
        path: The file.
        full: Large weights in float32; else in float16.

    Raises:
        CheckpointError: The layout has no place for a part of the model, or the disk refuses.
    """
    gguf = require("gguf", extra="llasa", purpose="export to GGUF")
    if reason := inexpressible_in_gguf(model):
        raise CheckpointError(f"{model.model_id}: codec.cpp's layout has no place for {reason}")
    with replacing(path, CheckpointError) as file:
        writer = gguf.GGUFWriter(file.name, ARCHITECTURE)
        writer.add_name(model.model_id)
        for key, value in gguf_settings(model.config).items():
            if isinstance(value, bool):
                writer.add_bool(key, value)
            elif isinstance(value, float):
                writer.add_float32(key, value)
            elif isinstance(value, list):  # add_array would make them signed
                kinds = gguf.GGUFValueType
                writer.add_key_value(key, value, kinds.ARRAY, sub_type=kinds.UINT32)
            else:
                writer.add_uint32(key, value)
        for name, tensor in gguf_tensors(model):
            small = tensor.ndim < 2 or name in EXACT or name.endswith(".attn.dist.w")
            kind = np.float32 if full or small else np.float16
            writer.add_tensor(name, tensor.detach().float().numpy().astype(kind, order="C"))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


EXACT = ("xcodec2.enc.mel.filters", "xcodec2.enc.mel.window")


def inexpressible_in_gguf(model: CodecNetwork) -> str:
    """What of a model the layout has no place for; empty when it has all."""
    config = model.config
    if model.decoder_only:
        return "a model without its encoder; load it without decoder_only"
    if not config.feature_padding:
        return "NeuCodec's framing; it has a layout of its own there"
    problems = {
        "the spectrogram encoder": config.acoustic_encoder != "waveform",
        "pooled frames": config.pooling > 1,
        "an upsampler": bool(config.upsampling),
        f"{config.frame_rate} codes a second": config.feature_stack != 2,
        f"an output rate of {config.sample_rate} Hz": config.sample_rate != config.input_rate,
        f"the levels {config.levels}": config.levels != (4,) * 8,
        f"the strides {config.strides}": config.strides != STRIDES,
    }
    return next((reason for reason, wrong in problems.items() if wrong), "")


def gguf_settings(config: XCodec2Config) -> dict[str, Any]:
    """The file's keys: the codec's, the decoder's, the encoders', the filter bank's."""
    return {
        "codec.sample_rate": config.sample_rate,
        "codec.encode_sample_rate": config.input_rate,
        "codec.hop_size": config.hop,
        "codec.n_fft": config.n_fft,
        "codec.n_q": 1,
        "codec.codebook_size": config.codebook_size,
        "codec.codebook_dim": len(config.levels),
        "codec.latent_dim": config.width,
        "codec.has_encoder": True,
        "codec.has_decoder": True,
        "xcodec2.hidden_dim": config.width,
        "xcodec2.vq_dim": config.latent_width,
        "xcodec2.num_layers": config.layers,
        "xcodec2.num_heads": config.heads,
        "xcodec2.head_dim": config.head_width,
        "xcodec2.rope_theta": ROPE_THETA,
        "xcodec2.enc.ngf": config.acoustic_channels,
        "xcodec2.enc.up_ratios": list(config.strides),
        "xcodec2.enc.dilations": list(DILATIONS),
        "xcodec2.w2v.layers": config.semantic_layers,
        "xcodec2.w2v.hidden": config.semantic_width,
        "xcodec2.w2v.heads": config.semantic_heads,
        "xcodec2.w2v.head_dim": config.semantic_width // config.semantic_heads,
        "xcodec2.w2v.intermediate": config.semantic_ffn,
        "xcodec2.w2v.left_max_pos": config.attention_left,
        "xcodec2.w2v.right_max_pos": config.attention_right,
        "xcodec2.w2v.dw_kernel": config.semantic_conv_kernel,
        "xcodec2.w2v.layer_norm_eps": 1e-5,
        "xcodec2.w2v.input_dim": config.feature_width,
        "codec.mel.sample_rate": FEATURE_RATE,
        "codec.mel.n_mels": MEL_BINS,
        "codec.mel.n_fft": features.FBANK_FFT,
        "codec.mel.win_length": FEATURE_WINDOW,
        "codec.mel.hop_length": FEATURE_HOP,
        "codec.mel.preemphasis": features.PREEMPHASIS,
        "codec.mel.mel_floor": features.ENERGY_FLOOR,
        "codec.mel.stride": config.feature_stack,
        "codec.mel.remove_dc_offset": True,
        "codec.mel.normalize_per_mel_bins": True,
    }


def gguf_tensors(model: CodecNetwork) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the file by its name there."""
    config, state = model.config, plain_state(model)
    cpu = torch.device("cpu")
    digits = codes_to_digits(torch.arange(config.codebook_size, device=cpu), config.levels)
    yield "xcodec2.decode.codebook", (digits.float() - 2) / 2
    yield "xcodec2.decode.istft.window", torch.hann_window(config.n_fft, **FLOAT32)
    yield "xcodec2.enc.mel.filters", features.mel_filters(features.FBANK_FFT, cpu, torch.float32)
    yield "xcodec2.enc.mel.window", features.povey_window(cpu, torch.float32)
    yield "xcodec2.enc.alias.filter", kaiser_sinc(cpu, torch.float32)
    for layer in range(config.layers):
        name = f"acoustic_decoder.layers.{layer}.self_attn"
        fused = torch.cat([state[f"{name}.{part}_proj.weight"] for part in "qkv"])
        yield f"xcodec2.decode.transformer.{layer}.att.c_attn.w", fused
    for key in original_keys(config, state):
        tensor = state[key]
        name = name_of(key)
        if name.endswith(".alpha"):
            yield name, tensor.exp()
        elif name.endswith(".beta"):
            inverse = 1 / (tensor.exp() + NO_ZERO_DIVISION)
            yield name.removesuffix("beta") + "inv_beta", inverse
        else:
            yield name, tensor


def name_of(key: str) -> str:
    """Our key → codec.cpp's name."""
    module, _, kind = key.rpartition(".")
    suffix = {"weight": "w", "bias": "b"}.get(kind, kind)
    return f"{module_name(module)}.{suffix}"


def module_name(module: str) -> str:
    """Our module → codec.cpp's name of it."""
    part, _, rest = module.partition(".")
    if part == "semantic_encoder":
        if rest.startswith("feature_projection."):
            return {"layer_norm": "xcodec2.w2v.feat_ln", "projection": "xcodec2.w2v.feat_proj"}[
                rest.rpartition(".")[2]
            ]
        layer, _, inside = rest.removeprefix("encoder.layers.").partition(".")
        return f"xcodec2.w2v.l{layer}.{LAYER_PARTS[inside]}"
    if part == "acoustic_encoder":
        return f"xcodec2.enc.codec.{acoustic_name(rest)}"
    if part == "acoustic_decoder":
        return f"xcodec2.decode.{decoder_name(rest)}"
    return FIXED[module]


FIXED: Mapping[str, str] = {
    "semantic_adapter.conv1": "xcodec2.sem.initial",
    "semantic_adapter.conv2": "xcodec2.sem.r1",
    "semantic_adapter.conv3": "xcodec2.sem.r3",
    "semantic_adapter.conv4": "xcodec2.sem.final",
    "fc_encoder": "xcodec2.enc.fc_prior",
    "quantizer.project_in": "xcodec2.enc.quant.project_in",
    "quantizer.project_out": "xcodec2.decode.quant.project_out",
}


def acoustic_name(rest: str) -> str:
    """A module of the acoustic encoder."""
    ends = {"conv1": "conv0", "snake1.act": "final.act", "conv2": "final.conv"}
    if rest in ends:
        return ends[rest]
    _, block, *inside = rest.split(".")
    number = int(block) + 1
    if not inside[0].startswith("res_unit"):
        return f"b{number}.{'down' if inside[0] == 'conv1' else 'act'}"
    unit = int(inside[0].removeprefix("res_unit")) - 1
    return f"b{number}.r{unit}.{inside[1].replace('snake', 'act')}"


def decoder_name(rest: str) -> str:
    """A module of the decoder."""
    names = {"fc": "fc_post_a", "embed": "embed", "norm": "final_ln", "head.linear": "head.out"}
    if rest in names:
        return names[rest]
    kind, number, *inside = rest.split(".")
    if kind in ("prior_net", "post_net"):
        return f"{kind.removesuffix('_net')}.{number}.{inside[0]}"
    parts = {
        "input_layernorm": "att_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.o_proj": "att.c_proj",
    }
    layer = ".".join(inside)
    return f"transformer.{number}.{parts.get(layer, layer)}"
