"""Judges: trained models that hear speech and say what it says, whose voice it is, or how good it
sounds.

    recogniser("moonshine").transcribe(waveform)     -> str
    speaker_encoder("resemblyzer").embed(waveform)   -> (D,) float32, of length 1
    rater("dnsmos").score(waveform)                  -> float, 1 (bad) to 5 (excellent)

Waveforms are (N,) float32 at 16 kHz. Each judge says its `name` and its `implementation` (package
and version), is loaded when it is asked for and kept, and computes in one thread so that it gives
the same numbers in any number of processes. A judge that cannot be loaded raises JudgeError, which
says how to get it; one that cannot judge a waveform (too short, silent) raises XCodec2Error with
the reason.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np

from xcodec2.errors import XCodec2Error

SAMPLE_RATE = 16_000


class JudgeError(XCodec2Error):
    """A judge that cannot be loaded here; the message says how to get it."""


class Recogniser(Protocol):
    """Speech to text. `languages`: those it knows, by ISO 639-1 code; None when it does not say."""

    name: str
    implementation: str
    languages: frozenset[str] | None

    def transcribe(self, waveform: np.ndarray) -> str: ...


class SpeakerEncoder(Protocol):
    """Speech to a vector of length 1 that tells voices apart; the cosine of two is their
    similarity.
    """

    name: str
    implementation: str

    def embed(self, waveform: np.ndarray) -> np.ndarray: ...


class Rater(Protocol):
    """Speech to the opinion that listeners would have, 1 to 5, without a reference."""

    name: str
    implementation: str

    def score(self, waveform: np.ndarray) -> float: ...


@functools.cache
def recogniser(name: str = "moonshine") -> Recogniser:
    """`moonshine` (base), `moonshine-tiny`, `pocketsphinx`, or a transformers CTC or
    sequence-to-sequence model by Hub id or folder, such as `facebook/hubert-large-ls960-ft`."""
    if name in ("moonshine", "moonshine-base", "moonshine-tiny"):
        from xcodec2.evaluate.judges.moonshine import Moonshine

        return Moonshine("tiny" if name.endswith("tiny") else "base")
    if name == "pocketsphinx":
        from xcodec2.evaluate.judges.sphinx import PocketSphinx

        return PocketSphinx()
    from xcodec2.evaluate.judges.hub import HubRecogniser

    return HubRecogniser(name)


@functools.cache
def speaker_encoder(name: str = "resemblyzer") -> SpeakerEncoder:
    """`resemblyzer`, or a transformers x-vector model by Hub id or folder, such as
    `microsoft/wavlm-base-plus-sv`.
    """
    if name == "resemblyzer":
        from xcodec2.evaluate.judges.resemblyzer import Resemblyzer

        return Resemblyzer()
    from xcodec2.evaluate.judges.hub import HubSpeakerEncoder

    return HubSpeakerEncoder(name)


@functools.cache
def rater(name: str = "dnsmos") -> Rater:
    """`dnsmos`, `distillmos`, or a transformers audio classifier with one output by Hub id or
    folder.
    """
    if name == "dnsmos":
        from xcodec2.evaluate.judges.dnsmos import DNSMOS

        return DNSMOS()
    if name == "distillmos":
        from xcodec2.evaluate.judges.distillmos import DistillMOS

        return DistillMOS()
    from xcodec2.evaluate.judges.hub import HubRater

    return HubRater(name)


def checked(waveform: np.ndarray, *, at_least: float = 0.0) -> np.ndarray:
    """(N,) finite float32; XCodec2Error when it is anything else, silent, or shorter than
    `at_least` seconds.
    """
    samples = np.ascontiguousarray(waveform, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise XCodec2Error("a judge takes a finite 1-D waveform at 16 kHz")
    if len(samples) < at_least * SAMPLE_RATE:
        raise XCodec2Error(f"shorter than {at_least:g} s")
    if not samples.any():
        raise XCodec2Error("silent")
    return samples
