"""The phoneme track: speech as "the phoneme after next, a duration, that many codes".

    SPEECH_START  pause h ə d2 c c  l d3 c c c  O d4 c c c c  …  d5 c c c c c  SPEECH_END

Durations and codes are of one symbol after another; each symbol is named `AHEAD` symbols before its
own duration, for how a phoneme sounds, and how long, depends on those behind it. A model that says
which phonemes come, and for how long, before the codes learns which sound a phoneme is from little
speech, says where each word is, and never forgets where it was. The track's phonemes are those of
the prompt, with a pause at both ends; `speak` drops them. It stays an ordinary Llama: all of these
are tokens.

When a model in this process speaks, the phonemes are given, codes are drawn, and durations are as
the model expects them: it can neither repeat itself, nor skip, nor go on for ever.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.guard import most_codes_of_phonemes
from xcodec2.llasa.prompts import INSTRUCTION, PLAIN_TEMPLATE, Prompts
from xcodec2.llasa.text.phonemes import ALPHABET
from xcodec2.llasa.vocabulary import DURATIONS, MARKS, PAUSE, code_token, duration_token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Without the words of the instruction to speak, which would be a token a letter.
TEMPLATE = PLAIN_TEMPLATE.replace(
    "message.content", f"(message.content | replace('{INSTRUCTION}', ''))"
)


AHEAD = 2  # symbols that are named before the one whose codes come
LONGEST_SYMBOL = 40  # codes; of hibari's, silence behind a sentence included, none has over 21
NOTHING = np.zeros(0, np.int64)
#: Ids to read, what comes next is drawn among, and of how many codes each choice is a duration
#: (None for sound).
Way: TypeAlias = tuple[np.ndarray, Choices, "np.ndarray | None"]
Guide: TypeAlias = Generator[Way, Any, None]


@dataclass(frozen=True)
class TrackSymbol:
    """A symbol of the track. Times are in codes from the start of speech.

    Attributes:
        text: The phoneme; empty for the pause at either end.
        start: Of its first code.
        stop: Behind its last code.
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class Track:
    """The tokens of a track.

    Attributes:
        prompts: Of the tokenizer, which has a token for each phoneme.
        pause: The id of the pause.
        durations: (D,) int64, ids of durations of 0 … D - 1 codes.
    """

    prompts: Prompts
    pause: int
    durations: np.ndarray

    @classmethod
    def of(cls, prompts: Prompts, name: str = "the tokenizer") -> Track:
        """Look the tokens up.

        Raises:
            LlasaError: The tokenizer has none of durations, or not one token a phoneme.
        """
        vocabulary = prompts.tokenizer.get_vocab()
        wanted = [PAUSE, *map(duration_token, range(DURATIONS))]
        lacking = [token for token in wanted if token not in vocabulary]
        parted = [one for one in sorted(ALPHABET - {" "}) if len(prompts.symbol_ids(one)) != 1]
        if lacking or parted:
            raise LlasaError(
                f"{name} has no phoneme track ({', '.join((lacking or parted)[:3])}): "
                "prepare the rows with --tokenizer phonemes"
            )
        ids = [vocabulary[token] for token in wanted]
        return cls(prompts, ids[0], np.array(ids[1:], np.int64))

    @cached_property
    def ids(self) -> np.ndarray:
        """(A,) int64: what may stand among the codes."""
        alphabet = self.prompts.symbol_ids("".join(sorted(ALPHABET)))
        return np.concatenate([[self.pause], self.durations, alphabet])

    def is_symbol(self, ids: np.ndarray) -> np.ndarray:
        """Which of the ids of a track (L,) are phonemes or pauses, as booleans."""
        return np.isin(ids, self.ids) & ~np.isin(ids, self.durations)

    def symbols(self, phonemes: str) -> np.ndarray:
        """(S,) int64: the ids of a track's symbols, the pauses at its ends included."""
        return np.concatenate([[self.pause], self.prompts.symbol_ids(phonemes), [self.pause]])

    def row(
        self, phonemes: str, durations: Sequence[int], codes: Sequence[int] | np.ndarray
    ) -> np.ndarray:
        """(L,) int64: the speech of a row, between its marks.

        Args:
            phonemes: With the spaces between words.
            durations: Codes of each phoneme, and of the pauses at both ends.
            codes: (T,), as many as the durations are together.

        Raises:
            LlasaError: They do not belong together.
        """
        symbols, steps = self.symbols(phonemes), np.asarray(durations, np.int64)
        if len(symbols) != len(steps):
            raise LlasaError(f"{len(steps)} durations for {len(symbols)} phonemes and pauses")
        if len(steps) and not 0 <= steps.min() <= steps.max() < len(self.durations):
            raise LlasaError(
                f"a duration of {steps.max()} codes: a track has up to {len(self.durations) - 1}"
            )
        if steps.sum() != len(codes):
            raise LlasaError(f"durations of {steps.sum()} codes, but there are {len(codes)}")
        pieces = np.split(self.prompts.vocabulary.to_ids(codes), np.cumsum(steps)[:-1])
        return np.concatenate(
            [
                part
                for named, step, piece in zip(named_before(symbols), steps, pieces, strict=True)
                for part in (named, [self.durations[step]], piece)
            ]
        ).astype(np.int64)

    def codes(self, ids: np.ndarray) -> np.ndarray:
        """(L,) ids of a track → (T,) codes: all else is dropped."""
        vocabulary = self.prompts.vocabulary
        return vocabulary.to_codes(ids[vocabulary.is_code(ids)])

    def times(self, ids: np.ndarray) -> list[TrackSymbol]:
        """When each symbol of a track (L,) is said, as its codes say, not its durations."""
        is_code = self.prompts.vocabulary.is_code(ids)
        begins = np.flatnonzero(np.isin(ids, self.durations))
        symbols = ids[self.is_symbol(ids)]
        spoken = np.concatenate([[0], np.cumsum(is_code)])  # codes before each place
        stops = spoken[np.append(begins[1:], len(ids))]
        return [
            TrackSymbol(
                "" if symbol == self.pause else self.symbol(int(symbol)), int(start), int(stop)
            )
            for symbol, start, stop in zip(symbols, spoken[begins], stops, strict=False)
        ]

    def symbol(self, id: int) -> str:
        """The phoneme of an id."""
        return str(self.prompts.tokenizer.decode([id]))

    @cached_property
    def duration_of(self) -> dict[int, int]:
        """Codes of each duration's id."""
        return {int(id): codes for codes, id in enumerate(self.durations)}

    @cached_property
    def choices(self) -> tuple[list[tuple[Choices, np.ndarray]], Choices, Choices]:
        """Durations up to each, with their codes, then codes, and the end of speech, to choose
        among.
        """
        vocabulary = self.prompts.vocabulary
        codes, end = np.sort(vocabulary.code_ids), np.array([vocabulary.speech_end])
        lengths = []
        for most in range(LONGEST_SYMBOL):
            order = np.argsort(self.durations[: most + 1])
            lengths.append((Choices(self.durations[order]), order))
        return lengths, Choices(codes), Choices(end)

    def guide(self, prompt: np.ndarray) -> Guide:
        """The way through a track, for a prompt (P,) that holds its phonemes. No symbol is longer
        than any that is spoken, and all together are no longer than phonemes can need
        (`xcodec2.llasa.guard`).

        A generator: `send` it each token that was drawn, the first one None.

        Yields:
            The ids to read before the next token is drawn (F,), what it is drawn among (A,), and
            how many codes each of these is a duration of (A,); None where it is sound.
        """
        vocabulary = self.prompts.vocabulary
        start = int(np.argmax(prompt == vocabulary.text_start)) + 1
        text = prompt[start : int(np.argmax(prompt == vocabulary.text_end))]
        lengths, codes, end = self.choices
        symbols = np.array([self.pause, *text, self.pause], np.int64)
        left = most_codes_of_phonemes(len(text))
        for place, named in enumerate(named_before(symbols), 1):
            most = left - (len(symbols) - place)  # a code for each of the others
            drawn = yield named, *lengths[max(0, min(most, len(lengths) - 1))]
            left -= self.duration_of[int(drawn)]
            for _ in range(self.duration_of[int(drawn)]):
                yield NOTHING, codes, None
        yield NOTHING, end, None


def named_before(symbols: np.ndarray) -> list[np.ndarray]:
    """What is named before the duration of each of the symbols (S,): those up to `AHEAD` behind
    it that have not been named.
    """
    cuts = np.minimum(np.arange(1, len(symbols)) + AHEAD, len(symbols))
    return np.split(symbols, cuts)


def spoken_words(phonemes: Iterable[TrackSymbol]) -> list[TrackSymbol]:
    """Words: the phonemes between spaces and pauses, with the marks behind them."""
    found: list[TrackSymbol] = []
    open_word = False
    for one in phonemes:
        if not one.text.strip():
            open_word = False
        elif open_word:
            found[-1] = TrackSymbol(found[-1].text + one.text, found[-1].start, one.stop)
        else:
            found.append(one)
            open_word = True
    return found


def phoneme_tokenizer(codebook_size: int = 65_536) -> PreTrainedTokenizerBase:
    """A tokenizer of bytes in which each phoneme is one token, with the tokens of speech and track.

    Text of any kind is bytes, so that a model can write what it hears, too. The codes are entries
    of the vocabulary itself: as added tokens they would be ten times as large on disk.

    Args:
        codebook_size: How many codes there are.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id for id, token in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for symbol in sorted(ALPHABET):
        ((pieces, _),) = to_bytes.pre_tokenize_str(symbol)
        for end in range(2, len(pieces) + 1):
            if pieces[:end] not in vocabulary:
                vocabulary[pieces[:end]] = len(vocabulary)
                merges.append((pieces[: end - 1], pieces[end - 1]))
    special = ["<|end|>", *MARKS, PAUSE, *map(duration_token, range(DURATIONS))]
    for name in (*special, *map(code_token, range(codebook_size))):
        vocabulary[name] = len(vocabulary)
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")
    fast.chat_template = TEMPLATE
    return fast
