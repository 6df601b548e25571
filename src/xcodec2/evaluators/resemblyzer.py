"""Resemblyzer's speaker encoder: an LSTM on mel spectra, trained on telling speakers apart (GE2E
loss).

The package needs librosa and webrtcvad; the network is three lines and is written here. Unlike the
package's `preprocess_wav`, long silences stay in: a codec must not change what is compared by what
a voice detector thinks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import UndefinedError
from xcodec2.evaluators import weights
from xcodec2.evaluators.waveform import SAMPLE_RATE, checked
from xcodec2.signal.mel import slaney_mel

WINDOW, HOP, MELS = 400, 160, 40
PARTIAL = 160  # frames
PARTIALS_PER_SECOND = 1.3
MIN_COVERAGE = 0.75  # of the last partial; what covers less is dropped
TARGET_RMS = 10 ** (-30 / 20)  # quieter speech is raised to -30 dB of full scale


class Resemblyzer:
    """A speaker encoder (Wan et al., 2018): an LSTM over mel spectra, in PyTorch."""

    name = "Resemblyzer"

    def __init__(self) -> None:
        self.implementation = weights.RESEMBLYZER.described
        path = weights.find(weights.RESEMBLYZER, "resemblyzer/pretrained.pt")
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        with float32_parameters("cpu"):
            self.lstm = nn.LSTM(MELS, 256, 3, batch_first=True).eval()
            self.linear = nn.Linear(256, 256)
        self.lstm.load_state_dict(
            {k.removeprefix("lstm."): t for k, t in state.items() if k.startswith("lstm.")}
        )
        self.linear.load_state_dict(
            {k.removeprefix("linear."): t for k, t in state.items() if k.startswith("linear.")}
        )

    @float32_parameters("cpu")
    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """(N,) → (256,), the normalized mean over partial utterances of 1.6 s.

        Raises:
            UndefinedError: It is too short, or holds no voice.
        """
        samples = torch.from_numpy(checked(waveform))
        samples = samples * max(1.0, TARGET_RMS / float(samples.square().mean().sqrt()))
        starts = partial_starts(len(samples))
        needed = (starts[-1] + PARTIAL) * HOP
        mel = mel_spectrum(torch.nn.functional.pad(samples, (0, max(0, needed - len(samples)))))
        with torch.inference_mode():
            _, (hidden, _) = self.lstm(
                torch.stack([mel[start : start + PARTIAL] for start in starts])
            )
            raw = self.linear(hidden[-1]).relu()
        mean = (raw / raw.norm(dim=1, keepdim=True)).mean(0).numpy()
        length = float(np.linalg.norm(mean))
        if not np.isfinite(length) or length == 0:
            raise UndefinedError("no voice is heard in it")
        return (mean / length).astype(np.float32)


def partial_starts(num_samples: int) -> list[int]:
    """First frames of the partial utterances."""
    frames = int(np.ceil((num_samples + 1) / HOP))
    step = round(SAMPLE_RATE / PARTIALS_PER_SECOND / HOP)
    starts = list(range(0, max(1, frames - PARTIAL + step + 1), step))
    if len(starts) > 1 and num_samples - starts[-1] * HOP < MIN_COVERAGE * PARTIAL * HOP:
        starts.pop()
    return starts


def mel_spectrum(samples: Tensor) -> Tensor:
    """(N,) → (frames, 40), power, frames centered."""
    window = torch.hann_window(WINDOW, dtype=samples.dtype, device=samples.device)
    spectrum = torch.stft(
        samples, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True
    )
    power = spectrum.real.square() + spectrum.imag.square()
    return (slaney_mel(WINDOW, MELS, SAMPLE_RATE, torch.device("cpu")) @ power).T
