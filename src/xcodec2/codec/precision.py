"""bfloat16 on a CPU: for the weights of the products inside the layers that add to what they are given.

There nearly all products are. What the layers add up, their norms, the waveform encoder, and the decoder's first
convolutions and last layer stay float32: little time is in them, and rounding them costs single clips of nano 25 dB
(phases, and attention that sees equal keys, are sensitive). On a GPU, where memory is what limits, all weights have
the type asked for.
"""

from __future__ import annotations

import re
import warnings

import torch

LAYERS = re.compile(
    r"acoustic_decoder\.(layers\.\d+\.(self_attn|mlp)|post_net\.\d+\.conv\d)\."
    r"|semantic_encoder\.encoder\.layers\.\d+\.(ffn\d|self_attn|conv_module\.pointwise_conv\d)\."
)


def weight_type(key: str, dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The type of the weight called `key` in a model of `dtype` on `device`."""
    if device.type != "cpu" or dtype != torch.bfloat16 or LAYERS.match(key):
        return dtype
    return torch.float32


def warn_if_slow(dtype: torch.dtype, device: torch.device) -> None:
    if device.type == "cpu" and dtype == torch.bfloat16 and not multiplies_bfloat16():
        message = "PyTorch finds no instructions for bfloat16 here (AVX512_BF16, AMX): float32 is many times as fast"
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def multiplies_bfloat16() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # AMX implies it; older PyTorch cannot say
    return bool(supported and supported())
