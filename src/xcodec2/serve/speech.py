"""What a speech request asks for, checked before anything is said: a text in pieces, a voice, and
how tokens are drawn.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from xcodec2.llasa.prompts import CHUNK
from xcodec2.llasa.reading import as_prompted, spoken_pieces
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.search import Candidate
from xcodec2.llasa.speaker import CHUNK_SEEDS_APART, Speaker, Voice
from xcodec2.serve.schemas import SpeechRequest


class Silence:
    """No warnings while any thread is inside: they would write what clients said to the log.

    Threads do not wait for each other here, as they would where each had `catch_warnings` to
    itself: a search stays inside for minutes.
    """

    def __init__(self) -> None:
        self.changing = threading.Lock()
        self.inside = 0
        self.before: warnings.catch_warnings[None] = warnings.catch_warnings()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Be inside."""
        with self.changing:
            if not self.inside:
                self.before = warnings.catch_warnings()
                self.before.__enter__()
                warnings.simplefilter("ignore")
            self.inside += 1
        try:
            yield
        finally:
            with self.changing:
                self.inside -= 1
                if not self.inside:
                    self.before.__exit__(None, None, None)


quietly = Silence()


class Script:
    """A text that is spoken piece by piece, with the prompts and seeds of `Speaker.speak`.

    Args:
        speaker: Whose prompts they are.
        text: What to say.
        voice: To speak in; the first piece lends its own to the others where there is none.
        sampling: How tokens are drawn.
        seed: Of the first piece.

    Raises:
        LlasaError: Some of the text cannot be spoken.
    """

    def __init__(
        self,
        speaker: Speaker,
        text: str,
        voice: Voice | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> None:
        self.voice, self.sampling, self.seed = voice, sampling or speaker.sampling, seed
        backend = speaker.backend
        with quietly():
            parts = spoken_pieces(text, backend.metadata, CHUNK)
            sizes = [
                len(backend.prompts.text_ids(as_prompted(part, backend.metadata))) for part in parts
            ]
        self.text_tokens = sum(sizes)
        self.spoken: list[tuple[str, Candidate]] = []
        self.left = len(parts)
        self.prompts = speaker.prompts(text, voice, self.spoken, CHUNK)
        self.waiting = self.following()
        if self.waiting:
            self.sampling.budget(backend.context, len(self.waiting[1]))

    def following(self) -> tuple[str, np.ndarray] | None:
        """The next piece with its prompt (P,); None behind the last."""
        if not self.left:
            return None
        self.left -= 1
        with quietly():
            return next(self.prompts, None)

    def take(self) -> tuple[str, np.ndarray, int] | None:
        """The piece to be spoken now, its prompt (P,) and its seed; None when all is said."""
        piece, self.waiting = self.waiting or self.following(), None
        if piece is None:
            return None
        return *piece, self.seed + len(self.spoken) * CHUNK_SEEDS_APART

    def said(self, piece: str, codes: list[int], ended: bool) -> None:
        """A piece is whole."""
        self.spoken.append((piece, Candidate(np.array(codes, np.int64), ended, self.seed)))


def sampling_of(body: SpeechRequest, own: Sampling) -> Sampling:
    """How tokens are drawn: what is not asked for is the speaker's own."""
    names = ("temperature", "top_p", "top_k", "repetition_penalty")
    asked = {name: value for name in names if (value := getattr(body, name)) is not None}
    return replace(own, **asked)
