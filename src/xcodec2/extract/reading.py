"""Recordings → waveforms, decoded in processes of their own, some ahead of the encoder."""

from __future__ import annotations

import resource
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import Any

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.extract.child import Child, Died

AHEAD = 8  # recordings that each reader may be ahead
PIECE_SECONDS = 600.0  # of audio in memory at once, and what batches are chosen from
MEMORY_LIMIT = (
    8 << 30
)  # bytes one reader may hold: a file that needs more is an error and not the end of the machine


@dataclass(frozen=True)
class Heard:
    """One recording, decoded and resampled, (N,) float32 at the model's rate, or the reason why
    not.
    """

    waveform: np.ndarray | None
    num_samples: int = 0
    sample_rate: int = 0
    error: str | None = None
    source: str = ""
    died: str = ""  # how the process that read it had ended


def reader(target_rate: int) -> Callable[[Recording], tuple[np.ndarray, int, int]]:
    """What a reading process does; it runs in a :class:`Child`."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

    def read(recording: Recording) -> tuple[np.ndarray, int, int]:
        audio = recording.load(target_rate)
        return audio.waveform.numpy(), audio.num_samples, audio.sample_rate

    return read


def readers(count: int, target_rate: int) -> list[Child]:
    return [Child("xcodec2.extract.reading:reader", target_rate, quiet=True) for _ in range(count)]


def hear(recording: Recording, child: Child, seconds: float) -> Heard:
    """Never raises for what is wrong with the recording: a damaged file is a row with a reason."""
    try:
        waveform, num_samples, rate = child.ask(recording, seconds)
    except Died as problem:
        died = f"reading it {problem}"
        error = f"{recording.source}: {died}"
        return Heard(None, error=error, source=recording.source, died=died)
    except XCodec2Error as problem:
        return Heard(None, error=str(problem), source=recording.source)
    return Heard(waveform, num_samples, rate, source=recording.source)


class Free:
    """The reading processes that have nothing to do, and the file that each has decoded last.

    All parts of a file that are waited for go to one process, which takes no other file before.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = list(children)
        self.holds: dict[int, Any] = {}  # a child's id → its file
        self.expected: Counter[Any] = Counter()  # parts of a file that are not read yet
        self.change = Condition()

    def expect(self, file: Any) -> None:
        with self.change:
            self.expected[file] += 1

    def take(self, file: Any) -> Child:
        with self.change:
            while True:
                for child in self.children:
                    if self.may_take(child, file):
                        self.children.remove(child)
                        if file is not None:
                            self.holds[id(child)] = file
                        return child
                self.change.wait()

    def may_take(self, child: Child, file: Any) -> bool:
        held = self.holds.get(id(child))
        if file is None or held == file:
            return True
        return file not in self.holds.values() and not (held is not None and self.expected[held])

    def give(self, child: Child, file: Any) -> None:
        with self.change:
            self.children.append(child)
            self.expected[file] -= 1
            if not self.expected[file]:
                del self.expected[file]
            self.change.notify_all()


def read_ahead(
    recordings: Iterable[Recording], children: Sequence[Child], seconds: float
) -> Iterator[Heard]:
    """Each recording in order, while the next ones are being read."""
    free = Free(children)
    # files at which a reader died: they are not tried again for each of their parts
    fatal: dict[Any, str] = {}

    def read(recording: Recording) -> Heard:
        child = free.take(recording.file)
        try:
            if recording.file in fatal:
                error = f"{recording.source}: {fatal[recording.file]}"
                return Heard(None, error=error, source=recording.source)
            heard = hear(recording, child, seconds)
            if heard.died and recording.file is not None:
                fatal[recording.file] = heard.died
            return heard
        finally:
            free.give(child, recording.file)

    waiting: deque[Future[Heard]] = deque()
    # more threads than children: those that wait for the one that has their file hold up no other
    with ThreadPoolExecutor(AHEAD * len(children)) as pool:
        for recording in recordings:
            free.expect(recording.file)
            waiting.append(pool.submit(read, recording))
            if len(waiting) > AHEAD * len(children):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def pieces(heard: Iterable[Heard], rate: int) -> Iterator[list[Heard]]:
    """Neighbours together until they last PIECE_SECONDS.

    Codes do not depend on the cut; memory does.
    """
    piece: list[Heard] = []
    samples = 0
    for item in heard:
        piece.append(item)
        samples += 0 if item.waveform is None else len(item.waveform)
        if samples >= PIECE_SECONDS * rate:
            yield piece
            piece, samples = [], 0
    if piece:
        yield piece


def close(children: Iterable[Any]) -> None:
    for child in children:
        child.stop()
