"""Verifiers: what says how good spoken text is.

A verifier is any callable (text, waveform, reference) → float, greater is better. waveform and
reference are (N,) float32 at 16 kHz; the reference is the voice clip, or None. By name there are

    wer, cer            minus the recognizer's error rate (Moonshine); wer-pocketsphinx, … for
                        another recognizer
    ctc, ctc-FILE       likelihood of the text by a CTC model over the codes, the package's or a
                        file's: nothing is decoded
    similarity          cosine of the speaker encoder's vectors with the reference's
    dnsmos, distillmos  the opinion that listeners would have, 1 to 5
    module:function, file.py:function  your own
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from xcodec2 import evaluators
from xcodec2.errors import EvaluatorError, LlasaError, MissingExtraError, XCodec2Error
from xcodec2.evaluators.text import Errors, character_errors, word_errors
from xcodec2.plugins import load_object

Verifier: TypeAlias = Callable[[str, np.ndarray, "np.ndarray | None"], float]
MOS_PREDICTORS = ("dnsmos", "distillmos")


def verifier(name: str, *, load: bool = False) -> Verifier:
    """The verifier of a name.

    Args:
        name: One of those above.
        load: Load what it needs at once, so that what is missing is said before anything is spoken;
            else it is loaded when it is first called.

    Raises:
        LlasaError: When there is no such verifier.
    """
    if name.partition(":")[1]:
        return users_own(name)
    kind, _, model = name.partition("-")
    if kind in ("wer", "cer"):
        measure = word_errors if kind == "wer" else character_errors
        if load:
            measure("a", "a")  # asks for what it counts with
            evaluators.asr(model or "moonshine")
        return errors(measure, model or "moonshine")
    if kind == "similarity":
        if load:
            evaluators.speaker_encoder(model or "resemblyzer")
        return similarity(model or "resemblyzer")
    if kind == "ctc":
        return CtcVerifier(model or None)
    if name in MOS_PREDICTORS:
        if load:
            evaluators.mos_predictor(name)
        return lambda text, waveform, reference: float(
            evaluators.mos_predictor(name).score(waveform)
        )
    known = ", ".join(("wer", "cer", "ctc-FILE", "similarity", *MOS_PREDICTORS))
    raise LlasaError(f"{name}: no such verifier; give {known} or module:function")


def errors(measure: Callable[[str, str], Errors], model: str) -> Verifier:
    """Minus the share of words or characters that the recognizer gets wrong."""

    def verify(text: str, waveform: np.ndarray, reference: np.ndarray | None) -> float:
        found = measure(text, evaluators.asr(model).transcribe(waveform))
        return -found.wrong / found.total

    return verify


class CtcVerifier:
    """How likely codes say a text, by a CTC model that reads the codes themselves.

    Args:
        path: Of the model, which `xcodec2 llasa ctc` writes; None is the one in the package.
    """

    def __init__(self, path: str | None = None) -> None:
        from xcodec2.transcribe import Transcriber

        self.transcriber = Transcriber.load(path)

    def score_codes(self, text: str, codes: np.ndarray) -> float:
        """Log likelihood per letter of codes (T,), less that of what the model would rather write;
        minus infinity where they are too few.

        Letters choose better than phones: a word that is half said changes how it is written.
        """
        from xcodec2.llasa.text import normalize  # slow to import

        return self.transcriber.score_words(codes, normalize(text).lower())

    def __call__(self, text: str, waveform: np.ndarray, reference: np.ndarray | None) -> float:
        """A verifier of sound, which this one is not.

        Raises:
            LlasaError: Always.
        """
        raise LlasaError("ctc reads codes, not sound")


def similarity(model: str) -> Verifier:
    """The cosine of the speaker encoder's vectors of speech and voice clip."""

    def verify(text: str, waveform: np.ndarray, reference: np.ndarray | None) -> float:
        if reference is None:
            raise LlasaError(
                "similarity compares with a voice clip, and there is none: give --voice"
            )
        encoder = evaluators.speaker_encoder(model)
        return float(encoder.embed(waveform) @ encoder.embed(reference))

    return verify


def users_own(name: str) -> Verifier:
    """`module:function`, or `path/to/file.py:function`.

    Raises:
        LlasaError: There is no such function.
    """
    try:
        function = load_object(name)
    except XCodec2Error as problem:
        raise LlasaError(f"{name}: no such verifier ({problem})") from problem
    if not callable(function):
        raise LlasaError(
            f"{name}: is not callable; a verifier is (text, waveform, reference) -> float"
        )
    return function


def score(verify: Verifier, text: str, waveform: np.ndarray, reference: np.ndarray | None) -> float:
    """The verifier's word; minus infinity for speech that it cannot judge, such as a click of a few
    frames.
    """
    try:
        value = float(verify(text, waveform, reference))
    except (LlasaError, MissingExtraError, EvaluatorError):
        raise  # what is missing is missing for all candidates
    except XCodec2Error:
        return -np.inf
    return value if not np.isnan(value) else -np.inf
