"""The original package's key names, which also NeuCodec and the Lightning checkpoints use, and
ours.

`module_names` is the table; everything else reads it in one direction or the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.snake import kaiser_sinc
from xcodec2.errors import CheckpointError

SEMANTIC_LAYERS = 16  # the original always uses this layer's output, whatever its w2v-BERT holds
SEMANTIC_LAYER = re.compile(r"semantic_model\.encoder\.layers\.(\d+)\.")
FILTER_TOLERANCE = 1e-6
NEUCODEC_RATE = 24_000
AMBIGUOUS_HOP = 960  # samples of 24 kHz at 25 codes a second, or of 48 kHz at 50
FLOAT32: Any = {"dtype": torch.float32, "device": "cpu"}

# Parts of a checkpoint that inference has no use for, as prefixes.
TRAINING_ONLY = ("fc_post_s.", "SemanticDecoder_module.", "discriminator.", "spec_discriminator.")


def module_names(config: XCodec2Config) -> Iterator[tuple[str, str]]:
    """(original, ours) for every renamed module; the rest of a key, such as `.weight`, is kept."""
    yield "semantic_model", "semantic_encoder"
    for i, part in enumerate(
        ("initial_conv", "residual_blocks.1", "residual_blocks.3", "final_conv"), 1
    ):
        yield f"SemanticEncoder_module.{part}", f"semantic_adapter.conv{i}"

    yield "CodecEnc.conv_blocks.0", "acoustic_encoder.conv1"
    for n in range(len(config.strides)):
        original, ours = f"CodecEnc.conv_blocks.{n + 1}.block", f"acoustic_encoder.block.{n}"
        for unit in range(3):
            for i, part in enumerate(("snake1", "conv1", "snake2", "conv2")):
                yield f"{original}.{unit}.block.{i}", f"{ours}.res_unit{unit + 1}.{part}"
        yield f"{original}.3", f"{ours}.snake1"
        yield f"{original}.4", f"{ours}.conv1"
    yield "CodecEnc.conv_final_block.0", "acoustic_encoder.snake1"
    yield "CodecEnc.conv_final_block.1", "acoustic_encoder.conv2"

    yield "fc_prior", "fc_encoder"
    yield "generator.quantizer", "quantizer"

    yield "fc_post_a", "acoustic_decoder.fc"
    for part in ("embed", "prior_net", "post_net"):
        yield f"generator.backbone.{part}", f"acoustic_decoder.{part}"
    for n in range(config.layers):
        original, ours = f"generator.backbone.transformers.{n}", f"acoustic_decoder.layers.{n}"
        yield f"{original}.att.c_proj", f"{ours}.self_attn.o_proj"
        yield f"{original}.att_norm", f"{ours}.input_layernorm"
        yield f"{original}.ffn_norm", f"{ours}.post_attention_layernorm"
        yield f"{original}.mlp", f"{ours}.mlp"
    yield "generator.backbone.final_layer_norm", "acoustic_decoder.norm"
    if config.upsampling:
        yield "generator.upsampler", "acoustic_decoder.upsampler"
    yield "generator.head.out", "acoustic_decoder.head.linear"


def original_keys(config: XCodec2Config, ours: Mapping[str, object]) -> dict[str, str]:
    """Our key → the original's, for all of `ours` but the decoder's q, k and v (one matrix in the
    original).
    """
    renamed = {new: old for old, new in module_names(config)}
    names = {}
    for key in ours:
        if is_fused(key):
            continue
        module = key
        while module not in renamed:
            module = module.rpartition(".")[0]
        names[key] = renamed[module] + key[len(module) :]
    return names


def is_fused(key: str) -> bool:
    """Whether the original keeps our `key` in one matrix with two others: q, k and v."""
    return key.startswith("acoustic_decoder.layers.") and key.endswith(
        ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight")
    )


def is_weight_normed(old: str) -> bool:
    """Whether the original keeps length and direction of this weight apart."""
    return old.endswith(".weight") and old.startswith(
        ("CodecEnc.", "generator.upsampler.upsample_layers.")
    )


def fused_key(key: str) -> tuple[str, int]:
    """Our q, k or v key → the original's fused matrix and which third of its rows."""
    layer, third = key.split(".")[2], "qkv".index(key.split(".")[4][0])
    return f"generator.backbone.transformers.{layer}.att.c_attn.weight", third


# ---- original → ours -----------------------------------------------------------------------------


def read_state(
    tensors: Mapping[str, Tensor], config: XCodec2Config, wanted: Mapping[str, object]
) -> dict[str, Tensor]:
    """The `wanted` keys of ours, from tensors under original names (weight norm in either form is
    folded).

    Raises CheckpointError for keys that are missing, and for keys left over but the few that
    inference never uses.
    """
    state: dict[str, Tensor] = {}
    used: set[str] = set()
    missing: list[str] = []
    for key, sources in _sources(config, wanted, tensors).items():
        if any(source not in tensors for source in sources):
            missing.append(sources[0])
            continue
        used.update(sources)
        state[key] = _combine(key, [tensors[source] for source in sources])
    if missing:
        raise CheckpointError(
            f"the checkpoint lacks {len(missing)} tensors, the first is {missing[0]!r}"
        )
    _check_unused({key: tensors[key] for key in tensors if key not in used}, config, wanted)
    return state


def _sources(
    config: XCodec2Config, wanted: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> dict[str, tuple[str, ...]]:
    """Our key → the original tensors that it is made of."""
    sources: dict[str, tuple[str, ...]] = {
        key: (old,) for key, old in original_keys(config, wanted).items()
    }
    sources |= {key: (fused_key(key)[0],) for key in wanted if is_fused(key)}
    for key, (old,) in sources.items():
        if (
            old.endswith(".act.beta") and old not in tensors
        ):  # the PyPI package's own class, and what it saves
            sources[key] = (old.removesuffix("beta") + "bias",)
        if is_weight_normed(old) and old not in tensors:
            module = old.removesuffix(".weight")
            newer = (
                f"{module}.parametrizations.weight.original0",
                f"{module}.parametrizations.weight.original1",
            )
            sources[key] = newer if newer[0] in tensors else (f"{old}_g", f"{old}_v")
    return sources


def _combine(key: str, parts: list[Tensor]) -> Tensor:
    if is_fused(key):
        return parts[0].chunk(3)[fused_key(key)[1]]
    if len(parts) == 2:  # weight norm: length per output channel, direction
        length, direction = parts[0].float(), parts[1].float()
        return (length * direction / direction.norm(dim=(1, 2), keepdim=True)).to(parts[1].dtype)
    return parts[0]


def _check_unused(
    tensors: Mapping[str, Tensor], config: XCodec2Config, wanted: Mapping[str, object]
) -> None:
    """Left-over keys must be known and, where they are buffers, hold what we compute ourselves."""
    renamed = tuple(old + "." for old, _ in module_names(config))
    decoder_only = not any(key.startswith("semantic_encoder.") for key in wanted)
    for key, tensor in tensors.items():
        if key.endswith((".upsample.filter", ".downsample.lowpass.filter")):
            _check_buffer(key, tensor, kaiser_sinc(torch.device("cpu"), torch.float32))
        elif key == "generator.head.istft.window":
            _check_buffer(key, tensor, torch.hann_window(config.n_fft, **FLOAT32))
        elif not (
            key == "semantic_model.masked_spec_embed"
            or key.startswith(TRAINING_ONLY)
            or ((layer := SEMANTIC_LAYER.match(key)) and int(layer[1]) >= SEMANTIC_LAYERS)
            or (
                decoder_only
                and key.startswith(renamed)
                and not key.startswith(("generator.", "fc_post_a."))
            )
        ):
            raise CheckpointError(f"the checkpoint holds {key!r}, which this model has no use for")


def _check_buffer(key: str, tensor: Tensor, expected: Tensor) -> None:
    if (
        tensor.numel() != expected.numel()
        or (tensor.float().flatten() - expected).abs().max() > FILTER_TOLERANCE
    ):
        raise CheckpointError(
            f"{key!r} is not the filter that XCodec2 computes: another architecture, or damage"
        )


# ---- ours → original -----------------------------------------------------------------------------


def write_state(state: Mapping[str, Tensor], config: XCodec2Config) -> dict[str, Tensor]:
    """Our tensors under the original's names, with the buffers and the weight norm that its strict
    loading expects.
    """
    tensors = {}
    for key, old in original_keys(config, state).items():
        if is_weight_normed(old) and state[key].ndim == 3:
            tensors[f"{old}_g"] = (
                state[key].float().norm(dim=(1, 2), keepdim=True).to(state[key].dtype)
            )
            tensors[f"{old}_v"] = state[key]
        else:
            tensors[old] = state[key]
        if old.endswith(".act.alpha"):
            snake = old.removesuffix(".act.alpha")
            for name in ("upsample.filter", "downsample.lowpass.filter"):
                tensors[f"{snake}.{name}"] = (
                    kaiser_sinc(torch.device("cpu"), torch.float32).view(1, 1, -1).clone()
                )
    for key in filter(is_fused, state):
        fused, third = fused_key(key)
        if third == 0:
            tensors[fused] = torch.cat(
                [state[key.replace("q_proj", f"{name}_proj")] for name in "qkv"]
            )
    tensors["generator.head.istft.window"] = torch.hann_window(config.n_fft, **FLOAT32)
    tensors["semantic_model.masked_spec_embed"] = torch.zeros(config.semantic_width, **FLOAT32)
    return tensors


# ---- sizes from shapes ---------------------------------------------------------------------------


def infer_config(
    shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], name: str
) -> XCodec2Config:
    """The configuration that the original's tensors imply; its config.json says hardly anything.

    Args:
        shapes: Of the tensors, by their names.
        settings: What config.json says.
        name: Of the checkpoint.

    Raises:
        CheckpointError: A tensor that tells a size is missing or has an impossible shape.
    """
    try:
        return _infer_config(shapes, settings, name)
    except KeyError as problem:
        raise CheckpointError(
            f"the checkpoint lacks {problem.args[0]!r}, so its sizes cannot be told"
        ) from problem
    except (IndexError, ValueError, ZeroDivisionError) as problem:
        if isinstance(problem, CheckpointError):
            raise
        raise CheckpointError(
            f"the checkpoint's tensors have impossible shapes ({problem})"
        ) from problem


def _infer_config(
    shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], name: str
) -> XCodec2Config:
    strides: list[int] = []
    while any(
        f"CodecEnc.conv_blocks.{len(strides) + 1}.block.4.{name}" in shapes
        for name in _CONV_WEIGHTS
    ):
        strides.append(
            _conv_shape(shapes, f"CodecEnc.conv_blocks.{len(strides) + 1}.block.4")[-1] // 2
        )
    width = shapes["fc_post_a.weight"][0]
    frame_rate = XCodec2Config.input_rate // prod(strides)
    return XCodec2Config(
        **_infer_rates(shapes, settings, name, frame_rate),
        **_infer_semantic(shapes),
        acoustic_channels=_conv_shape(shapes, "CodecEnc.conv_blocks.0")[0],
        strides=tuple(strides),
        levels=(4,) * shapes["generator.quantizer.project_in.weight"][0],
        width=width,
        layers=len(
            {
                key.split(".")[3]
                for key in shapes
                if key.startswith("generator.backbone.transformers.")
            }
        ),
        heads=width
        # not told by shapes; every published checkpoint has heads of 64
        // XCodec2Config.head_width,
        ffn=shapes["generator.backbone.transformers.0.mlp.fc1.weight"][0],
    )


def _infer_rates(
    shapes: Mapping[str, tuple[int, ...]], settings: Mapping[str, Any], name: str, frame_rate: int
) -> dict[str, Any]:
    """Output rate, pooling and upsampling, and NeuCodec's framing, which goes with its rate.

    The head's rows say how many samples a frame of it has. How many frames a code has, and how many
    of them there are a second, is in config.json or, of the one published model without, its name.
    """
    head_hop = (shapes["generator.head.out.weight"][0] - 2) // 4
    rate, factors = settings.get("sample_rate"), settings.get("upsample_factors") or ()
    kernels: list[int] = []
    while layer := _first_shape(shapes, f"generator.upsampler.upsample_layers.{len(kernels)}"):
        kernels.append(layer[-1])
    if rate is None and not kernels and head_hop == AMBIGUOUS_HOP:
        if "25tps" not in name.lower():
            raise CheckpointError(
                f"{name}: a head of {4 * head_hop + 2} rows is that of 24000 Hz at 25 codes a "
                "second, as in xcodec2-25TPS-24k, or of 48000 Hz at 50; "
                'say "sample_rate": 24000 or 48000 in its config.json'
            )
        rate = frame_rate * head_hop // 2
    if kernels and not factors:
        if rate is None or len(kernels) > 1:
            raise CheckpointError(
                f'{name}: has an upsampler; its config.json must say "sample_rate" and '
                '"upsample_factors"'
            )
        factors = (rate // (frame_rate * head_hop),)
    if len(factors) != len(kernels):
        raise CheckpointError(
            f"{name}: config.json names {len(factors)} upsample_factors, "
            f"the weights have {len(kernels)} stages"
        )
    samples = frame_rate * head_hop * prod(factors)  # a second, were each frame a code
    rate = samples if rate is None else rate
    if not isinstance(rate, int) or rate < 1 or samples % rate:
        raise CheckpointError(
            f"{name}: config.json's sample_rate of {rate!r} does not fit the weights, "
            f"which make {samples} samples of a second's frames"
        )
    neucodec = rate == NEUCODEC_RATE and samples == rate and not kernels
    return {
        "sample_rate": rate,
        "pooling": samples // rate,
        "upsampling": tuple(factors),
        "upsampling_kernels": tuple(kernels),
    } | ({"feature_padding": 0} if neucodec else {})


def _infer_semantic(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The semantic branch; where it is absent, because only a decoder is wanted, its width is what
    matters.
    """
    layer = "semantic_model.encoder.layers.0"
    if f"{layer}.ffn1.intermediate_dense.weight" not in shapes:
        return {
            "semantic_width": shapes["fc_post_a.weight"][1] - shapes["fc_post_a.weight"][0],
            "semantic_heads": 1,
        }
    width, ffn = shapes[f"{layer}.ffn1.output_dense.weight"]
    return {
        "semantic_width": width,
        "semantic_layers": SEMANTIC_LAYERS,
        "semantic_heads": width // shapes[f"{layer}.self_attn.distance_embedding.weight"][1],
        "semantic_ffn": ffn,
        "semantic_conv_kernel": shapes[f"{layer}.conv_module.depthwise_conv.weight"][-1],
    }


_CONV_WEIGHTS = ("weight", "weight_v", "parametrizations.weight.original1")


def _conv_shape(shapes: Mapping[str, tuple[int, ...]], module: str) -> tuple[int, ...]:
    if found := _first_shape(shapes, module):
        return found
    raise KeyError(f"{module}.weight_v")


def _first_shape(shapes: Mapping[str, tuple[int, ...]], module: str) -> tuple[int, ...]:
    """Of a module's weight, in whatever form it is; () where there is none."""
    names = (f"{module}.{name}" for name in _CONV_WEIGHTS)
    return next((shapes[name] for name in names if name in shapes), ())
