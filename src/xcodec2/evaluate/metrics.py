"""What is measured: the columns of a report, and how a pair of waveforms gives them.

A measure is what a user chooses by name; it gives one or more columns. Waveforms are (N,) float32
at 16 kHz, the original and what was heard, equally long.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from dataclasses import dataclass

import numpy as np
import torch

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.mel import slaney_mel
from xcodec2.evaluate.pitch import compare_pitch

SAMPLE_RATE = 16_000
MEL_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
MEL_BINS = (5, 10, 20, 40, 80, 160, 320)
MEL_FLOOR = 1e-5
HIGHEST_SI_SDR = 100.0  # dB; an exact copy is infinitely far from its error


@dataclass(frozen=True)
class Column:
    """One number of a file.

    better: "higher", "lower", or "" where neither is. digits: after the point, in tables.
    """

    title: str
    measure: str
    better: str
    digits: int
    note: str = ""


COLUMNS = {
    "stoi": Column("STOI", "stoi", "higher", 3, "intelligibility, 0 to 1"),
    "estoi": Column("ESTOI", "stoi", "higher", 3, "intelligibility, extended"),
    "pesq_wb": Column("PESQ-WB", "pesq", "higher", 2, "quality, wide band, 1 to 4.64"),
    "pesq_nb": Column("PESQ-NB", "pesq", "higher", 2, "quality, narrow band, 1 to 4.55"),
    "mel": Column(
        "mel distance", "mel", "lower", 3, "L1 of log10 mel magnitudes, mean of 7 resolutions"
    ),
    "si_sdr": Column("SI-SDR", "si-sdr", "higher", 1, "dB, waveform against waveform"),
    "f0_cents": Column(
        "F0 error", "f0", "lower", 1, "RMS cents where voiced in both, gross errors left out"
    ),
    "f0_gross": Column(
        "F0 gross", "f0", "lower", 3, "share of frames voiced in both that are off by over 20 %"
    ),
    "voicing": Column(
        "voicing error",
        "f0",
        "lower",
        3,
        "share of frames that changed between voiced and unvoiced",
    ),
    "dnsmos": Column(
        "DNSMOS", "dnsmos", "higher", 2, "overall quality without a reference, 1 to 5"
    ),
    "distillmos": Column(
        "DistillMOS", "distillmos", "higher", 2, "quality without a reference, 1 to 5"
    ),
    "speaker": Column("speaker", "speaker", "higher", 3, "cosine of the voices' embeddings"),
    "wer": Column("WER", "wer", "lower", 3, "word error rate"),
    "cer": Column("CER", "wer", "lower", 3, "character error rate"),
    "kept_gain": Column(
        "kept: gain", "invariance", "higher", 3, "share of codes that stay at -6 dB"
    ),
    "kept_noise": Column(
        "kept: noise", "invariance", "higher", 3, "share of codes that stay with noise 30 dB below"
    ),
    "kept_resampled": Column(
        "kept: 44.1 kHz", "invariance", "higher", 3, "share kept from 16 to 44.1 kHz and back"
    ),
    "kept_shift": Column(
        "kept: shift", "invariance", "higher", 3, "share that stay when speech comes 5 ms later"
    ),
}
MEASURES = tuple(dict.fromkeys(column.measure for column in COLUMNS.values()))


def intelligibility(original: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """STOI and ESTOI. Raises XCodec2Error where they are not defined, as the two below do."""
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.simplefilter(
            "error", RuntimeWarning
        )  # how pystoi says so; its result would be a placeholder
        try:
            return {
                "stoi": float(stoi(original, heard, SAMPLE_RATE)),
                "estoi": float(stoi(original, heard, SAMPLE_RATE, extended=True)),
            }
        except (RuntimeWarning, ValueError, IndexError) as problem:
            raise XCodec2Error("fewer than 30 frames of speech") from problem


def perceived_quality(original: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """PESQ, wide and narrow band."""
    import pesq

    if not heard.any():
        raise XCodec2Error("nothing to hear")
    try:
        return {
            f"pesq_{mode}": float(pesq.pesq(SAMPLE_RATE, original, heard, mode))
            for mode in ("wb", "nb")
        }
    except (pesq.PesqError, ValueError, ZeroDivisionError) as problem:
        said = " ".join(str(p.decode() if isinstance(p, bytes) else p) for p in problem.args)
        raise XCodec2Error(said or type(problem).__name__) from problem


def mel_distance(original: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """The published multi-resolution mel loss, its seven resolutions averaged."""
    pair = torch.from_numpy(np.stack([original, heard])).float()
    distances = []
    for window, bins in zip(MEL_WINDOWS, MEL_BINS, strict=True):
        spectrum = torch.stft(
            pair,
            window,
            window // 4,
            window=torch.hann_window(window),
            return_complex=True,
            pad_mode="constant",
        )
        magnitude = (spectrum.real.square() + spectrum.imag.square() + MEL_FLOOR**2).sqrt()
        mel = (
            (slaney_mel(window, bins, SAMPLE_RATE, pair.device) @ magnitude)
            .clamp(min=MEL_FLOOR)
            .log10()
        )
        distances.append(float((mel[0] - mel[1]).abs().mean()))
    return {"mel": float(np.mean(distances))}


def signal_to_distortion(original: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """SI-SDR (Le Roux et al., 2019) of waveforms without their means."""
    wanted = original.astype(np.float64) - original.mean(dtype=np.float64)
    got = heard.astype(np.float64) - heard.mean(dtype=np.float64)
    power = float(wanted @ wanted)
    if power == 0 or not got.any():
        raise XCodec2Error("silent")
    target = (got @ wanted) / power * wanted
    error = float(np.square(got - target).sum())
    ratio = 10 * np.log10(max(float(target @ target), 1e-20) / max(error, 1e-20))
    return {"si_sdr": float(np.clip(ratio, -HIGHEST_SI_SDR, HIGHEST_SI_SDR))}


def pitch_errors(original: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """F0 and voicing, those of them that are defined."""
    pitch = compare_pitch(original, heard)
    named = {"f0_cents": pitch.cents, "f0_gross": pitch.gross, "voicing": pitch.voicing}
    return {name: value for name, value in named.items() if np.isfinite(value)}


SIGNAL_MEASURES = {
    "stoi": intelligibility,
    "pesq": perceived_quality,
    "mel": mel_distance,
    "si-sdr": signal_to_distortion,
    "f0": pitch_errors,
}


def implementation(measure: str) -> str:
    """Package and version behind a measure that no judge makes.

    Raises XCodec2Error when it is not installed.
    """
    packages = {"stoi": "pystoi", "pesq": "pesq"}
    ours = {
        "mel": "open-xcodec2: windows 32…2048, hops a quarter, 5…320 Slaney mels, floor 1e-5",
        "si-sdr": "open-xcodec2: Le Roux et al., 2019, zero mean, at most 100 dB",
        "f0": "open-xcodec2: YIN, 60 to 500 Hz, every 10 ms",
        "invariance": "open-xcodec2: gain -6 dB, white noise at 30 dB, soxr VHQ, 80 samples of silence before",
    }
    if measure in ours:
        return ours[measure]
    try:
        return f"{packages[measure]} {importlib.metadata.version(packages[measure])}"
    except importlib.metadata.PackageNotFoundError as problem:
        raise XCodec2Error(
            f"{packages[measure]} is not installed: pip install 'open-xcodec2[evaluate]'"
        ) from problem
