"""Distance of mel spectra: the published multi-resolution loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from xcodec2.evaluate.audio import SAMPLE_RATE
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
        original = pair.of_original(self.name, spectra)
        decoded = spectra(pair.decoded)
        differences = (
            float((one - two).abs().mean()) for one, two in zip(original, decoded, strict=True)
        )
        return {"mel": float(np.mean(list(differences)))}


def spectra(waveform: np.ndarray) -> list[torch.Tensor]:
    """(N,) at 16 kHz → its spectra in all resolutions."""
    samples = torch.from_numpy(waveform[None]).float()
    return [log_mel(samples, window, SAMPLE_RATE)[0] for window in MEL_WINDOWS]
