"""Prompts: a chat whose user turn asks for speech and whose assistant turn begins with it.

    user       Convert the text to speech:<|TEXT_UNDERSTANDING_START|>TEXT<|TEXT_UNDERSTANDING_END|>
    assistant  <|SPEECH_GENERATION_START|> codes … <|SPEECH_GENERATION_END|>

Other tasks have the same form: the user gives one piece, text or codes, and the assistant answers
with pieces of speech or text, each between its own marks (`TASKS`).

Around it stands whatever the tokenizer's chat template says. A voice is cloned by putting its
transcript before the text and its codes at the start of the assistant's turn.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.vocabulary import (
    HEARD_END,
    HEARD_START,
    SPEECH_START,
    TEXT_END,
    TEXT_START,
    WRITING_START,
    SpeechVocabulary,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTRUCTION = "Convert the text to speech:"
Task: TypeAlias = Literal["tts", "asr", "continue", "interleave"]
#: Of each task, what the user says before the piece that is given.
TASKS: dict[Task, str] = {
    "tts": INSTRUCTION,
    "asr": "Convert the speech to text:",
    "continue": "Continue the speech:",
    "interleave": "Go on with speech and text in turn:",
}
#: Llama 3's template prints a date into the system turn, today's unless one is given; with this
#: one prompts stay the same from day to day. It is the template's own fallback.
DATE = "26 Jul 2024"
LLAMA_HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
#: For a base without a template that has Llama 3's header tokens; no system turn.
LLAMA_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}"
    "<|start_header_id|>{{ message.role }}<|end_header_id|>\n\n{{ message.content }}<|eot_id|>"
    "{% endfor %}"
)
#: For any other base without a template: the turns after one another.
PLAIN_TEMPLATE = (
    "{{ bos_token or '' }}{% for message in messages %}{{ message.content }}{% endfor %}"
)

SENTENCE_END = re.compile(r"(?<=[.!?…;])[\"'”’»)\]]*\s+|(?<=[。！？；])[”’」』）]*")
CLAUSE_END = re.compile(r"(?<=[,:—–])\s+|(?<=[，、：])")
CHUNK = 100  # characters; the paper speaks longer text in pieces


def add_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a base tokenizer without a chat template the Llama-like one if it has the tokens, else
    the plain one.
    """
    if not tokenizer.chat_template:
        vocabulary = tokenizer.get_vocab()
        llama = all(token in vocabulary for token in LLAMA_HEADERS)
        tokenizer.chat_template = LLAMA_TEMPLATE if llama else PLAIN_TEMPLATE


def render(tokenizer: PreTrainedTokenizerBase, text: str, speech: str = "") -> str:
    """The literal prompt, open for speech tokens after `speech`."""
    asked = f"{INSTRUCTION}{TEXT_START}{text}{TEXT_END}"
    return render_chat(tokenizer, asked, f"{SPEECH_START}{speech}")


def render_chat(tokenizer: PreTrainedTokenizerBase, asked: str, answer: str) -> str:
    """A user's and an assistant's turn, the latter left open."""
    chat = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": answer},
    ]
    return str(
        tokenizer.apply_chat_template(
            chat, tokenize=False, continue_final_message=True, date_string=DATE
        )
    )


@dataclass(frozen=True)
class Prompts:
    """Builds prompts for one tokenizer. Training and generation share it, so they cannot drift
    apart.

    before, between: (L,) int64 ids before <|TEXT_UNDERSTANDING_START|>, and between the text's end
    and <|SPEECH_GENERATION_START|>. control: ids that a text must not make.
    """

    tokenizer: PreTrainedTokenizerBase
    vocabulary: SpeechVocabulary
    before: np.ndarray
    between: np.ndarray
    control: frozenset[int]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, name: str = "the tokenizer") -> Prompts:
        """Learn the form by rendering an empty prompt; LlasaError when the chat template loses the
        marks.
        """
        vocabulary = SpeechVocabulary.of(tokenizer, name)
        add_template(tokenizer)
        ids = np.array(
            tokenizer(render(tokenizer, ""), add_special_tokens=False)["input_ids"], np.int64
        )
        marks = (vocabulary.text_start, vocabulary.text_end, vocabulary.speech_start)
        places = [np.flatnonzero(ids == mark) for mark in marks]
        if any(len(place) != 1 for place in places) or places[2][0] != len(ids) - 1:
            raise LlasaError(
                f"{name}: its chat template does not keep the speech marks in place; "
                "give it another"
            )
        start, end, _ = (int(place[0]) for place in places)
        control = {id for id, token in tokenizer.added_tokens_decoder.items() if token.special}
        return cls(
            tokenizer=tokenizer,
            vocabulary=vocabulary,
            before=ids[:start],
            between=ids[end + 1 : -1],
            control=frozenset(control | set(vocabulary.code_ids.tolist())),
        )

    @cached_property
    def frames(self) -> dict[Task, tuple[np.ndarray, np.ndarray]]:
        """Of each task, the ids before the user's piece and those between it and the answer.

        Raises:
            LlasaError: The chat template loses a mark.
        """
        vocabulary = self.vocabulary
        found: dict[Task, tuple[np.ndarray, np.ndarray]] = {"tts": (self.before, self.between)}
        others: tuple[Task, ...] = ("asr", "continue", "interleave")
        if min(vocabulary.writing_start, vocabulary.heard_start) < 0:
            return found
        for task in others:
            answer = WRITING_START if task == "asr" else SPEECH_START
            asked = f"{TASKS[task]}{HEARD_START}{HEARD_END}"
            text = render_chat(self.tokenizer, asked, answer)
            ids = np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
            start = np.flatnonzero(ids == vocabulary.heard_start)
            end = np.flatnonzero(ids == vocabulary.heard_end)
            if len(start) != 1 or len(end) != 1 or len(ids) < end[0] + 2:
                raise LlasaError(f"the chat template does not keep the marks of {task} in place")
            found[task] = ids[: start[0]], ids[end[0] + 1 : -1]
        return found

    def symbol_ids(self, text: str) -> np.ndarray:
        """(L,) int64 ids of a text of any characters, marks alone too."""
        return np.array(self.tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)

    def text_ids(self, text: str) -> np.ndarray:
        """(L,) int64 ids of a text alone.

        Raises:
            LlasaError: When it has nothing to speak, holds control tokens, or a letter or digit
                that the tokenizer does not know.
        """
        if not is_speakable(text):
            raise LlasaError(
                f"no speakable characters in {shorten(text)!r}: give letters or digits"
            )
        encoded = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=self.tokenizer.is_fast
        )
        ids = encoded["input_ids"]
        spans = encoded.get("offset_mapping") or [(0, len(text))] * len(ids)
        for id, (start, stop) in zip(ids, spans, strict=True):
            if id == self.tokenizer.unk_token_id and text[start:stop] != self.tokenizer.unk_token:
                raise self.unknown(text, start, stop)
            if id in self.control:
                token = self.tokenizer.convert_ids_to_tokens(id)
                raise LlasaError(f"the text holds the control token {token}; remove it")
        if self.tokenizer.is_fast:  # some vocabularies drop what they do not know
            place = 0
            for start, stop in sorted(spans):
                if is_speakable(text[place:start]):
                    raise self.unknown(text, place, start)
                place = max(place, stop)
            if is_speakable(text[place:]):
                raise self.unknown(text, place, len(text))
        return np.array(ids, np.int64)

    def unknown(self, text: str, start: int, stop: int) -> LlasaError:
        """The error that names the first character of text[start:stop] that has no token."""
        unknown_id = self.tokenizer.unk_token_id
        characters = [character for character in text[start:stop] if not character.isspace()]

        def has_no_token(character: str) -> bool:
            ids = self.tokenizer(character, add_special_tokens=False)["input_ids"]
            return not ids or unknown_id in ids

        first = next(filter(has_no_token, characters), "".join(characters))
        points = " ".join(f"U+{ord(character):04X}" for character in first)
        return LlasaError(
            f"the tokenizer does not know the character {first!r} ({points}) in "
            f"{shorten(text)!r}: write it in other characters, or take another tokenizer"
        )

    def prompt(
        self, text: str, voice_text: str = "", voice_codes: np.ndarray | None = None
    ) -> np.ndarray:
        """(L,) int64: the whole prompt for a text; in the voice of a transcript with its codes (T,)
        when given.
        """
        vocabulary = self.vocabulary
        spoken = f"{voice_text} {text}" if voice_text else text
        row = [
            vocabulary.text_start,
            *self.text_ids(spoken),
            vocabulary.text_end,
            vocabulary.speech_start,
            *vocabulary.to_ids([] if voice_codes is None else voice_codes),
        ]
        return self.in_chat(np.array(row, np.int64))

    def prompt_after_clip(self, text: str, codes: np.ndarray) -> np.ndarray:
        """(L,) int64: the whole prompt for a text in the voice of a clip's codes (T,), which are
        heard before it; for models on a phoneme track, whose speech has more than codes in it.

        Raises:
            LlasaError: The tokenizer has no marks for it, or as in `prompt`.
        """
        vocabulary = self.vocabulary
        if vocabulary.heard_start < 0:
            raise LlasaError("this tokenizer has no marks for a voice that is heard")
        heard = [vocabulary.heard_start, *vocabulary.to_ids(codes), vocabulary.heard_end]
        asked = [vocabulary.text_start, *self.text_ids(text), vocabulary.text_end]
        return self.in_chat(np.array([*heard, *asked, vocabulary.speech_start], np.int64))

    def asr_prompt(self, codes: np.ndarray) -> np.ndarray:
        """(L,) int64: the whole prompt for writing what codes (T,) say.

        Raises:
            LlasaError: The tokenizer has no marks for it.
        """
        vocabulary = self.vocabulary
        if min(vocabulary.writing_start, vocabulary.heard_start) < 0:
            raise LlasaError("this tokenizer has no marks for transcription")
        row = [vocabulary.heard_start, *vocabulary.to_ids(codes), vocabulary.heard_end]
        return self.in_chat(np.array([*row, vocabulary.writing_start], np.int64))

    def in_chat(self, row: np.ndarray) -> np.ndarray:
        """(L,) of a row of any task, complete or not → the same with the chat around it."""
        cut = self.answer_start(row)
        before, between = self.frames[self.task_of(row)]
        return np.concatenate([before, row[:cut], between, row[cut:]])

    def answer_start(self, row: np.ndarray) -> int:
        """Where the assistant's pieces begin in a row (L,)."""
        given = self.vocabulary.text_start not in row
        end = self.vocabulary.heard_end if given else self.vocabulary.text_end
        return int(np.argmax(row == end)) + 1

    def text_start(self, row: np.ndarray) -> int:
        """Where the text that is given begins in a row (L,) to speak."""
        return int(np.argmax(row == self.vocabulary.text_start)) + 1

    def task_of(self, row: np.ndarray) -> Task:
        """Which task a row (L,) is of, by its marks."""
        vocabulary = self.vocabulary
        answers = row[np.isin(row, [vocabulary.speech_start, vocabulary.writing_start])]
        if len(answers) > 1:
            return "interleave"
        if vocabulary.text_start in row:
            return "tts"
        return "asr" if answers[0] == vocabulary.writing_start else "continue"


def is_speakable(text: str) -> bool:
    """Whether any character is a letter or a digit of some script."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def split_text(text: str, limit: int = CHUNK) -> list[str]:
    """Text in pieces of at most `limit` characters, cut at sentence ends, then at commas, then at
    spaces.

    No character but white space is lost at the cuts. Pieces with nothing to speak join the one
    before. Raises LlasaError when there is nothing to speak at all.
    """
    if not is_speakable(text):
        raise LlasaError(f"no speakable characters in {shorten(text)!r}: give letters or digits")
    pieces: list[str] = []
    for sentence in cut_at(SENTENCE_END, text.strip()):
        parts = [sentence] if len(sentence) <= limit else cut_at(CLAUSE_END, sentence)
        for part in parts:
            pieces.extend([part] if len(part) <= limit else cut_at_spaces(part, limit))
    chunks: list[str] = []
    for piece in pieces:
        joined = f"{chunks[-1]} {piece}" if chunks else piece
        if chunks and (
            len(joined) <= limit or not is_speakable(piece) or not is_speakable(chunks[-1])
        ):
            chunks[-1] = joined
        else:
            chunks.append(piece)
    return chunks


def cut_at(boundary: re.Pattern[str], text: str) -> list[str]:
    """The text in pieces that end where `boundary` matches; closing quotes stay with what they
    close.
    """
    pieces, start = [], 0
    for match in boundary.finditer(text):
        pieces.append(text[start : match.end()].strip())
        start = match.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]


def cut_at_spaces(text: str, limit: int) -> list[str]:
    """Pieces of at most `limit` characters, between words where there are spaces."""
    pieces = []
    while len(text) > limit:
        space = text.rfind(" ", 1, limit + 1)
        cut = space if space > 0 else limit
        pieces.append(text[:cut].strip())
        text = text[cut:].strip()
    return [*pieces, text] if text else pieces


def shorten(text: str, limit: int = 40) -> str:
    """The beginning of a text, for messages."""
    return text if len(text) <= limit else f"{text[:limit]}…"
