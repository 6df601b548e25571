"""`xcodec2 reconstruct`: speech to codes and back, with the figures."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xcodec2.cli.options import (
    INPUT_FILE,
    OUTPUT_FILE,
    channel_option,
    device_option,
    load_for_few,
    model_option,
)
from xcodec2.cli.outputs import check_audio_suffix, check_decoders, check_parents, check_targets
from xcodec2.cli.terminal import say
from xcodec2.errors import UndefinedError
from xcodec2.extras import require
from xcodec2.printable import printable

if TYPE_CHECKING:
    import numpy as np


@click.command()
@click.argument("speech", metavar="IN", type=INPUT_FILE)
@click.option(
    "-o", "--out", required=True, type=OUTPUT_FILE, metavar="OUT", help="Audio file to write."
)
@click.option(
    "--codes", "codes_path", type=OUTPUT_FILE, metavar="FILE", help="Also save the codes."
)
@click.option(
    "--picture",
    "picture_path",
    type=OUTPUT_FILE,
    metavar="FILE",
    help="Also plot both spectrograms (PNG).",
)
@click.option("--stoi", is_flag=True, help="Also measure intelligibility (STOI, 0 to 1).")
@model_option
@device_option
@channel_option
def reconstruct(
    speech: Path,
    out: Path,
    codes_path: Path | None,
    picture_path: Path | None,
    stoi: bool,
    model_name: str,
    device: str,
    channel: int | None,
) -> None:
    """Encode speech, decode it again, and print statistics.

    Prints tokens, bit rate and speed. The real-time factor is computing time divided by duration:
    0.1 is ten times faster than real time.

    \b
    Examples:
      xcodec2 reconstruct speech.wav -o again.wav
      xcodec2 reconstruct speech.mp3 -o again.flac --codes speech.npz --picture both.png --stoi
    """
    check_decoders([speech])
    if picture_path:
        require("matplotlib.figure", extra="pictures", purpose="--picture")
    if stoi:
        require("pystoi", extra="evaluate", purpose="--stoi")
    from xcodec2.audio.io import load_samples, save_audio

    check_audio_suffix(out)
    targets = [target for target in (out, codes_path, picture_path) if target]
    check_parents(targets)
    check_targets(targets, [speech])

    import numpy as np

    model = load_for_few(model_name, device, 1)
    silence = np.zeros(model.config.input_rate, np.float32)
    model.decode(
        model.encode(silence, model.config.input_rate)
    )  # a process's first pass is slow: not in the figures
    started = time.perf_counter()
    codes = model.encode(speech, channel=channel)
    encoded = time.perf_counter()
    waveform = np.asarray(model.decode(codes))
    decoded = time.perf_counter()

    save_audio(out, waveform, model.sample_rate)
    if codes_path:
        codes.save(codes_path)
    distinct = len(set(codes.array.tolist()))
    bitrate = math.log2(model.codebook_size) * model.frame_rate
    figures = {
        "duration": f"{codes.duration:.2f} s",
        "model": f"{codes.model} on {device}",
        "tokens": f"{len(codes)} ({model.frame_rate:g} per second, {distinct} different)",
        "bitrate": f"{bitrate:g} bit/s",
        "encode": speed(encoded - started, codes.duration),
        "decode": speed(decoded - encoded, codes.duration),
    }
    if picture_path or stoi:
        original = load_samples(speech, channel=channel, target_rate=model.sample_rate).samples
        if picture_path:
            from xcodec2.audio.spectrogram import spectrogram_picture

            panels = {
                printable(speech.name): original,
                f"{printable(out.name)}, {bitrate:g} bit/s": waveform,
            }
            spectrogram_picture(picture_path, panels, model.sample_rate)
        if stoi:
            figures["STOI"] = intelligibility(original, waveform, model.sample_rate)
    for name, figure in figures.items():
        say(f"{name:<10}{figure}")


def speed(seconds: float, duration: float) -> str:
    """The real-time factor in words."""
    return f"real-time factor {seconds / duration:.4f} ({duration / seconds:.3g} times real time)"


def intelligibility(original: np.ndarray, waveform: np.ndarray, sample_rate: int) -> str:
    """STOI of a waveform against its original, both (N,), or why it has none."""
    from xcodec2.signal.stoi import stoi

    length = min(len(original), len(waveform))
    try:
        value = stoi(original[:length], waveform[:length], sample_rate)
    except UndefinedError as reason:
        return f"not defined: {reason}"
    return f"{value:.3f}"
