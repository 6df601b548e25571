"""From a file of any kind to speech at one rate, or a reason why it is none."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000


class UnusableError(Exception):
    """A recording that is left out; the message says why."""


@dataclass(frozen=True)
class Rules:
    """What a split asks of a recording.

    Signals and other sounds that are no speech are left out by name in `sources.py`: there are few
    of them, and by its spectrum alone a long vowel is hard to tell from a beep.
    """

    min_seconds: float
    trim: bool
    sample_rate: int = SAMPLE_RATE
    margin_seconds: float = 0.15
    # A frame sounds when it is this far above the quiet frames, within the bounds given by the loud
    # ones.
    above_floor_db: float = 8.0
    nearest_db: float = 20.0
    farthest_db: float = 40.0
    # Quieter than this throughout is silence.
    quiet_db: float = -50.0


TRAIN_RULES = Rules(min_seconds=0.3, trim=True)
# The test set is taken as it comes.
TEST_RULES = Rules(min_seconds=0.5, trim=False)


def read_audio(path: Path) -> tuple[np.ndarray, int]:
    """Samples (N, mean of the channels, float32) and rate of any file that libsndfile or PyAV can
    read.
    """
    if path.suffix == ".g722":  # raw, without a header, so nothing in it may be taken for one
        return _read_with_pyav(path, "g722")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return _read_with_pyav(path, None)
    return samples.mean(axis=1), rate


def _read_with_pyav(path: Path, container_format: str | None) -> tuple[np.ndarray, int]:
    import av

    with av.open(str(path), format=container_format) as container:
        rate = container.streams.audio[0].rate
        to_float = av.AudioResampler(format="fltp")
        decoded = [part for frame in container.decode(audio=0) for part in to_float.resample(frame)]
    if not decoded:
        return np.zeros(0, dtype=np.float32), rate
    return np.concatenate([part.to_ndarray() for part in decoded], axis=1).mean(axis=0), rate


def frame_levels(samples: np.ndarray, size: int) -> np.ndarray:
    """Level of each whole frame of `size` samples, in dB relative to full scale."""
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    return 10 * np.log10(np.mean(np.square(frames, dtype=np.float64), axis=1) + 1e-12)


def sounding_frames(levels: np.ndarray, rules: Rules) -> np.ndarray:
    """Which frames hold sound rather than background.

    The threshold follows the recording's own background; the bounds keep it sensible where a
    recording has no pause (all frames loud) or digital silence around the speech.
    """
    floor, loud = np.percentile(levels, (10, 95))
    return levels > np.clip(
        floor + rules.above_floor_db, loud - rules.farthest_db, loud - rules.nearest_db
    )


def trim_silence(samples: np.ndarray, rules: Rules) -> np.ndarray:
    """Cut what lies before the first and after the last sounding frame, but for a margin."""
    frame = rules.sample_rate // 100
    levels = frame_levels(samples, frame)
    if not len(levels):
        raise UnusableError("short")
    if levels.max() < rules.quiet_db:
        raise UnusableError("silent")
    sounding = np.flatnonzero(sounding_frames(levels, rules))
    margin = round(rules.margin_seconds * rules.sample_rate)
    return samples[max(0, sounding[0] * frame - margin) : (sounding[-1] + 1) * frame + margin]


def prepare(
    samples: np.ndarray, rate: int, rules: Rules, lowest_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """Speech at the rules' rate from a recording at `rate`; raises `UnusableError` where they leave
    it out.

    `lowest_rate`: what a recording for 16 kHz has to have; for more, it has to have that itself.
    """
    if rules.sample_rate > SAMPLE_RATE:
        lowest_rate = rules.sample_rate
    if rate < lowest_rate:
        raise UnusableError(f"rate below {lowest_rate / 1000:g} kHz")
    speech = soxr.resample(samples, rate, rules.sample_rate, quality="VHQ")
    if rules.trim:
        speech = trim_silence(speech, rules)
    if len(speech) < rules.min_seconds * rules.sample_rate:
        raise UnusableError("short")
    return speech
