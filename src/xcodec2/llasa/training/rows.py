"""Rows of token ids on disk: the memmap files of the LLaSA corpus, read and written.

A split is two files: `SPLIT_input_ids.memmap`, headerless int32, and `SPLIT_input_ids_shape.npy`,
its shape (n, length). A row is TEXT_START text TEXT_END SPEECH_START codes SPEECH_END and padding,
or the pieces of another task between their marks; the chat around it is added on reading.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.files import replacing
from xcodec2.llasa.vocabulary import SpeechVocabulary


def memmap_path(folder: Path, split: str) -> Path:
    """The file of a split's ids."""
    return folder / f"{split}_input_ids.memmap"


def shape_path(folder: Path, split: str) -> Path:
    """The file of a split's shape."""
    return folder / f"{split}_input_ids_shape.npy"


class Rows:
    """The rows of one split, (n, length) int32, read from the disk one by one; nothing is held in
    memory.
    """

    def __init__(self, folder: str | Path, split: str) -> None:
        memmap, shape = memmap_path(Path(folder), split), shape_path(Path(folder), split)
        for path in (memmap, shape):
            if not path.is_file():
                raise LlasaError(f"{path}: no such file; `xcodec2 llasa prepare` makes it")
        try:
            self.shape = tuple(int(size) for size in np.load(shape, allow_pickle=False))
        except (ValueError, TypeError, OSError, EOFError) as problem:
            raise LlasaError(f"{shape}: not the shape of a memmap ({problem})") from problem
        if (
            len(self.shape) != 2
            or min(self.shape) < 0
            or math.prod(self.shape) * 4 != memmap.stat().st_size
        ):
            raise LlasaError(
                f"{memmap}: has {memmap.stat().st_size} bytes, "
                f"which is not int32 of shape {self.shape}"
            )
        self.name = f"{folder} ({split})"
        self.array = (
            np.memmap(memmap, "<i4", "r", shape=self.shape)
            if self.shape[0]
            else np.empty(self.shape)
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """(length,) int64."""
        return np.asarray(self.array[index], np.int64)


class JoinedRows:
    """Several sets of rows as one, the sets behind each other."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = parts
        self.starts = [0, *accumulate(map(len, parts))]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> np.ndarray:
        """(length,) int64."""
        part = bisect_right(self.starts, index) - 1
        return self.parts[part][index - self.starts[part]]


def example(
    row: np.ndarray, vocabulary: SpeechVocabulary, track: np.ndarray | None = None
) -> np.ndarray:
    """The row without its padding; LlasaError, with the reason, when it is no whole example.

    Args:
        row: (L,) int64: a piece that is given and the pieces that answer it, each between its
            marks.
        vocabulary: Where the marks are.
        track: Ids that may be among the codes of speech.
    """
    v = vocabulary
    if len(row) and row[0] == v.heard_start and v.text_start in row:  # a voice, then what it says
        end = first(row, v.heard_end)
        if end is None or end + 1 == len(row) or row[end + 1] != v.text_start:
            raise LlasaError("text and speech are not marked")
        if not v.is_code(row[1:end]).all():
            raise LlasaError("speech holds tokens that are no codes")
        return np.concatenate([row[: end + 1], example(row[end + 1 :], vocabulary, track)])
    ends = {v.text_start: v.text_end, v.heard_start: v.heard_end}
    answers = {v.speech_start: v.speech_end, v.writing_start: v.writing_end}
    if not len(row) or row[0] < 0 or int(row[0]) not in ends:
        raise LlasaError("does not begin with the text's mark")
    given_end = first(row, ends[int(row[0])])
    stop = 0 if given_end is None else given_end + 1
    if given_end is None or stop == len(row) or int(row[stop]) not in answers:
        raise LlasaError("text and speech are not marked")
    pieces = [(int(row[0]), row[1:given_end])]
    while stop < len(row) and row[stop] >= 0 and int(row[stop]) in answers:
        end = first(row[stop:], answers[int(row[stop])])
        if end is None:
            what = "speech" if row[stop] == v.speech_start else "text"
            raise LlasaError(f"{what} has no end: cut short")
        pieces.append((int(row[stop]), row[stop + 1 : stop + end]))
        stop += end + 1
    for mark, piece in pieces:
        speech = mark in (v.speech_start, v.heard_start)
        if not len(piece):
            raise LlasaError("no speech" if speech else "no text")
        if speech:
            known = v.is_code(piece)
            if track is not None:
                known |= np.isin(piece, track)
            if not known.all():
                raise LlasaError("speech holds tokens that are no codes")
    return row[:stop]


def first(row: np.ndarray, id: int) -> int | None:
    """The first place of an id in a row (L,); None when it is not there."""
    places = np.flatnonzero(row == id)
    return int(places[0]) if len(places) else None


@dataclass
class Refused:
    """Examples that were not used, counted by reason."""

    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str) -> None:
        """Count one row."""
        self.reasons[reason] += 1

    @property
    def total(self) -> int:
        """Rows refused for any reason."""
        return sum(self.reasons.values())

    def __str__(self) -> str:
        return ", ".join(f"{count} × {reason}" for reason, count in sorted(self.reasons.items()))


@contextmanager
def row_writer(
    folder: Path, split: str, length: int, padding: int
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields a `write` for (L,) examples, L ≤ `length`, one a row; the split's files appear whole
    or not at all.
    """
    count = 0
    with replacing(memmap_path(folder, split), LlasaError) as file:

        def write(row: np.ndarray) -> None:
            nonlocal count
            padded = np.full(length, padding, "<i4")
            padded[: len(row)] = row
            file.write(padded.tobytes())
            count += 1

        yield write
        with replacing(shape_path(folder, split), LlasaError) as shape:
            np.save(shape, np.array([count, length]), allow_pickle=False)
