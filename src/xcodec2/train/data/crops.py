"""Crops of speech from any number of sources: shuffled, balanced, and at an exact position that can
be returned to.

What a crop is depends on the seed, its source and the number of its recording in the shuffled
order, and on nothing else: not on threads, not on when it is read. A position is therefore three
numbers a source.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import soxr
import torch
from torch import Tensor

from xcodec2.codec.config import XCodec2Config
from xcodec2.corpus import Recording, read_corpus
from xcodec2.corpus.decoders import with_decoders
from xcodec2.errors import TrainingError, XCodec2Error
from xcodec2.train.data.augment import Changed, augment, stretch_factor
from xcodec2.train.recipe import Augment, Data, Recipe

MAX_JOINED = 50  # pieces of one crop; what is still missing then is silence
AHEAD = 3  # recordings of each source that are read before they are needed
MAX_FAILURES = 100  # unreadable recordings in a row, after which a source is given up

Piece = TypeVar("Piece")
Position = tuple[int, int, int]  # epoch, recordings used up in it, pieces used of the next one


@dataclass(frozen=True)
class Batch:
    """Tensors by name, all with the batch first, and where each source stands behind them.

    For a codec: `inputs` (B, N) at its input rate and `target` (B, M) at its output rate.
    """

    tensors: dict[str, Tensor]
    positions: dict[str, Position]
    seconds: float  # of speech

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on a device."""
        return replace(
            self, tensors={name: tensor.to(device) for name, tensor in self.tensors.items()}
        )


class Cutter(Protocol[Piece]):
    """What turns a recording into pieces of at most one crop, by random numbers that `key` alone
    decides.
    """

    def pieces(self, recording: Recording, key: str) -> list[Piece]:
        """Pieces of a recording.

        Raises:
            XCodec2Error: It is unreadable.
        """


@dataclass(frozen=True)
class SpeechCutter:
    """Augmented waveforms."""

    samples: int  # of a crop, at `sample_rate`
    sample_rate: int
    max_pieces: int
    options: Augment

    def pieces(self, recording: Recording, key: str) -> list[Changed]:
        """Pieces that cover about the recording's length, at random places.

        Args:
            recording: Read whole.
            key: Seeds what is drawn.

        Raises:
            XCodec2Error: The recording is unreadable.
        """
        rng = random.Random(key)
        waveform = recording.load(self.sample_rate).waveform.numpy()
        count = min(max(round(len(waveform) / self.samples), 1), self.max_pieces)
        return [self.piece(waveform, rng) for _ in range(count)]

    def piece(self, waveform: np.ndarray, rng: random.Random) -> Changed:
        """One piece of (N,), of at most a crop's length."""
        factors = stretch_factor(self.options, rng)
        wanted = int(self.samples * factors[0] * factors[1]) + 1
        start = rng.randrange(max(len(waveform) - wanted, 0) + 1)
        changed = augment(
            waveform[start : start + wanted], self.sample_rate, factors, self.options, rng
        )
        return Changed(changed.inputs[: self.samples], changed.target[: self.samples])


class SourceStream(Generic[Piece]):
    """Endless pieces of one source, from a position on.

    Args:
        path: The source, as `xcodec2 extract` takes it.
        position: Where to go on.
        order: In which the recordings come.
        cutter: Makes pieces of them.
        pool: Reads a few recordings ahead.
    """

    def __init__(
        self,
        path: str,
        position: Position,
        order: Order,
        cutter: Cutter[Piece],
        pool: ThreadPoolExecutor,
    ) -> None:
        self.path, self.order, self.cutter, self.pool = path, order, cutter, pool
        self.epoch, self.index, self.used = position
        self.ahead: deque[tuple[int, int, Future[list[Piece]]]] = deque()
        self.recordings = order.recordings(path, self.epoch, self.index)
        self.failures = 0
        self.current = self.advance()

    @property
    def position(self) -> Position:
        """Where the next piece is."""
        return self.epoch, self.index, self.used

    def next_piece(self) -> Piece:
        """The piece at the position, which moves on."""
        while self.used >= len(self.current):
            self.used = 0
            self.current = self.advance()
        self.used += 1
        return self.current[self.used - 1]

    def advance(self) -> list[Piece]:
        """The pieces of the next recording that can be read.

        Raises:
            TrainingError: None of many could.
        """
        while True:
            while len(self.ahead) < AHEAD:
                epoch, index, recording = next(self.recordings)
                key = f"{self.order.seed} {self.path} {epoch} {self.order.rank} {index}"
                self.ahead.append(
                    (epoch, index, self.pool.submit(self.cutter.pieces, recording, key))
                )
            self.epoch, self.index, future = self.ahead.popleft()
            try:
                pieces = future.result()
            except XCodec2Error as problem:
                self.failures += 1
                warnings.warn(f"left out: {problem}", stacklevel=2)
                if self.failures >= MAX_FAILURES:
                    raise TrainingError(
                        f"{self.path}: {MAX_FAILURES} recordings in a row cannot be read"
                    ) from problem
                self.used = 0
                continue
            self.failures = 0
            return pieces


@dataclass(frozen=True)
class Order:
    """In which order this process meets the recordings of a source; each process meets its own
    share.
    """

    seed: int
    rank: int
    world: int
    shuffle: int

    def recordings(self, path: str, epoch: int, skip: int) -> Iterator[tuple[int, int, Recording]]:
        """Recordings without end, each with its epoch and its number in that.

        Args:
            path: The source.
            epoch: The first one.
            skip: So many recordings of that epoch are left out.

        Raises:
            MissingExtraError: A file needs FFmpeg, and PyAV is missing.
            TrainingError: The source has none for this process.
        """
        for e in itertools.count(epoch):
            corpus = with_decoders(read_corpus(path))
            mine = itertools.islice(corpus, self.rank, None, self.world)
            met = False
            for index, recording in enumerate(
                shuffled(mine, random.Random(f"{self.seed} {path} {e}"), self.shuffle)
            ):
                met = True
                if e > epoch or index >= skip:
                    yield e, index, recording
            if not met:
                raise TrainingError(
                    f"{path}: fewer recordings than processes ({self.world}); none for number "
                    f"{self.rank}"
                )


def shuffled(items: Iterable[Recording], rng: random.Random, size: int) -> Iterator[Recording]:
    """Each item once, drawn from a buffer of `size`: memory stays flat in the number of items."""
    buffer: list[Recording] = []
    for item in items:
        buffer.append(item)
        if len(buffer) >= size:
            yield take(buffer, rng)
    while buffer:
        yield take(buffer, rng)


def take(buffer: list[Recording], rng: random.Random) -> Recording:
    """A random one, which is taken out."""
    place = rng.randrange(len(buffer))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()


class Mixture(Generic[Piece]):
    """The sources of one process, each met as often as its weight says.

    Args:
        recipe: Names them.
        cutter: Makes pieces of recordings.
        rank: Number of the process.
        world: How many processes there are.
        positions: Where each source goes on; None is their beginnings.

    Raises:
        TrainingError: A source stands there twice, or the positions are of other sources.
    """

    def __init__(
        self,
        recipe: Recipe,
        cutter: Cutter[Piece],
        rank: int,
        world: int,
        positions: dict[str, Position] | None,
    ) -> None:
        data: Data = recipe.data
        self.seed, self.rank = recipe.run.seed, rank
        self.pool = ThreadPoolExecutor(data.workers, thread_name_prefix="crops")
        order = Order(self.seed, rank, world, data.shuffle)
        names = [source.path for source in data.sources]
        if len(set(names)) < len(names) or (positions is not None and set(positions) != set(names)):
            raise TrainingError(
                "data.sources: each source must stand there once, and a resumed run keeps its "
                "sources"
            )
        started = positions or dict.fromkeys(names, (0, 0, 0))
        self.streams = {
            name: SourceStream(name, started[name], order, cutter, self.pool) for name in names
        }
        self.weights = [source.weight for source in data.sources]

    def dice(self, step: int) -> random.Random:
        """What a step draws its sources with."""
        return random.Random(f"{self.seed} {step} {self.rank}")

    def draw(self, rng: random.Random) -> SourceStream[Piece]:
        """A source, by the weights."""
        return rng.choices(list(self.streams.values()), self.weights)[0]

    @property
    def positions(self) -> dict[str, Position]:
        """Where each source stands."""
        return {name: stream.position for name, stream in self.streams.items()}

    def close(self) -> None:
        """End the threads that read."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Batches:
    """The batches of one process.

    Pieces shorter than a crop are joined: silence teaches nothing.

    Args:
        recipe: Names the sources, and the batch's size.
        config: Of the codec, for its sample rates and hop.
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
        self.size, self.config = recipe.run.batch, config
        self.frames = max(1, round(recipe.run.crop_seconds * config.frame_rate))
        self.samples = self.frames * config.output_hop
        cutter = SpeechCutter(
            self.samples, config.sample_rate, recipe.data.max_crops, recipe.data.augment
        )
        self.mixture = Mixture(recipe, cutter, rank, world, positions)

    def batch(self, step: int) -> Batch:
        """The batch of that step: `inputs` (B, N) at the input rate and `target` (B, M) at the
        output rate. Steps must be asked for one after another.
        """
        rng = self.mixture.dice(step)
        crops = np.stack([self.crop(self.mixture.draw(rng)) for _ in range(self.size)], axis=1)
        (inputs, target), rates = crops, (self.config.sample_rate, self.config.input_rate)
        if rates[0] != rates[1]:
            inputs = np.stack([soxr.resample(crop, *rates, "HQ") for crop in inputs])
        # One sample less than whole frames: the pad adds at least one, and frames are as many as
        # the crop has.
        inputs = inputs[:, : self.frames * self.config.hop - 1]
        tensors = {"inputs": torch.from_numpy(inputs), "target": torch.from_numpy(target)}
        return Batch(tensors, self.mixture.positions, target.size / self.config.sample_rate)

    def crop(self, stream: SourceStream[Changed]) -> np.ndarray:
        """(2, samples): inputs and target."""
        crop, filled = np.zeros((2, self.samples), np.float32), 0
        for _ in range(MAX_JOINED):
            piece = np.stack(stream.next_piece())[:, : self.samples - filled]
            crop[:, filled : filled + piece.shape[1]] = piece
            filled += piece.shape[1]
            if filled == self.samples:
                break
        return crop

    def close(self) -> None:
        """End the threads that read."""
        self.mixture.close()
