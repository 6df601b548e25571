"""Distance of mel spectra: the published multi-resolution loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.signal.mel import slaney_mel

WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
BINS = (5, 10, 20, 40, 80, 160, 320)
FLOOR = 1e-5


class MelDistance(Metric):
    """L1 of log10 mel magnitudes, averaged over seven resolutions; a level of -6 dB costs 0.3."""

    name = "mel"
    columns = (
        Column(
            "mel", "mel distance", "lower", 3, "L1 of log10 mel magnitudes, mean of 7 resolutions"
        ),
    )
    implementation = (
        "open-xcodec2: windows 32…2048, hops a quarter, 5…320 Slaney mels, floor 1e-5"
    )

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """mel, 0 for a copy; always defined."""
        both = torch.from_numpy(np.stack([pair.original, pair.decoded])).float()
        distances = []
        for window, bins in zip(WINDOWS, BINS, strict=True):
            spectrum = torch.stft(
                both,
                window,
                window // 4,
                window=torch.hann_window(window),
                return_complex=True,
                pad_mode="constant",
            )
            magnitude = (spectrum.real.square() + spectrum.imag.square() + FLOOR**2).sqrt()
            filters = slaney_mel(window, bins, pair.sample_rate, both.device)
            mel = (filters @ magnitude).clamp(min=FLOOR).log10()
            distances.append(float((mel[0] - mel[1]).abs().mean()))
        return {"mel": float(np.mean(distances))}
