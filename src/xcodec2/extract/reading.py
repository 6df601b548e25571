"""Recordings → waveforms, decoded in processes of their own, some ahead of the encoder."""

from __future__ import annotations

import resource
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
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


def reader(target_rate: int) -> Callable[[Recording], tuple[np.ndarray, int, int, list[str]]]:
    """What a reading process does; it runs in a :class:`Child`."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

    def read(recording: Recording) -> tuple[np.ndarray, int, int, list[str]]:
        with warnings.catch_warnings(record=True) as caught:  # this process's stderr goes nowhere
            warnings.simplefilter("always")
            audio = recording.load(target_rate)
        said = [str(warning.message) for warning in caught]
        return audio.waveform.numpy(), audio.num_samples, audio.sample_rate, said

    return read


def readers(count: int, target_rate: int) -> list[Child]:
    return [Child("xcodec2.extract.reading:reader", target_rate, quiet=True) for _ in range(count)]


def hear(recording: Recording, child: Child, seconds: float) -> Heard:
    """Never raises for what is wrong with the recording: a damaged file is a row with a reason."""
    try:
        waveform, num_samples, rate, said = child.ask(recording, seconds)
    except Died as problem:
        return Heard(
            None, error=f"{recording.source}: reading it {problem}", source=recording.source
        )
    except XCodec2Error as problem:
        return Heard(None, error=str(problem), source=recording.source)
    for text in said:
        print(f"xcodec2: warning: {text}", file=sys.stderr)
    return Heard(waveform, num_samples, rate, source=recording.source)


def read_ahead(
    recordings: Iterable[Recording], children: Sequence[Child], seconds: float
) -> Iterator[Heard]:
    """Each recording in order, while the next ones are being read."""
    free: SimpleQueue[Child] = SimpleQueue()
    for child in children:
        free.put(child)

    def read(recording: Recording) -> Heard:
        child = free.get()
        try:
            return hear(recording, child, seconds)
        finally:
            free.put(child)

    waiting: deque[Future[Heard]] = deque()
    with ThreadPoolExecutor(len(children)) as pool:
        for recording in recordings:
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
