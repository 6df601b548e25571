"""Spectrograms as a picture, to see what a codec kept.; needs matplotlib."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from xcodec2.errors import XCodec2Error
from xcodec2.extras import require
from xcodec2.files import replacing

WINDOW_SECONDS = 0.025
HOP_SECONDS = 0.005
MAX_COLUMNS = 4000  # longer speech gets a wider hop: more than a picture can show costs memory only
DYNAMIC_RANGE = 80.0  # dB below the loudest point of all panels that the colours span


def spectrogram(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Power in dB of a (N,) waveform: (frequency bins, frames), windows of 25 ms every 5 ms."""
    window = round(WINDOW_SECONDS * sample_rate)
    hop = max(round(HOP_SECONDS * sample_rate), math.ceil(len(waveform) / MAX_COLUMNS))
    spectrum = torch.stft(
        waveform,
        n_fft=2 ** (2 * window - 1).bit_length(),  # at least twice the window: smooth in frequency
        hop_length=hop,
        win_length=window,
        window=torch.hann_window(window, dtype=torch.float32, device="cpu"),
        pad_mode="constant",
        return_complex=True,
    )
    return 20 * torch.log10(spectrum.abs().clamp_min(1e-6))


def spectrogram_picture(
    path: str | os.PathLike[str], waveforms: Mapping[str, Any], sample_rate: int
) -> None:
    """Draws the named (N,) waveforms one above the other, with one time axis and one colour scale,
    into a PNG.
    """
    # The object interface: no global state, no display.
    matplotlib = require("matplotlib.figure", extra="pictures", purpose="a picture")

    panels = {
        name: torch.as_tensor(waveform, dtype=torch.float32, device="cpu")
        for name, waveform in waveforms.items()
    }
    images = {name: spectrogram(waveform, sample_rate) for name, waveform in panels.items()}
    loudest = max(float(image.max()) for image in images.values())
    seconds = max(len(waveform) for waveform in panels.values()) / sample_rate

    width = float(np.clip(2 + seconds, 9, 24))
    figure = matplotlib.Figure(figsize=(width, 0.6 + 2.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, image) in zip(axes, images.items(), strict=True):
        drawn = axis.imshow(
            (image - loudest).numpy(),
            origin="lower",
            aspect="auto",
            interpolation="bilinear",
            cmap="magma",
            vmin=-DYNAMIC_RANGE,
            vmax=0,
            extent=(0, len(panels[name]) / sample_rate, 0, sample_rate / 2000),
        )
        axis.set(title=name, ylabel="frequency (kHz)", xlim=(0, seconds), facecolor="black")
        axis.title.set_fontsize(10)
    axes[-1].set_xlabel("time (s)")
    figure.colorbar(
        drawn, ax=list(axes), label="level below the loudest (dB)", pad=0.01, fraction=0.05
    )

    with replacing(path, XCodec2Error) as file:
        figure.savefig(file, format="png", dpi=110)
