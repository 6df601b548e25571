"""Evaluators: trained models that hear speech and say what it says, whose voice it is, or how good
it sounds.

    asr("moonshine").transcribe(waveform)            -> str
    speaker_encoder("resemblyzer").embed(waveform)   -> (D,) float32, of length 1
    mos_predictor("dnsmos").score(waveform)          -> float, 1 (bad) to 5 (excellent)

Waveforms are (N,) float32 at 16 kHz. Each evaluator says its `name` and its `implementation`
(package and version), is loaded when it is asked for and kept, and computes in one thread so that
it gives the same numbers in any number of processes. One that cannot be loaded raises
EvaluatorError or MissingExtraError, which say how to get it; a waveform that it cannot evaluate
(too short, silent) raises UndefinedError with the reason.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np


class ASR(Protocol):
    """Speech to text.

    Attributes:
        name: For people.
        implementation: Package and version.
        languages: Those it knows, by ISO 639-1 code; None when it does not say.
    """

    name: str
    implementation: str
    languages: frozenset[str] | None

    def transcribe(self, waveform: np.ndarray) -> str:
        """(N,) at 16 kHz → text."""
        ...


class SpeakerEncoder(Protocol):
    """Speech to a vector that tells voices apart; the cosine of two is their similarity."""

    name: str
    implementation: str

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """(N,) at 16 kHz → (D,) float32 of length 1."""
        ...


class MOSPredictor(Protocol):
    """Speech to the opinion that listeners would have, without a reference."""

    name: str
    implementation: str

    def score(self, waveform: np.ndarray) -> float:
        """(N,) at 16 kHz → 1 to 5."""
        ...


@functools.cache
def asr(name: str = "moonshine") -> ASR:
    """Load a recognizer.

    Args:
        name: `moonshine` (base), `moonshine-tiny`, `pocketsphinx`, or a CTC or sequence-to-sequence
            model of transformers by Hub id or folder, such as `facebook/hubert-large-ls960-ft`.

    Returns:
        The recognizer; the same object for the same name.

    Raises:
        EvaluatorError: It cannot be loaded.
    """
    if name in ("moonshine", "moonshine-base", "moonshine-tiny"):
        from xcodec2.evaluators.moonshine import Moonshine

        return Moonshine("tiny" if name.endswith("tiny") else "base")
    if name == "pocketsphinx":
        from xcodec2.evaluators.pocketsphinx import PocketSphinx

        return PocketSphinx()
    from xcodec2.evaluators.hub import HubASR

    return HubASR(name)


@functools.cache
def speaker_encoder(name: str = "resemblyzer") -> SpeakerEncoder:
    """Load a speaker encoder.

    Args:
        name: `resemblyzer`, or an x-vector model of transformers by Hub id or folder, such as
            `microsoft/wavlm-base-plus-sv`.

    Returns:
        The encoder; the same object for the same name.

    Raises:
        EvaluatorError: It cannot be loaded.
    """
    if name == "resemblyzer":
        from xcodec2.evaluators.resemblyzer import Resemblyzer

        return Resemblyzer()
    from xcodec2.evaluators.hub import HubSpeakerEncoder

    return HubSpeakerEncoder(name)


@functools.cache
def mos_predictor(name: str = "dnsmos") -> MOSPredictor:
    """Load a predictor of opinions.

    Args:
        name: `dnsmos`, `distillmos`, or an audio classifier of transformers with one output by Hub
            id or folder.

    Returns:
        The predictor; the same object for the same name.

    Raises:
        EvaluatorError: It cannot be loaded.
    """
    if name == "dnsmos":
        from xcodec2.evaluators.dnsmos import DNSMOS

        return DNSMOS()
    if name == "distillmos":
        from xcodec2.evaluators.distillmos import DistillMOS

        return DistillMOS()
    from xcodec2.evaluators.hub import HubMOSPredictor

    return HubMOSPredictor(name)
