"""SI-SDR: the waveform's own ratio of signal to distortion, whatever the level."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair

MAX_RATIO = 100.0  # dB; an exact copy is infinitely far from its error


class SISDR(Metric):
    """SI-SDR (Le Roux et al., 2019) of waveforms without their means.

    A delay of a few samples ruins it: it says nothing of codecs that do not keep the waveform.
    """

    name = "si-sdr"
    columns = (Column("si_sdr", "SI-SDR", "higher", 1, "dB, waveform against waveform"),)
    implementation = "open-xcodec2: Le Roux et al., 2019, zero mean, at most 100 dB"

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """si_sdr in dB, -100 to 100; not defined where a waveform is silent or constant."""
        if not (np.ptp(pair.original) and np.ptp(pair.decoded)):
            raise UndefinedError("silent")
        wanted = pair.original.astype(np.float64) - pair.original.mean(dtype=np.float64)
        got = pair.decoded.astype(np.float64) - pair.decoded.mean(dtype=np.float64)
        target = (got @ wanted) / float(wanted @ wanted) * wanted
        with np.errstate(divide="ignore"):
            ratio = 10 * np.log10((target @ target) / np.square(got - target).sum())
        return {"si_sdr": float(np.clip(ratio, -MAX_RATIO, MAX_RATIO))}
