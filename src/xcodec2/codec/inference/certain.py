"""Codes that do not depend on how a recording was cut into batches, windows and streams.

Sums of other shapes round differently in their last digits, so a latent that lies on the edge
between two codes could fall to either side. Where the receptive field is finite, such a frame is
computed once more, alone, from exactly what it depends on: in one shape, which always rounds alike.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from xcodec2.codec.constants import TOLERANCE
from xcodec2.codec.network import CodecNetwork


def uncertain_frames(network: CodecNetwork, margin: Tensor) -> list[int]:
    """Which of the frames (T,) are too near to the edge of a code for rounding not to matter.

    None where the receptive field has no limit, and in other types than float32.
    """
    if network.receptive_field is None or network.dtype != torch.float32:
        return []
    return (margin < TOLERANCE).nonzero().flatten().tolist()


def code_alone(
    network: CodecNetwork, frame: int, frames: int, samples: Callable[[int, int], Tensor]
) -> int:
    """The code of one frame of a recording, from its receptive field alone.

    Args:
        network: In the state of `inference`.
        frame: Which.
        frames: Of the whole padded recording, as far as they are known.
        samples: Gives the padded recording from one frame to another, (n·hop,).
    """
    field = network.receptive_field
    assert field is not None
    first, last = max(frame - field.encoder_back, 0), min(frame + field.encoder_ahead + 1, frames)
    window = samples(first, last)[None].clone()  # aligned in memory as any other
    latent = network.encode_features(window.to(network.device)).latent
    return int(network.quantize(latent).codes[0, frame - first])


def code_of_row(network: CodecNetwork, row: Tensor, frame: int) -> int:
    """The code of one frame of a padded waveform (P,), as its receptive field alone gives it."""
    hop = network.config.hop
    return code_alone(
        network, frame, len(row) // hop, lambda first, last: row[first * hop : last * hop]
    )
