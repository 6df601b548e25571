"""DNSMOS P.835, overall quality: Reddy et al., 2022, with the weights in the package speechmos."""

from __future__ import annotations

import numpy as np

from xcodec2.evaluators import weights
from xcodec2.evaluators.onnx import session
from xcodec2.evaluators.waveform import SAMPLE_RATE, checked

WINDOW = int(9.01 * SAMPLE_RATE)
OVERALL = np.poly1d(
    [-0.06766283, 1.11546468, 0.04602535]
)  # from the network's scale to that of listeners


class DNSMOS:
    name = "DNSMOS"

    def __init__(self) -> None:
        self.implementation = f"P.835 OVRL, {weights.SPEECHMOS.described}"
        self.session = session(
            weights.find(weights.SPEECHMOS, "speechmos/dnsmos_models/sig_bak_ovr.onnx")
        )

    def score(self, waveform: np.ndarray) -> float:
        """The mean over windows of 9.01 s, a second apart; shorter speech is repeated, values
        beyond ±1 clipped.
        """
        samples = np.clip(checked(waveform), -1, 1)
        while len(samples) < WINDOW:
            samples = np.concatenate([samples, samples])
        hops = (
            int(len(samples) // SAMPLE_RATE - 9.01) + 1
        )  # as the package counts; the last may be one too few
        windows = [samples[None, hop * SAMPLE_RATE :][:, :WINDOW] for hop in range(max(1, hops))]
        outputs = [self.session.run(None, {"input_1": window})[0][0, 2] for window in windows]
        return float(np.mean(OVERALL(np.array(outputs, np.float64))))
