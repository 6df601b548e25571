"""Short-time objective intelligibility (Taal et al., 2011; Jensen and Taal, 2016), by pystoi."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from xcodec2.errors import UndefinedError
from xcodec2.extras import require

_SEED = 0
_LOCK = threading.Lock()  # NumPy's global generator and the list of warnings are the process's


def stoi(original: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """How much of speech can be understood, from 0 to 1.

    Args:
        original: (N,) waveform.
        decoded: (N,) waveform, in time with the original.
        sample_rate: Of both, in Hz; pystoi resamples to 10 kHz.

    Returns:
        STOI; the same in every run.

    Raises:
        UndefinedError: There are fewer than 30 frames of speech, or one of the two is silent.
        XCodec2Error: The waveforms differ in length or are not finite.
        MissingExtraError: pystoi is not installed.
    """
    return _measure(original, decoded, sample_rate, extended=False)


def estoi(original: np.ndarray, decoded: np.ndarray, sample_rate: int) -> float:
    """Extended STOI, which also hears noise that comes and goes.

    Args, Returns and Raises are those of `stoi`.
    """
    return _measure(original, decoded, sample_rate, extended=True)


def _measure(
    original: np.ndarray, decoded: np.ndarray, sample_rate: int, *, extended: bool
) -> float:
    pystoi = require("pystoi", extra="evaluate", purpose="STOI")
    _check(original, decoded)
    with _LOCK, _seeded(), warnings.catch_warnings():
        # So pystoi says that its result, 1e-5, is a placeholder.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            value = float(pystoi.stoi(original, decoded, sample_rate, extended=extended))
        except (RuntimeWarning, ValueError, IndexError) as problem:
            raise UndefinedError("fewer than 30 frames of speech") from problem
    if not np.isfinite(value):
        raise UndefinedError("not a number")
    return value


def _check(original: np.ndarray, decoded: np.ndarray) -> None:
    if original.ndim != 1 or original.shape != decoded.shape:
        raise UndefinedError(
            f"waveforms must be 1-D and equally long, not {original.shape} and {decoded.shape}"
        )
    for name, waveform in (("original", original), ("decoded", decoded)):
        if not np.isfinite(waveform).all():
            raise UndefinedError(f"the {name} waveform is not finite")
        if not np.ptp(waveform):  # zeros, or an offset alone, which pystoi gives about .5
            raise UndefinedError(f"the {name} waveform is silent")


@contextmanager
def _seeded() -> Iterator[None]:
    """NumPy's global generator at a fixed place: for ESTOI pystoi adds noise of 2e-16 from it, and
    that decides what silent frames count. Afterwards it is where the caller had it.
    """
    state = np.random.get_state()
    np.random.seed(_SEED)
    try:
        yield
    finally:
        np.random.set_state(state)
