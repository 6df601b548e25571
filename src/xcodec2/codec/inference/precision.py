"""bfloat16 on a CPU: for the weights of the products inside the layers that add to what they are
given.

There nearly all products are. What the layers add up, their norms, the waveform encoder, and the
decoder's first convolutions and last layer stay float32: little time is in them, and rounding them
costs single clips of nano 25 dB (phases, and attention that sees equal keys, are sensitive). On a
GPU, where memory is what limits, all weights have the type asked for. int8, for CPUs alone, is the
same with 8-bit integers in most of the decoder's products.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Container

import torch

from xcodec2.codec.kernels.cpu_features import multiplies_bfloat16, multiplies_int8

LAYERS = re.compile(
    r"acoustic_decoder\.(layers\.\d+\.(self_attn|mlp)|post_net\.\d+\.conv\d)\."
    r"|semantic_encoder\.encoder\.layers\.\d+\.(ffn\d|self_attn|conv_module\.pointwise_conv\d)\."
)


def weight_type(
    key: str, dtype: torch.dtype, device: torch.device, quantized: Container[str] = ()
) -> torch.dtype:
    """The type of a weight in a model of `dtype` on `device`, before it is quantized.

    Args:
        key: the weight's name in the state dict.
        dtype: what the model was asked for in.
        device: where it is.
        quantized: keys that int8 will replace (see `int8.quantized_keys`).
    """
    if dtype == torch.int8:
        dtype = torch.float32 if key in quantized else torch.bfloat16
    if device.type != "cpu" or dtype != torch.bfloat16 or LAYERS.match(key):
        return dtype
    return torch.float32


def warn_if_slow(dtype: torch.dtype, device: torch.device) -> None:
    """Tell, with a RuntimeWarning, that this processor is slow in `dtype`."""
    low = dtype in (torch.bfloat16, torch.int8)
    lacking = {
        "AVX512_BF16 or AMX": low and not multiplies_bfloat16(),
        "VNNI": dtype == torch.int8 and not multiplies_int8(),
    }
    names = " and ".join(name for name, lacks in lacking.items() if lacks)
    if device.type == "cpu" and names:
        kind = str(dtype).removeprefix("torch.")
        warnings.warn(
            f"PyTorch finds no instructions for {kind} here ({names}): "
            "float32 is many times as fast",
            RuntimeWarning,
            stacklevel=4,
        )
