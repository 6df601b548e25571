"""Recordings → waveforms, decoded in processes of their own, some ahead of the encoder."""

from __future__ import annotations

import resource
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition
from typing import Any

import numpy as np

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.extract.child import Child, Died
from xcodec2.printable import printable

AHEAD = 8  # recordings that each reader may be ahead
PIECE_SECONDS = 600.0  # of audio in memory at once, and what batches are chosen from
MEMORY_LIMIT = (
    8 << 30
)  # bytes one reader may hold: a file that needs more is an error and not the end of the machine


@dataclass(frozen=True)
class ReadAudio:
    """One recording, decoded and resampled, (N,) float32 at the model's rate, or the reason why
    not.
    """

    waveform: np.ndarray | None
    num_samples: int = 0
    sample_rate: int = 0
    error: str | None = None
    source: str = ""
    died: str = ""  # how the process that read it had ended


def reader(target_rate: int) -> Callable[[Recording], tuple[np.ndarray, int, int, list[str]]]:
    """What a reading process does; it runs in a `Child`, without PyTorch, whose import takes
    seconds.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

    def read(recording: Recording) -> tuple[np.ndarray, int, int, list[str]]:
        with warnings.catch_warnings(record=True) as caught:  # this process's stderr goes nowhere
            warnings.simplefilter("always")
            audio = recording.load_samples(target_rate)
        said = [str(warning.message) for warning in caught]
        return audio.samples, audio.num_samples, audio.sample_rate, said

    return read


def readers(count: int, target_rate: int) -> list[Child]:
    """So many reading processes, which start when they are first asked."""
    return [Child("xcodec2.extract.reading:reader", target_rate, quiet=True) for _ in range(count)]


def read_audio(recording: Recording, child: Child, seconds: float) -> ReadAudio:
    """Never raises for what is wrong with the recording: a damaged file is a row with a reason."""
    try:
        waveform, num_samples, sample_rate, said = child.ask(recording, seconds)
    except Died as problem:
        died = f"reading it {problem}"
        error = f"{recording.source}: {died}"
        return ReadAudio(None, error=error, source=recording.source, died=died)
    except XCodec2Error as problem:
        return ReadAudio(None, error=str(problem), source=recording.source)
    for text in said:
        print(printable(f"xcodec2: warning: {' '.join(text.split())}"), file=sys.stderr)
    return ReadAudio(waveform, num_samples, sample_rate, source=recording.source)


class Desk:
    """Recordings that wait for a reader, each with the future of its audio.

    A reader takes the first one that it may: the parts of a file are all for the reader that has
    decoded it, and that reader takes no other file while some of them wait.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Recording, Future[ReadAudio]]] = []
        self.holds: dict[int, Any] = {}  # reader → the file that it has decoded
        self.changed = Condition()
        self.closed = False

    def put(self, recording: Recording) -> Future[ReadAudio]:
        """Leave a recording; the future has its audio."""
        future: Future[ReadAudio] = Future()
        with self.changed:
            self.waiting.append((recording, future))
            self.changed.notify_all()
        return future

    def take(self, reader: int) -> tuple[Recording, Future[ReadAudio]] | None:
        """Wait for one; None when the desk is closed."""
        with self.changed:
            while not self.closed:
                for place, (recording, _) in enumerate(self.waiting):
                    if self.may_take(reader, recording.file):
                        if recording.file is not None:
                            self.holds[reader] = recording.file
                        return self.waiting.pop(place)
                self.changed.wait()
        return None

    def may_take(self, reader: int, file: Any) -> bool:
        """Whether the file of a recording is that reader's to decode."""
        held = self.holds.get(reader)
        if file is None or file == held:
            return True
        if file in self.holds.values():
            return False
        return held is None or all(recording.file != held for recording, _ in self.waiting)

    def close(self) -> None:
        """Let readers that wait go."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()


def read_ahead(
    recordings: Iterable[Recording], children: Sequence[Child], seconds: float
) -> Iterator[ReadAudio]:
    """Each recording in order, while the next ones are being read."""
    desk = Desk()

    def serve(reader: int) -> None:
        died: tuple[Any, str] = None, ""  # the last file that killed the reader: not tried again
        while task := desk.take(reader):
            recording, future = task
            if recording.file is not None and recording.file == died[0]:
                error = f"{recording.source}: {died[1]}"
                future.set_result(ReadAudio(None, error=error, source=recording.source))
                continue
            try:
                audio = read_audio(recording, children[reader], seconds)
            except BaseException as problem:
                future.set_exception(problem)
                raise
            if audio.died:
                died = recording.file, audio.died
            future.set_result(audio)

    waiting: deque[Future[ReadAudio]] = deque()
    with ThreadPoolExecutor(len(children)) as pool:
        for reader in range(len(children)):
            pool.submit(serve, reader)
        try:
            for recording in recordings:
                waiting.append(desk.put(recording))
                if len(waiting) > AHEAD * len(children):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            desk.close()


def pieces(audio: Iterable[ReadAudio], sample_rate: int) -> Iterator[list[ReadAudio]]:
    """Neighbors together until they last PIECE_SECONDS.

    Codes do not depend on the cut; memory does.
    """
    piece: list[ReadAudio] = []
    samples = 0
    for item in audio:
        piece.append(item)
        samples += 0 if item.waveform is None else len(item.waveform)
        if samples >= PIECE_SECONDS * sample_rate:
            yield piece
            piece, samples = [], 0
    if piece:
        yield piece


def stop_all(children: Iterable[Any]) -> None:
    """End processes for good."""
    for child in children:
        child.close()
