"""From codes to the decoder's first block in one convolution of eight channels, for inference.

    codes → values ─ project_out ─ fc ─ embed →   three linear maps in a row, 1024 channels each
    codes → values, 1 ──── one convolution ───→   their product: the same sums but for rounding

At full size this takes 4 ms instead of 14 for 3 s of audio, and instead of 45 for 10 s. The
convolution is put together from the weights in every call, as cheap as reading them once: nothing
can become outdated. B batch, T frames, K dimensions, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.decoder import AcousticDecoder
from xcodec2.codec.kernels.linear import linear
from xcodec2.codec.masking import valid_mask
from xcodec2.codec.quantizer import Quantizer
from xcodec2.codec.step import Lengths, Step


def embed_codes(
    quantizer: Quantizer,
    decoder: AcousticDecoder,
    codes: Tensor,
    lengths: Lengths,
    kernel: Tensor | None = None,
) -> Tensor:
    """What `decoder.embed` gives for the vectors of codes.

    Args:
        quantizer: Whose codes they are.
        decoder: Whose first convolution.
        codes: (B, T).
        lengths: (B,) in frames, or a step of streams.
        kernel: What `folded_kernel` gives, where it is there already.

    Returns:
        (B, D, T).
    """
    embed = decoder.embed
    kernel = folded_kernel(quantizer, decoder) if kernel is None else kernel
    values = quantizer.values(codes).to(kernel.dtype)
    values = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1)  # (B, T, K + 1)
    if isinstance(lengths, Step):
        values = lengths.extended(lengths.zeroed(values, 1), sum(embed.sides), 1)
        lengths.delay += embed.sides[1]
    else:
        if lengths is not None:
            values = values * valid_mask(lengths, codes.shape[1])[..., None]
        values = F.pad(values, (0, 0, *embed.sides))
    inputs = values.unfold(1, embed.kernel_size[0], 1).flatten(2)  # (B, T, (K + 1)·size)
    bias = None if embed.bias is None else embed.bias.to(kernel.dtype)
    return linear(inputs, kernel, bias).to(embed.weight.dtype).transpose(1, 2)


def folded_kernel(quantizer: Quantizer, decoder: AcousticDecoder) -> Tensor:
    """(D, (K + 1)·size) float32 or better: the kernel for K values, and for a 1 that is 0 where the
    convolution pads.

    The 1 carries the two biases before the convolution, which it does not see in its own padding.
    """
    out, fc, embed = quantizer.project_out, decoder.fc, decoder.embed
    dtype = torch.promote_types(embed.weight.dtype, torch.float32)
    columns = torch.cat([out.weight.T, out.bias[None]]).to(dtype)  # (K + 1, latent width)
    columns = linear(columns, fc.weight.to(dtype))  # (K + 1, D)
    columns[-1] += fc.bias
    taps = linear(embed.weight.transpose(1, 2).flatten(0, 1).to(dtype), columns)  # (D·size, K + 1)
    return taps.unflatten(0, (-1, embed.kernel_size[0])).transpose(1, 2).flatten(1)
