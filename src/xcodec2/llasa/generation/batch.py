"""Many sequences generated together, each of which may join and leave at any step.

Examples:
    >>> from xcodec2.llasa import BatchGenerator, Sampling
    >>> generator = BatchGenerator(lm, max_sequences=16)
    >>> first = generator.start(lm.prompts.prompt("Hello."), seed=1)
    >>> generator.step()                        # first.tokens has one token
    >>> second = generator.start(lm.prompts.prompt("Good day."), Sampling(0.5), seed=2)
    >>> while generator.step():                 # each gets one token, until all have finished
    ...     pass
    >>> second.finished, lm.prompts.vocabulary.to_codes(second.tokens)
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.decoding.base import Choices, Decoder
from xcodec2.llasa.generation.draw import Drawer, draw
from xcodec2.llasa.generation.durations import Durations
from xcodec2.llasa.guard import FRAME_RATE, most_codes
from xcodec2.llasa.lm import LanguageModel
from xcodec2.llasa.sampling import Sampling

if TYPE_CHECKING:
    from xcodec2.llasa.track import Guide, Way

Finished: TypeAlias = Literal["end", "length", "cancelled"]
NOTHING = np.zeros(0, np.int64)
MIN_SEED, MAX_SEED = -(2**63), 2**64 - 1  # what torch takes


class Sequence:
    """One continuation, as far as it has come.

    Attributes:
        prompt: (P,) int64 ids.
        tokens: Drawn so far, without the end.
        finished: None while it grows; then "end" (the model ended by itself), "length" or
            "cancelled".
    """

    def __init__(
        self,
        prompt: np.ndarray,
        sampling: Sampling,
        drawer: Drawer,
        choices: Choices,
        end: int,
        min_tokens: int,
        budget: int,
        guide: Guide | None = None,
    ) -> None:
        self.prompt, self.tokens = prompt, list[int]()
        self.finished: Finished | None = None
        self.sampling, self.choices, self.end = sampling, choices, end
        self.min_tokens, self.budget, self.drawer = min_tokens, budget, drawer
        self.state: Any = None
        self.unread = prompt  # what the decoder has not seen yet
        self.guide, self.durations = guide, Durations()
        self.lasts: np.ndarray | None = None  # of each choice, where a duration comes next
        if guide is not None:
            self.follow(next(guide))

    @property
    def audible(self) -> bool:
        """Whether its next token is sound, or the end."""
        return self.lasts is None

    @property
    def takes_likeliest(self) -> bool:
        """Whether its next token is the likeliest of all."""
        sampling = self.sampling
        return (
            self.audible
            and sampling.temperature == 0
            and sampling.repetition_penalty == 1
            and len(self.tokens) >= self.min_tokens
        )

    def drawn(self, scores: np.ndarray) -> int:
        """The place among the choices of the next token, from its scores (A,), which are
        changed.
        """
        if self.lasts is not None:
            return self.durations.next(scores, self.lasts)
        if len(self.tokens) < self.min_tokens:
            scores[self.choices.places(np.array([self.end]))] = -np.inf
        seen = NOTHING
        if self.sampling.repetition_penalty != 1:
            seen = self.choices.places(np.append(self.prompt, self.tokens))
        return draw(scores, self.choices, self.sampling, self.drawer, seen)

    def take(self, place: int) -> None:
        """Grow by the token at this place among the choices, or end with it."""
        token = int(self.choices.ids[place])
        if token == self.end:
            self.finish("end")
            return
        if self.audible:
            self.tokens.append(token)
        self.unread = np.array([token], np.int64)
        self.budget -= 1
        if self.guide is not None:
            self.follow(self.guide.send(token))
        if self.budget <= 0:
            self.finish("length")

    def follow(self, way: Way) -> None:
        """Read what a guide gives, and draw among its choices."""
        given, self.choices, self.lasts = way
        self.unread = np.append(self.unread, given)
        self.budget -= len(given)

    def finish(self, why: Finished) -> None:
        """It grows no more, and frees its memory."""
        self.finished, self.state = why, None


class BatchGenerator:
    """Generates many sequences together. For one thread at a time.

    Each draws from a generator of its own seed and is computed apart from the others: the same
    seed gives the same tokens as alone, whatever is beside it.

    Args:
        lm: The language model.
        max_sequences: That may be under way at once.
    """

    def __init__(self, lm: LanguageModel, max_sequences: int = 16) -> None:
        if max_sequences < 1:
            raise LlasaError("max_sequences must be 1 or more")
        self.max_sequences = max_sequences
        self.decoder: Decoder = lm.decoder
        self.track, self.prompts, self.metadata = lm.track, lm.prompts, lm.metadata
        self.speech_end = lm.prompts.vocabulary.speech_end
        self.speech = lm.speech
        self.sequences: list[Sequence] = []

    @property
    def active(self) -> tuple[Sequence, ...]:
        """Those under way."""
        return tuple(self.sequences)

    @property
    def free(self) -> int:
        """How many more can be started now."""
        return self.max_sequences - len(self.sequences)

    def start(
        self,
        prompt: np.ndarray | Several[int],
        sampling: Sampling | None = None,
        *,
        seed: int = 0,
        choices: Choices | None = None,
        end: int | None = None,
        min_tokens: int = 1,
    ) -> Sequence:
        """A sequence that grows from the next step on.

        Args:
            prompt: (P,) ids.
            sampling: How tokens are drawn.
            seed: Of its own drawing.
            choices: The ids that can come, the end among them; codes and the end of speech when
                None, and no more than the prompt's text can need (`xcodec2.llasa.guard`). Share
                one object among sequences, for they are computed together then.
            end: The id that ends it; the end of speech when None.
            min_tokens: The end cannot come before as many tokens.

        Raises:
            LlasaError: All places are taken, the prompt leaves no room in the context, or the seed
                or an id is out of range.
        """
        if not self.free:
            raise LlasaError(f"{self.max_sequences} sequences are under way: start it later")
        if not MIN_SEED <= seed <= MAX_SEED:
            raise LlasaError(f"the seed {seed} is out of {MIN_SEED}…{MAX_SEED}")
        guide = self.track.guide(np.asarray(prompt)) if self.track and choices is None else None
        sampling, choices = sampling or Sampling(), choices or self.speech
        ids, highest = np.array(prompt, dtype=np.int64).reshape(-1), self.decoder.vocabulary - 1
        for what, some in (("prompt", ids), ("choices", choices.ids)):
            if not len(some) or some.min() < 0 or some.max() > highest:
                raise LlasaError(f"the {what} must be ids of 0…{highest}, at least one")
        budget = sampling.budget(self.decoder.context, len(ids))
        if choices is self.speech and guide is None:
            rate = self.metadata.codec.frame_rate if self.metadata.codec else FRAME_RATE
            most = most_codes(ids, self.prompts, self.metadata.phonemes, rate)
            budget = min(budget, most or budget)
        sequence = Sequence(
            ids,
            sampling,
            Drawer(seed, self.decoder.vocabulary),
            choices,
            self.speech_end if end is None else end,
            min_tokens,
            budget,
            guide,
        )
        sequence.state = self.decoder.new_state()
        self.sequences.append(sequence)
        return sequence

    def step(self) -> list[Sequence]:
        """One more token for each sequence under way; those that finish with it leave. Of a model
        that speaks on a phoneme track it is one more code, and what comes between is not told.

        Returns:
            The sequences that were under way, finished ones among them; empty when there was none.
        """
        stepped = waiting = list(self.sequences)
        while waiting:
            silent = [item for item in waiting if not item.audible]
            self.draw_one(waiting)
            waiting = [item for item in silent if item.finished is None]
        self.sequences = [item for item in stepped if item.finished is None]
        return stepped

    def draw_one(self, sequences: list[Sequence]) -> None:
        """One token for each of some sequences."""
        known = self.decoder.advance(
            [item.state for item in sequences], [item.unread for item in sequences]
        )
        groups: dict[tuple[Choices, bool], list[int]] = {}
        for row, item in enumerate(sequences):
            groups.setdefault((item.choices, item.takes_likeliest), []).append(row)
        for (choices, likeliest), rows in groups.items():
            own = known[np.array(rows)]
            if likeliest:
                places = self.decoder.likeliest(own, choices).tolist()
            else:
                scores = self.decoder.scores(own, choices)
                places = [sequences[row].drawn(scores[i]) for i, row in enumerate(rows)]
            for row, place in zip(rows, places, strict=True):
                sequences[row].take(place)

    def cancel(self, sequence: Sequence) -> None:
        """Take a sequence out at once; nothing happens to one that has finished."""
        if sequence.finished is None:
            sequence.finish("cancelled")
            self.sequences.remove(sequence)
