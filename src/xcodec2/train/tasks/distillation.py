"""A semantic encoder for small models: distilled from a pretrained speech encoder's features, and
from phones.

The student is the semantic encoder of a codec, which afterwards is frozen in the codec's training
as w2v-BERT is in the published recipe. Features are computed once, by scripts/teacher_features.py.
B batch, T frames, W width of the teacher's features.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.defaults import float32_parameters
from xcodec2.corpus import Recording, read_corpus
from xcodec2.corpus.labels import labels_of, phone_of_frames
from xcodec2.errors import TrainingError
from xcodec2.model import XCodec2Model
from xcodec2.train.data.augment import augment
from xcodec2.train.data.crops import MAX_JOINED, Batch, Mixture, Position, SourceStream
from xcodec2.train.generator import starting_codec
from xcodec2.train.recipe import Augment, Recipe, Teacher
from xcodec2.train.state import (
    State,
    ema_weights,
    fresh_state,
    seed_step,
    update,
    update_ema,
    weighted_sum,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

UNLABELED = -100  # cross_entropy's ignore_index
UNCHANGED = (1.0, 1.0)  # the teacher's features have their times
Parts = tuple[np.ndarray, np.ndarray, np.ndarray]  # waveform (T·hop,), features (T, W), phones (T,)


class Student(nn.Module):
    """The semantic encoder with two linear readouts, which are thrown away in the end.

    Args:
        codec: Of its parts only the semantic encoder learns.
        teacher: Gives the width of the features.
        phones: How many there are; 0 makes no readout of phones.
    """

    def __init__(self, codec: XCodec2Model, teacher: Teacher, phones: int) -> None:
        super().__init__()
        self.codec = codec.requires_grad_(False)
        codec.semantic_encoder.requires_grad_(True)
        self.features = nn.Linear(codec.config.semantic_width, teacher.width)
        self.phones = nn.Linear(codec.config.semantic_width, phones) if phones else None

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, N) → features (B, T, W) and logits of phones (B, T, P)."""
        codec = self.codec
        semantic = codec.semantic_encoder(codec.features(codec.pad(inputs))[0])
        return self.features(semantic), self.phones(semantic) if self.phones else None


@float32_parameters()
def starting_state(recipe: Recipe, accelerator: Accelerator) -> State:
    """Student, optimizer and average before the first step, the same in every process."""
    assert recipe.teacher
    torch.manual_seed(recipe.run.seed)
    student = Student(starting_codec(recipe), recipe.teacher, len(phone_names(recipe))).train()
    return fresh_state(accelerator, student, recipe.optimizer)


def train_step(state: State, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """Update the student.

    Returns:
        Every loss by name, before weighting, and their weighted sum as `loss`.
    """
    assert recipe.teacher
    seed_step(recipe.run.seed, state)
    with state.accelerator.autocast():
        features, logits = state.generator(batch.tensors["inputs"])
    terms = {"features": feature_error(features, batch.tensors["features"])}
    weights = {"features": recipe.teacher.feature_weight}
    if logits is not None:
        terms["phones"] = phone_error(logits, batch.tensors["phones"])
        weights["phones"] = recipe.teacher.phone_weight
    total = weighted_sum(terms, weights)
    update(
        state, total, state.generator, state.optimizer, recipe.optimizer, terms, recipe.run.steps
    )
    update_ema(state, recipe.ema)
    state.step += 1
    if not (batch.tensors["phones"] != UNLABELED).any():
        terms.pop("phones", None)  # nothing was asked: no part of a mean
    return {name: term.detach() for name, term in (terms | {"loss": total}).items()}


def feature_error(features: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine of (B, T, W), with each feature vector's own mean taken away: its direction is
    what later layers read.
    """
    centered = features.float() - features.float().mean(-1, keepdim=True)
    return 1 - F.cosine_similarity(centered, wanted - wanted.mean(-1, keepdim=True), dim=-1).mean()


def phone_error(logits: Tensor, phones: Tensor) -> Tensor:
    """Cross entropy of logits (B, T, P) for phones (B, T), over the labeled frames; 0, with
    gradients, where none is.
    """
    labeled = (phones != UNLABELED).sum().clamp(min=1)
    total = F.cross_entropy(
        logits.float().flatten(0, 1), phones.flatten(), ignore_index=UNLABELED, reduction="sum"
    )
    return total / labeled


def validate(state: State, recipe: Recipe, folder: Path) -> dict[str, float]:
    """How near the features come, and the share of labeled frames whose phone is found."""
    assert recipe.teacher
    cutter = TeacherCutter(
        recipe.teacher, phone_names(recipe), state.bare.codec.config, None, 1, Augment()
    )
    right = labeled = 0
    errors = []
    with ema_weights(state) as codec, torch.no_grad():
        for recording in list(read_corpus(recipe.data.valid))[: recipe.data.valid_clips]:
            (waveform, features, phones), *_ = cutter.pieces(recording, "")
            found, logits = state.bare(torch.from_numpy(waveform[None, :-1]).to(codec.device))
            errors.append(float(feature_error(found.cpu(), torch.from_numpy(features)[None])))
            if logits is not None:
                known = phones != UNLABELED
                right += int((logits[0].argmax(-1).cpu().numpy() == phones)[known].sum())
                labeled += int(known.sum())
    figures = {"features": float(np.mean(errors))}
    return figures | ({"phone_accuracy": right / labeled} if labeled else {})


# ---- data ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TeacherCutter:
    """Pieces of a recording with the teacher's features and the phones at the student's frames."""

    teacher: Teacher
    names: tuple[str, ...]  # of phones
    config: XCodec2Config
    frames: int | None  # of a crop; None: the whole recording
    max_pieces: int
    options: Augment

    def pieces(self, recording: Recording, key: str) -> list[Parts]:
        """Pieces that cover about the recording's length, at random places.

        Args:
            recording: Read whole.
            key: Seeds what is drawn.

        Raises:
            TrainingError: The recording is shorter than a frame, or has no features that fit.
        """
        rng, hop = random.Random(key), self.config.hop
        waveform = recording.load(self.config.input_rate).waveform.numpy()
        count = len(waveform) // hop
        if not count:
            raise TrainingError(f"{recording.source}: is shorter than one frame")
        features = self.features_of(recording, count)
        phones = self.phones_of(recording, count)
        length = min(self.frames or count, count)
        pieces = []
        for _ in range(min(max(round(count / length), 1), self.max_pieces)):
            start = rng.randrange(count - length + 1)
            part = waveform[start * hop : (start + length) * hop]
            inputs = augment(part, self.config.input_rate, UNCHANGED, self.options, rng).inputs
            pieces.append(
                (inputs, features[start : start + length], phones[start : start + length])
            )
        return pieces

    def features_of(self, recording: Recording, count: int) -> np.ndarray:
        """The teacher's features, between which lines are drawn to the middle of each frame.

        Args:
            recording: Its features stand under its ID.
            count: Of frames.

        Returns:
            (count, W) float32.

        Raises:
            TrainingError: There are no features, or they have another width.
        """
        path = Path(self.teacher.features) / f"{recording.id}.npy"
        try:
            known = np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as problem:
            raise TrainingError(
                f"{path}: no features of {recording.id}; run scripts/teacher_features.py"
            ) from problem
        if known.ndim != 2 or known.shape[1] != self.teacher.width:
            raise TrainingError(
                f"{path}: has shape {known.shape}, not (frames, {self.teacher.width})"
            )
        place = (np.arange(count) + 0.5) / self.config.frame_rate * self.teacher.feature_rate - 0.5
        place = place.clip(0, len(known) - 1)
        below = place.astype(int)
        above = np.minimum(below + 1, len(known) - 1)
        share = (place - below)[:, None].astype(np.float32)
        return known[below] * (1 - share) + known[above] * share

    def phones_of(self, recording: Recording, count: int) -> np.ndarray:
        """(count,) int64: number of the phone in the middle of each frame."""
        intervals = labels_of(recording, self.teacher.phones) if self.names else None
        if not intervals:
            return np.full(count, UNLABELED)
        numbers = {name: number for number, name in enumerate(self.names)}
        frames = phone_of_frames(intervals, count, self.config.frame_rate)
        return np.array([numbers.get(phone, UNLABELED) if phone else UNLABELED for phone in frames])


def phone_names(recipe: Recipe) -> tuple[str, ...]:
    """All phones of the recipe's recordings, sorted; none where they have no labels."""
    assert recipe.teacher
    return names_in(tuple(source.path for source in recipe.data.sources), recipe.teacher.phones)


@functools.cache
def names_in(sources: tuple[str, ...], phones: str) -> tuple[str, ...]:
    """All phones of the recordings in some sources, sorted.

    Args:
        sources: As `xcodec2 extract` takes them.
        phones: As `xcodec2 evaluate --phones` takes it; empty: none.

    Raises:
        TrainingError: No recording has labels.
    """
    if not phones:
        return ()
    recordings = (recording for source in sources for recording in read_corpus(source))
    labels = (
        interval for recording in recordings for interval in labels_of(recording, phones) or ()
    )
    names = tuple(sorted({interval.phone for interval in labels}))
    if not names:
        raise TrainingError(
            f"teacher.phones: {phones} is neither a column that names label files nor a folder of "
            "them"
        )
    return names


class Batches:
    """The batches of one process; short pieces are joined.

    Args:
        recipe: With a teacher; names the sources.
        config: Of the student.
        rank: Number of the process.
        world: How many processes there are.
        positions: Of a checkpoint, to go on from.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: XCodec2Config,
        *,
        rank: int = 0,
        world: int = 1,
        positions: dict[str, Position] | None = None,
    ) -> None:
        assert recipe.teacher
        self.size, self.config, self.width = recipe.run.batch, config, recipe.teacher.width
        self.frames = max(1, round(recipe.run.crop_seconds * config.frame_rate))
        cutter = TeacherCutter(
            recipe.teacher,
            phone_names(recipe),
            config,
            self.frames,
            recipe.data.max_crops,
            recipe.data.augment,
        )
        self.mixture = Mixture(recipe, cutter, rank, world, positions)

    def batch(self, step: int) -> Batch:
        """The batch of that step: `inputs` (B, N), `features` (B, T, W) and `phones` (B, T). Steps
        must be asked for one after another.
        """
        rng = self.mixture.dice(step)
        crops = [self.crop(self.mixture.draw(rng)) for _ in range(self.size)]
        waveforms, features, phones = (
            torch.from_numpy(np.stack(parts)) for parts in zip(*crops, strict=True)
        )
        tensors = {"inputs": waveforms[:, :-1].float(), "features": features, "phones": phones}
        return Batch(tensors, self.mixture.positions, waveforms.numel() / self.config.input_rate)

    def crop(self, stream: SourceStream[Parts]) -> Parts:
        """Pieces of a source, joined; unlabeled silence fills what is missing."""
        hop, filled = self.config.hop, 0
        waveform = np.zeros(self.frames * hop, np.float32)
        features = np.zeros((self.frames, self.width), np.float32)
        phones = np.full(self.frames, UNLABELED)
        for _ in range(MAX_JOINED):
            inputs, wanted, named = stream.next_piece()
            length = min(len(named), self.frames - filled)
            waveform[filled * hop : (filled + length) * hop] = inputs[: length * hop]
            features[filled : filled + length] = wanted[:length]
            phones[filled : filled + length] = named[:length]
            filled += length
            if filled == self.frames:
                break
        return waveform, features, phones

    def close(self) -> None:
        """End the threads that read."""
        self.mixture.close()
