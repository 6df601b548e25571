"""Evaluators from the Hugging Face Hub, or from a folder, through transformers.

No code of a repository is run: only architectures that transformers itself has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import EvaluatorError, UndefinedError
from xcodec2.evaluators.waveform import SAMPLE_RATE, checked
from xcodec2.extras import require


def load(class_name: str, source: str) -> tuple[Any, str]:
    """The model of a class of transformers, in evaluation mode, and what to call it.

    Raises EvaluatorError.
    """
    transformers = require("transformers", extra="llasa", purpose="an evaluator from the Hub")
    place, options = pinned(source)
    try:
        with float32_parameters("cpu"):
            model = getattr(transformers, class_name).from_pretrained(place, **options).eval()
    except (OSError, ValueError, KeyError) as error:
        raise EvaluatorError(
            f"{source}: cannot be loaded as {class_name} ({str(error).splitlines()[0]})"
        ) from error
    commit = getattr(model.config, "_commit_hash", None)
    revision = f" at {commit[:8]}" if commit else ""
    return model, f"{source}{revision}, transformers {transformers.__version__}"


def pinned(source: str) -> tuple[str, dict[str, str]]:
    """`ID@REVISION` → the id, and the option of transformers that pins it; a folder is a folder."""
    place, at, revision = source.rpartition("@")
    if not at or Path(source).exists():
        return source, {}
    return place, {"revision": revision}


def load_processor(class_name: str, source: str) -> Any:
    """The processor or feature extractor beside a model. Raises EvaluatorError."""
    import transformers

    place, options = pinned(source)
    try:
        return getattr(transformers, class_name).from_pretrained(place, **options)
    except (OSError, ValueError, KeyError) as error:
        raise EvaluatorError(
            f"{source}: has no usable {class_name} ({str(error).splitlines()[0]})"
        ) from error


class HubASR:
    """CTC models (HuBERT, wav2vec2, WavLM) and sequence-to-sequence ones (Whisper, Moonshine)."""

    languages: frozenset[str] | None = None

    def __init__(self, source: str) -> None:
        self.name = source
        try:
            self.model, self.implementation = load("AutoModelForCTC", source)
            self.ctc = True
        except EvaluatorError:
            self.model, self.implementation = load("AutoModelForSpeechSeq2Seq", source)
            self.ctc = False
        self.processor = load_processor("AutoProcessor", source)

    @float32_parameters("cpu")
    def transcribe(self, waveform: np.ndarray) -> str:
        """(N,) at 16 kHz → text."""
        inputs = self.processor(
            checked(waveform, min_seconds=0.1), sampling_rate=SAMPLE_RATE, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens = (
                self.model(**inputs).logits.argmax(-1)
                if self.ctc
                else self.model.generate(**inputs)
            )
        return str(
            self.processor.batch_decode(
                tokens, **({} if self.ctc else {"skip_special_tokens": True})
            )[0]
        )


class HubSpeakerEncoder:
    """x-vector models, such as WavLM fine-tuned for speaker verification."""

    def __init__(self, source: str) -> None:
        self.name = source
        self.model, self.implementation = load("AutoModelForAudioXVector", source)
        self.features = load_processor("AutoFeatureExtractor", source)

    @float32_parameters("cpu")
    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """(N,) at 16 kHz → (D,) float32 of length 1."""
        samples = checked(waveform, min_seconds=0.5)
        inputs = self.features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            embedding = self.model(**inputs).embeddings[0]
        return (embedding / embedding.norm()).numpy()


class HubMOSPredictor:
    """Audio classifiers with a single output, which is the score."""

    def __init__(self, source: str) -> None:
        self.name = source
        self.model, self.implementation = load("AutoModelForAudioClassification", source)
        if self.model.config.num_labels != 1:
            classes = self.model.config.num_labels
            raise EvaluatorError(f"{source}: has {classes} classes; a MOS predictor has one output")
        self.features = load_processor("AutoFeatureExtractor", source)

    @float32_parameters("cpu")
    def score(self, waveform: np.ndarray) -> float:
        """(N,) at 16 kHz → the model's output.

        Raises:
            UndefinedError: The output is not finite.
        """
        samples = checked(waveform, min_seconds=0.1)
        inputs = self.features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            value = float(self.model(**inputs).logits.squeeze())
        if not np.isfinite(value):
            raise UndefinedError("the predictor gave no finite score")
        return value
