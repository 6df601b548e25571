"""The worst files: what went in, what came out, what differs, to look at and to hear."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import soundfile
import torch

from xcodec2.audio.spectrogram import spectrogram
from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, load_recording, match_original
from xcodec2.evaluate.metrics.metric import Column, Columns
from xcodec2.evaluate.systems.system import System

RANKED_BY = ("estoi", "pesq_wb", "mel", "distillmos", "dnsmos", "speaker", "wer", "si_sdr")
MAX_SAMPLES = 20 * SAMPLE_RATE  # of what is shown and played
RANGE = 80.0  # dB below the loudest that colors span
DIFFERENCE = 30.0  # dB either way
COMPARED = 3  # of the files that other systems are shown on, too: each picture is some 40 kB


class Shown(NamedTuple):
    """One file: its row, its picture as a data URL, its sounds and other systems' pictures by name,
    as data URLs.
    """

    row: Mapping[str, Any]
    picture: str
    sounds: dict[str, str]
    others: dict[str, str]


def ranking_column(rows: Sequence[Mapping[str, Any]], columns: Columns) -> Column | None:
    """The column that the worst files are found by.

    Args:
        rows: Of all systems.
        columns: By name.

    Returns:
        The first of a list that was measured, else the first of which one end is better.
    """
    names = [*RANKED_BY, *(name for name, column in columns.items() if column.better)]
    return next((columns[name] for name in names if any(name in row for row in rows)), None)


def worst_files(
    rows: Sequence[Mapping[str, Any]],
    systems: Sequence[System],
    recordings: Sequence[Recording],
    column: Column | None,
    count: int,
    audio: bool,
) -> list[Shown]:
    """The worst files of the first system, the worst first, and the others on some of them.

    They are run again on them: no sound is kept in between.
    """
    if column is None:
        return []
    system = systems[0]
    own = [row for row in rows if row["system"] == system.name and column.name in row]
    sign = 1 if column.better == "higher" else -1
    own.sort(key=lambda row: (sign * row[column.name], row["id"]))
    by_id = {recording.id: recording for recording in recordings}
    shown: list[Shown] = []
    for row in own[:count]:
        try:
            original, _ = load_recording(by_id[row["id"]])
        except XCodec2Error:  # the file is gone meanwhile; its row stays
            continue
        decoded = decoded_by(system, original)
        if decoded is None:  # it fails now and then
            continue
        sounds = {"original": flac(original), system.name: flac(decoded)} if audio else {}
        others = {}
        for other in systems[1:] if len(shown) < COMPARED else ():
            heard = None if other.name == "original" else decoded_by(other, original)
            if heard is not None:
                others[other.name] = picture(original, heard)
                sounds |= {other.name: flac(heard)} if audio else {}
        shown.append(Shown(row, picture(original, decoded), sounds, others))
    return shown


def decoded_by(system: System, original: np.ndarray) -> np.ndarray | None:
    """What a system makes of a recording; None where it fails."""
    try:
        result = system(original)
        return match_original(result.waveform, result.sample_rate, len(original))
    except Exception:  # a foreign codec may raise anything
        return None


def picture(original: np.ndarray, decoded: np.ndarray) -> str:
    """Spectrograms of both and their difference, side by side; of their first 20 s."""
    from matplotlib.figure import Figure

    original, decoded = original[:MAX_SAMPLES], decoded[:MAX_SAMPLES]
    images = [
        spectrogram(torch.from_numpy(samples), SAMPLE_RATE).numpy()
        for samples in (original, decoded)
    ]
    loudest = max(float(image.max()) for image in images)
    floored = [np.maximum(image, loudest - RANGE) for image in images]
    extent = (0, len(original) / SAMPLE_RATE, 0, SAMPLE_RATE / 2000)
    figure = Figure(figsize=(12, 2.5), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    how: dict[str, Any] = {
        "origin": "lower",
        "aspect": "auto",
        "interpolation": "bilinear",
        "extent": extent,
    }
    for axis, image, title in zip(axes, floored, ("original", "reconstruction"), strict=False):
        level = axis.imshow(image - loudest, cmap="magma", vmin=-RANGE, vmax=0, **how)
        axis.set_title(title, fontsize=9, loc="left")
    change = axes[2].imshow(
        floored[1] - floored[0], cmap="RdBu_r", vmin=-DIFFERENCE, vmax=DIFFERENCE, **how
    )
    axes[2].set_title("difference: red is too loud, blue too quiet", fontsize=9, loc="left")
    axes[0].set_ylabel("kHz", fontsize=8)
    for axis in axes:
        axis.tick_params(labelsize=7)
        axis.set_xlabel("s", fontsize=8)
    for drawn, at in ((level, axes[1]), (change, axes[2])):
        figure.colorbar(drawn, ax=at, pad=0.01, fraction=0.05).ax.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=100, pil_kwargs={"quality": 80})
    return data_url("image/webp", buffer.getvalue())


def flac(samples: np.ndarray) -> str:
    """(N,) at 16 kHz as a data URL; its first 20 s."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples[:MAX_SAMPLES], -1, 1), SAMPLE_RATE, format="FLAC")
    return data_url("audio/flac", buffer.getvalue())


def data_url(kind: str, content: bytes) -> str:
    """A file of that MIME type inside a URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
