"""What this processor, and PyTorch on it, have instructions for."""

from __future__ import annotations

import functools

import torch


def multiplies_bfloat16() -> bool:
    """Whether oneDNN multiplies bfloat16: AVX512_BF16, or AMX, which implies it."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # older PyTorch cannot say
    return bool(supported and supported())


@functools.cache
def multiplies_int8() -> bool:
    """Whether oneDNN multiplies 8-bit integers, and the processor without saturating: VNNI.

    What torch.compile's own code calls is not documented, so it is tried out once.
    """
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    if not (supported and supported()):
        return False
    cpu = torch.device("cpu")
    try:
        weight = torch.full((2, 8), 127, dtype=torch.int8, device=cpu)
        values = torch.full((3, 8), 255, dtype=torch.uint8, device=cpu)
        scales = torch.ones(2, dtype=torch.float32, device=cpu)
        zeros = torch.zeros(2, dtype=torch.int64, device=cpu)
        packed = torch.ops.onednn.qlinear_prepack(weight, None)
        y = torch.ops.onednn.qlinear_pointwise.default(
            values, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(y, torch.full_like(y, 8 * 127 * 255.0))
