"""What is measured: the columns of a report, and how a pair of waveforms gives them.

A measure is what a user chooses by name; it gives one or more columns. Waveforms are (N,) float32
at 16 kHz, the original and what was heard, equally long.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

import numpy as np
import torch

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.pitch import compare_pitch
from xcodec2.extras import require
from xcodec2.signal.mel import MEL_WINDOWS, log_mel
from xcodec2.signal.stoi import estoi, stoi

SAMPLE_RATE = 16_000
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
    return {
        "stoi": stoi(original, heard, SAMPLE_RATE),
        "estoi": estoi(original, heard, SAMPLE_RATE),
    }


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
    spectra = (log_mel(pair, window, SAMPLE_RATE) for window in MEL_WINDOWS)
    return {"mel": float(np.mean([float((mel[0] - mel[1]).abs().mean()) for mel in spectra]))}


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
    require(packages[measure], extra="evaluate", purpose=measure.upper())
    return f"{packages[measure]} {importlib.metadata.version(packages[measure])}"
