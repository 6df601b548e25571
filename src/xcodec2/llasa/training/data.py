"""What training reads: rows in a random order, in chat, with labels, packed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.packing import IGNORED, Example
from xcodec2.llasa.training.rows import Refused, Rows, example

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
    """An example in chat, with labels from SPEECH_START on: the mark, the codes and the end."""
    labels = ids.copy()
    labels[: int(np.argmax(ids == prompts.vocabulary.speech_start))] = IGNORED
    return Example(ids=ids, labels=labels)


def speech_examples(
    rows: Rows, prompts: Prompts, length: int, order: Iterator[int], refused: Refused
) -> Iterator[Example]:
    """The rows in this order as examples.

    Args:
        rows: One split.
        prompts: Whose tokenizer the rows were made with.
        length: Tokens that an example has at most.
        order: Indices of rows.
        refused: Counts rows that are none, or too long, by the message of their LlasaError.

    Yields:
        Examples.
    """
    for index in order:
        try:
            ids = prompts.in_chat(example(rows[index], prompts.vocabulary))
            if len(ids) > length:
                raise LlasaError("longer than the context")
        except LlasaError as problem:
            refused.add(str(problem))
        else:
            yield labeled(ids, prompts)


def row_texts(rows: list[Rows], prompts: Prompts, count: int) -> list[str]:
    """The texts of the first good rows, at most `count`."""
    found: list[str] = []
    for split in rows:
        for index in range(len(split)):
            if len(found) == count:
                return found
            try:
                ids = example(split[index], prompts.vocabulary)
            except LlasaError:
                continue
            end = int((ids == prompts.vocabulary.text_end).argmax())
            found.append(str(prompts.tokenizer.decode(ids[1:end])))
    return found


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
