"""Distance of mel spectra: the published multi-resolution loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.signal.mel import MEL_WINDOWS, log_mel


class MelDistance(Metric):
    """L1 of log10 mel magnitudes, averaged over seven resolutions; a level of -6 dB costs 0.3."""

    name = "mel"
    columns = (
        Column("mel", "mel distance", "lower", 3,
               "L1 of log10 mel magnitudes, mean of 7 resolutions"),
    )  # fmt: skip
    implementation = "open-xcodec2: windows 32…2048, hops a quarter, 5…320 Slaney mels, floor 1e-5"

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """mel, 0 for a copy; always defined."""
        both = torch.from_numpy(np.stack([pair.original, pair.decoded])).float()
        spectra = (log_mel(both, window, pair.sample_rate) for window in MEL_WINDOWS)
        return {"mel": float(np.mean([float((mel[0] - mel[1]).abs().mean()) for mel in spectra]))}
