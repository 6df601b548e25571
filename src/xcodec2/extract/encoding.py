"""Waveforms → codes that do not depend on what else is in the batch.

A batch rounds differently from a single run, in the last digits of float32, so a latent that lies
on the edge between two codes could fall to either side. Such rows are found by their distance to
the edge and encoded again alone: every row has exactly the codes of `model.encode` for it alone,
with one thread, whatever the batches were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from xcodec2.codec import constants
from xcodec2.codec.inference import batches
from xcodec2.codec.inference.passes import inference
from xcodec2.errors import XCodec2Error
from xcodec2.extract.reading import ReadAudio

if TYPE_CHECKING:
    from xcodec2 import XCodec2Model

# Bounded latents in batches and alone differ by up to 2.4e-5 where attention over the whole
# recording is heard; where the field is finite, by 2e-7 on a CPU (docs/notes/extraction.md).
TOLERANCE = 5e-5


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: codes (T,) uint16 (uint32 for larger codebooks), or an
    error.
    """

    codes: np.ndarray | None
    num_samples: int = 0
    sample_rate: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Settings:
    """What a worker needs to know. None of it changes the codes but the model."""

    model: str
    device: str = "cpu"
    readers: int = 1
    time_limit: float = 120.0  # seconds for reading one recording
    batch_seconds: float = 40.0  # of padded audio in one batch; 0: each recording alone


class Encoder:
    """The model with what makes its results repeatable."""

    def __init__(self, settings: Settings) -> None:
        from xcodec2 import XCodec2Model

        torch.set_num_threads(
            1
        )  # sums over threads round differently, and processes share the work better
        torch.backends.cudnn.benchmark = False
        self.model = XCodec2Model.from_pretrained(settings.model, device=settings.device).eval()
        self.budget = settings.batch_seconds

    def outcomes(self, piece: Sequence[ReadAudio]) -> list[Outcome]:
        """One outcome for each, in order."""
        given = [i for i, item in enumerate(piece) if item.waveform is not None]
        encoded = encode_exactly(
            self.model, [torch.from_numpy(piece[i].waveform) for i in given], self.budget
        )
        results = [Outcome(None, error=item.error) for item in piece]
        for i, codes in zip(given, encoded, strict=True):
            fine = not isinstance(codes, str)
            results[i] = Outcome(
                narrow(codes, self.model.codebook_size) if fine else None,
                piece[i].num_samples,
                piece[i].sample_rate,
                None if fine else str(codes),
            )
        return results


def encode_exactly(
    model: XCodec2Model, waveforms: Sequence[Tensor], budget: float
) -> list[Tensor | str]:
    """Waveforms (N,) → codes (T,) as each has alone, or why there are none.

    `budget`: padded seconds in one batch.
    """
    results: dict[int, Tensor | str] = {}
    max_frames = int(min(budget * model.frame_rate, batches.EXACT_FRAMES))
    for indices in batches.plan(
        model, [model.config.frames(len(w)) for w in waveforms], max_frames
    ):
        results |= zip(
            indices, encode_together(model, [waveforms[i] for i in indices]), strict=True
        )
    return [results[i] for i in range(len(waveforms))]


def encode_together(model: XCodec2Model, waveforms: list[Tensor]) -> list[Tensor | str]:
    """One batch: rows that are certain from one pass, the others alone."""
    codes: list[Tensor | None] = [None] * len(waveforms)
    if len(waveforms) > 1:
        with contextlib.suppress(
            RuntimeError
        ):  # out of the accelerator's memory, say: one by one they may fit
            codes = certain_codes(model, waveforms)
    return [
        alone(model, w) if known is None else known
        for w, known in zip(waveforms, codes, strict=True)
    ]


def alone(model: XCodec2Model, waveform: Tensor) -> Tensor | str:
    """Codes (T,) of one waveform, or why there are none."""
    try:
        return batches.encode(model, [waveform])[0]
    except (XCodec2Error, RuntimeError) as problem:
        return " ".join(str(problem).split())


def certain_codes(model: XCodec2Model, waveforms: list[Tensor]) -> list[Tensor | None]:
    """One pass; None for each row that has a latent too near to the edge of a code for rounding not
    to matter.
    """
    rows, lengths = batches.collate(model, waveforms)
    with inference(model):
        latent = model.encode_features(rows.to(model.device), lengths).latent
        quantized = model.quantize(latent)
    tolerance = TOLERANCE
    if model.receptive_field is not None and model.device.type == "cpu":
        tolerance = min(TOLERANCE, constants.TOLERANCE)
    codes, certain = quantized.codes.cpu(), (quantized.margin > tolerance).cpu()
    sizes = [model.config.frames(len(w)) for w in waveforms]
    return [
        row[:size] if sure[:size].all() else None
        for row, sure, size in zip(codes, certain, sizes, strict=True)
    ]


def narrow(codes: Any, codebook_size: int) -> np.ndarray:
    """(T,) codes in the narrowest unsigned type that holds the codebook."""
    return codes.numpy().astype(np.uint16 if codebook_size <= 1 << 16 else np.uint32)
