"""bfloat16 on a CPU: for the weights of the products inside the layers that add to what they are
given.

There nearly all products are. What the layers add up, their norms, the waveform encoder, and the
decoder's first convolutions and last layer stay float32: little time is in them, and rounding them
costs single clips of nano 25 dB (phases, and attention that sees equal keys, are sensitive). On a
GPU, where memory is what limits, all weights have the type asked for. int8, for CPUs alone, is the
same with 8-bit integers in most of the decoder's products.
"""

from __future__ import annotations

import functools
import re
import warnings

import torch

LAYERS = re.compile(
    r"acoustic_decoder\.(layers\.\d+\.(self_attn|mlp)|post_net\.\d+\.conv\d)\."
    r"|semantic_encoder\.encoder\.layers\.\d+\.(ffn\d|self_attn|conv_module\.pointwise_conv\d)\."
)


QUANTISED = re.compile(
    r"acoustic_decoder\.layers\.\d+\.(self_attn\.[qkv]_proj|mlp\.fc[12])\."
)  # see codec/int8.py


def weight_type(key: str, dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The type of the weight called `key` in a model of `dtype` on `device`; before it is
    quantised, with int8.
    """
    if dtype == torch.int8:
        return torch.float32 if QUANTISED.match(key) else weight_type(key, torch.bfloat16, device)
    if device.type != "cpu" or dtype != torch.bfloat16 or LAYERS.match(key):
        return dtype
    return torch.float32


def warn_if_slow(dtype: torch.dtype, device: torch.device) -> None:
    lacking = {
        "AVX512_BF16 or AMX": dtype in (torch.bfloat16, torch.int8) and not multiplies_bfloat16()
    }
    lacking["VNNI"] = dtype == torch.int8 and not multiplies_int8()
    names = " and ".join(name for name, lacks in lacking.items() if lacks)
    if device.type == "cpu" and names:
        kind = str(dtype).removeprefix("torch.")
        message = f"PyTorch finds no instructions for {kind} here ({names}): float32 is many times as fast"
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def multiplies_bfloat16() -> bool:
    supported = getattr(
        torch.cpu, "_is_avx512_bf16_supported", None
    )  # AMX implies it; older PyTorch cannot say
    return bool(supported and supported())


@functools.cache
def multiplies_int8() -> bool:
    """Whether oneDNN multiplies 8-bit integers, and the processor without saturating: VNNI.

    What torch.compile's own code calls is not documented, so it is tried out once.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    if not (supported and supported()):
        return False
    try:
        weight = torch.full((2, 8), 127, dtype=torch.int8)
        packed, zeros = (
            torch.ops.onednn.qlinear_prepack(weight, None),
            torch.zeros(2, dtype=torch.int64),
        )
        y = torch.ops.onednn.qlinear_pointwise.default(
            torch.full((3, 8), 255, dtype=torch.uint8), 1.0, 0, packed, torch.ones(2), zeros, None, 1.0, 0,
            torch.float32, "none", [], "",
        )  # fmt: skip
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(y, torch.full((3, 2), 8 * 127 * 255.0))
