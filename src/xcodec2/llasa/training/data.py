"""What training reads: rows in a random order, in chat, with labels, packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeAlias

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track
from xcodec2.llasa.training.packing import IGNORED, Example
from xcodec2.llasa.training.rows import JoinedRows, Refused, Rows, example
from xcodec2.llasa.vocabulary import SpeechVocabulary

Change: TypeAlias = Callable[[np.ndarray], "np.ndarray | None"]
ROUNDS = 4  # of the Feistel network; more mix no better at these sizes


def shuffled_indices(count: int, seed: int) -> Iterator[int]:
    """0 … count - 1 in an order that looks random and needs no memory, however large `count` is.

    A Feistel network permutes the next power of four; what falls outside is permuted on until it
    falls inside.
    """
    half = max(1, (max(count - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    keys = [int(key) for key in np.random.default_rng(seed).integers(1 << 62, size=ROUNDS)]
    for index in range(count):
        value = index
        while True:
            left, right = value >> half, value & mask
            for key in keys:
                left, right = right, left ^ (hash64(right ^ key) & mask)
            value = left << half | right
            if value < count:
                break
        yield value


def hash64(value: int) -> int:
    """A 64-bit hash of a number (the finalizer of SplitMix64)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    value = (value ^ value >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return value ^ value >> 31


def labeled(ids: np.ndarray, prompts: Prompts) -> Example:
    """An example in chat, with labels from the answer's first mark on: the mark, the speech or
    text, and its end.
    """
    vocabulary, labels = prompts.vocabulary, ids.copy()
    answers = np.isin(ids, [vocabulary.speech_start, vocabulary.writing_start])
    labels[: int(np.argmax(answers))] = IGNORED
    return Example(ids=ids, labels=labels)


def speech_examples(
    rows: Rows | JoinedRows,
    prompts: Prompts,
    length: int,
    order: Iterator[int],
    refused: Refused,
    track: Track | None = None,
    change: Change = lambda row: row,
) -> Iterator[Example]:
    """The rows in this order as examples.

    Args:
        rows: One split.
        prompts: Whose tokenizer the rows were made with.
        length: Tokens that an example has at most.
        order: Indices of rows.
        refused: Counts rows that are none, or too long, by the message of their LlasaError.
        track: What may be among the codes.
        change: Of each row (L,) before it is put into a chat; None leaves it out.

    Yields:
        Examples.
    """
    for index in order:
        try:
            row = change(example(rows[index], prompts.vocabulary, track.ids if track else None))
            if row is None:
                continue
            ids = prompts.in_chat(row)
            if len(ids) > length:
                raise LlasaError("longer than the context")
        except LlasaError as problem:
            refused.add(str(problem))
        else:
            yield labeled(ids, prompts)


class WrongText:
    """A change of rows: each is given the text of the one before, and so are its phonemes on a
    track, so that speech is as it was and what is said of it is not.
    """

    def __init__(self, prompts: Prompts, track: Track | None) -> None:
        self.prompts, self.track = prompts, track
        self.before: np.ndarray | None = None

    def __call__(self, row: np.ndarray) -> np.ndarray | None:
        """(L,) → (L',); None for the first one and for rows of other tasks."""
        if self.prompts.task_of(row) != "tts":
            return None
        start, cut = self.prompts.text_start(row), self.prompts.answer_start(row)
        text, self.before = self.before, row[start : cut - 1]
        if text is None:
            return None
        speech = row[cut:].copy()
        if self.track is not None:
            symbols = np.flatnonzero(self.track.is_symbol(speech))[1:-1]  # between the pauses
            speech[symbols] = np.resize(text, len(symbols))
        return np.concatenate([row[:start], text, row[cut - 1 : cut], speech])


def without_codes(row: np.ndarray, prompts: Prompts) -> np.ndarray:
    """A row (L,) of a track with its phonemes and durations alone, to learn copying from."""
    return row[~prompts.vocabulary.is_code(row)]


def misread(
    item: Example, vocabulary: SpeechVocabulary, share: float, noise: np.random.Generator
) -> Example:
    """The same with some codes read as any others; what is to be said stays."""
    wrong = vocabulary.is_code(item.ids) & (noise.random(len(item)) < share)
    others = noise.choice(vocabulary.code_ids, len(item))
    return Example(np.where(wrong, others, item.ids), item.labels)


def codes_only(item: Example, prompts: Prompts) -> Example:
    """The same with labels on codes alone."""
    codes = prompts.vocabulary.is_code(item.labels)
    return Example(item.ids, np.where(codes, item.labels, IGNORED))


def row_texts(
    rows: list[Rows], prompts: Prompts, count: int, track: Track | None = None
) -> list[str]:
    """The texts of the first good rows that are spoken, at most `count`, of all sets by turns."""
    found: list[str] = []
    by_turns = chain.from_iterable(zip_longest(*map(each_row, rows)))
    for row in by_turns:
        if row is None:
            continue
        if len(found) == count:
            return found
        try:
            ids = example(row, prompts.vocabulary, track.ids if track else None)
        except LlasaError:
            continue
        if prompts.task_of(ids) != "tts":
            continue
        end = int((ids == prompts.vocabulary.text_end).argmax())
        found.append(str(prompts.tokenizer.decode(ids[prompts.text_start(ids) : end])))
    return found


def each_row(rows: Rows) -> Iterator[np.ndarray]:
    """In their order, read one by one."""
    return (rows[index] for index in range(len(rows)))


def text_examples(files: list[Path], prompts: Prompts, length: int) -> Iterator[Example]:
    """Plain text, one document a line, for ever: pieces of at most `length` tokens, all labeled
    but the first.

    Raises:
        LlasaError: The files hold no text.
    """
    end = prompts.tokenizer.eos_token_id
    while True:
        empty = True
        for file in files:
            with open(file, encoding="utf-8") as lines:
                for line in lines:
                    if not line.strip():
                        continue
                    empty = False
                    ids = prompts.tokenizer(line.strip(), add_special_tokens=False)["input_ids"]
                    ids = np.array([*ids, *([] if end is None else [end])], np.int64)
                    for start in range(0, len(ids), length):
                        piece = ids[start : start + length]
                        labels = piece.copy()
                        labels[0] = IGNORED
                        yield Example(piece, labels)
        if empty:
            raise LlasaError(f"{', '.join(map(str, files))}: no text in it")


def mixed_in(speech: Iterator[Example], text: Iterator[Example], share: float) -> Iterator[Example]:
    """Speech until it ends, with text between so that about `share` of the tokens is text."""
    spoken = written = 0
    for item in speech:
        yield item
        spoken += len(item)
        while written < share / (1 - share) * spoken:
            piece = next(text)
            written += len(piece)
            yield piece
