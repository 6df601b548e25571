"""One recording → its rows, one for each task."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from xcodec2.errors import LlasaError, XCodec2Error
from xcodec2.llasa.prompts import Prompts, Task
from xcodec2.llasa.text import phonemes as phonemes_of
from xcodec2.llasa.track import Track
from xcodec2.llasa.vocabulary import CLIP

#: (T,) codes and their phonemes → codes of each, the pauses at both ends included.
Aligner: TypeAlias = Callable[[np.ndarray, str], list[int]]
MIN_IN_TURN, IN_TURN = 3, 4  # recordings in a row of text and speech in turn
CUTS = (0.25, 0.75)  # where speech is cut that is to be continued


class RowMaker:
    """Makes the rows of recordings, in their order.

    Args:
        prompts: Of the tokenizer.
        text: The column of transcripts.
        length: Tokens in a row; what is longer is refused.
        phonemes: Prompts to speak hold phonemes.
        track: Speech of these prompts says its phonemes.
        tasks: A row each.
        aligner: Says the durations of recordings that have none.
        voices: What is to be spoken on a track begins with a clip of its voice, from the recording
            before it of the same voice and split.

    Raises:
        LlasaError: The tokenizer has no marks for a task.
    """

    def __init__(
        self,
        prompts: Prompts,
        text: str,
        length: int,
        phonemes: bool,
        track: Track | None,
        tasks: Sequence[Task],
        voices: bool = False,
        aligner: Aligner | None = None,
    ) -> None:
        self.prompts, self.text, self.length, self.phonemes = prompts, text, length, phonemes
        self.track, self.tasks = track, tasks
        if lacking := next((task for task in tasks if task not in prompts.frames), None):
            raise LlasaError(f"the tokenizer has no marks for the task {lacking}")
        if voices and (track is None or prompts.vocabulary.heard_start < 0):
            raise LlasaError("clips of voices stand in rows of a phoneme track alone")
        self.voices, self.aligner = voices, aligner
        self.clips: dict[tuple[str, str], np.ndarray] = {}
        self.in_turn: dict[str, list[np.ndarray]] = {}

    def rows(self, record: dict[str, Any], split: str) -> Iterator[np.ndarray | LlasaError]:
        """(L,) int64 of each task, or the LlasaError that says why there is none; recordings of a
        split in turn.
        """
        for task in self.tasks:
            try:
                row = self.row(record, task, split)
                if row is not None and len(row) > self.length:
                    raise LlasaError(f"too long: {len(row)} tokens, a row has {self.length}")
            except LlasaError as problem:
                yield problem
            else:
                if row is not None:
                    yield row

    def rest(self, split: str) -> Iterator[np.ndarray | LlasaError]:
        """What is left of a split at its end."""
        try:
            row = self.finish(split)
        except LlasaError as problem:
            yield problem
        else:
            if row is not None:
                yield row

    def row(self, record: dict[str, Any], task: Task, split: str) -> np.ndarray | None:
        """The row of a task; None where it needs more recordings.

        Raises:
            LlasaError: The recording is no example, for this reason.
        """
        if record.get("error"):
            raise LlasaError(f"extraction failed: {record['error']}")
        written = cell_text(record[self.text])
        if task == "tts":
            row = self.spoken(record, written)
            return self.after_clip(record, row, split) if self.voices else row
        if not record["codes"]:
            raise LlasaError("no codes")
        v, codes = self.prompts.vocabulary, self.prompts.vocabulary.to_ids(record["codes"])
        if task == "continue":
            low, high = CUTS
            cut = round(len(codes) * (low + (high - low) * share(f"cut {record['id']}")))
            if not 0 < cut < len(codes):
                raise LlasaError("too short to be continued")
            return row_of(
                (v.heard_start, codes[:cut], v.heard_end),
                (v.speech_start, codes[cut:], v.speech_end),
            )
        text = self.prompts.text_ids(written)
        if task == "asr":
            return row_of(
                (v.heard_start, codes, v.heard_end), (v.writing_start, text, v.writing_end)
            )
        return self.turn(text, codes, split)

    def after_clip(self, record: dict[str, Any], row: np.ndarray, split: str) -> np.ndarray | None:
        """A row to speak behind a clip of its voice; None for the first of each voice."""
        v, codes = self.prompts.vocabulary, self.prompts.vocabulary.to_ids(record["codes"])
        begin = round(max(0, len(codes) - CLIP) * share(f"clip {record['id']}"))
        voice = (split, cell_text(record["voice"]))
        clip = self.clips.get(voice)
        self.clips[voice] = codes[begin : begin + CLIP]
        if clip is None:
            return None
        return np.concatenate([[v.heard_start], clip, [v.heard_end], row])

    def spoken(self, record: dict[str, Any], written: str) -> np.ndarray:
        """The row of text to speech.

        Raises:
            LlasaError: There are no codes, or the durations do not suit them.
        """
        v = self.prompts.vocabulary
        if self.track is not None:
            given = record.get("phonemes")
            said = phonemes_of(written) if given is None else cell_text(given)
            steps = self.durations(record, said)
            speech = self.track.row(said, steps, record["codes"] or [])
        else:
            said = phonemes_of(written) if self.phonemes else written
            speech = v.to_ids(record["codes"] or [])
        if not len(speech):
            raise LlasaError("no codes")
        text = self.prompts.text_ids(said)
        return row_of((v.text_start, text, v.text_end), (v.speech_start, speech, v.speech_end))

    def durations(self, record: dict[str, Any], said: str) -> list[int]:
        """Codes of each phoneme of a recording, the pauses at both ends included.

        Raises:
            LlasaError: It has none and nobody says them, or they are no numbers.
        """
        given = record.get("durations")
        if given is None and self.aligner is not None and record["codes"]:
            try:
                return self.aligner(np.asarray(record["codes"], np.int64), said)
            except XCodec2Error as problem:
                raise LlasaError(f"no durations: {problem}") from problem
        try:
            return [int(step) for step in cell_text(given).split()]
        except ValueError as problem:
            raise LlasaError("durations are no whole numbers") from problem

    def turn(self, text: np.ndarray, codes: np.ndarray, split: str) -> np.ndarray | None:
        """Recordings after one another, as text and as speech in turn, once there are enough or
        the next would be too much.
        """
        waiting = self.in_turn.setdefault(split, [])
        piece = self.piece(len(waiting), text, codes)
        if sum(map(len, waiting)) + len(piece) > self.length:
            made = self.finish(split)
            waiting.append(self.piece(0, text, codes))
            return made
        waiting.append(piece)
        return self.finish(split) if len(waiting) == IN_TURN else None

    def piece(self, place: int, text: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """A recording at a place of a row: text that is given, speech, text, speech and so on."""
        v = self.prompts.vocabulary
        if place % 2:
            return row_of((v.speech_start, codes, v.speech_end))
        if place:
            return row_of((v.writing_start, text, v.writing_end))
        return row_of((v.text_start, text, v.text_end))

    def finish(self, split: str) -> np.ndarray | None:
        """The row in turn that a split has begun; None without one.

        Raises:
            LlasaError: It has too few recordings.
        """
        waiting = self.in_turn.pop(split, [])
        self.in_turn[split] = []
        if not waiting:
            return None
        if len(waiting) < MIN_IN_TURN:
            raise LlasaError("too few recordings that fit into a row in turn")
        return np.concatenate(waiting)


def row_of(*pieces: tuple[int, np.ndarray, int]) -> np.ndarray:
    """Pieces between their marks (L,) int64."""
    parts = [np.concatenate([[start], piece, [end]]) for start, piece, end in pieces]
    return np.concatenate(parts).astype(np.int64)


def cell_text(value: Any) -> str:
    """A cell as text, for 0 is one, too; LlasaError for an empty cell and for what is no text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise LlasaError("no text")
    if isinstance(value, (bytes, list, dict)):
        raise LlasaError(f"the text is no text but {type(value).__name__}")
    if not str(value).strip():
        raise LlasaError("no text")
    return str(value)


def share(id: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
