"""What a server writes of a phoneme track: its phonemes, and, where it shows them, pauses and
durations, among the codes.
"""

from __future__ import annotations

import re

import numpy as np

from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.text.phonemes import ALPHABET
from xcodec2.llasa.vocabulary import PAUSE

SYMBOL = re.compile(r"<\|(?:pause|d_[0-9]{1,3})\|>")
BEGINNING = re.compile(r"<(\|(d(_([0-9]{1,3}\|?)?)?)?)?")


class TrackText:
    """Reads the answer to one prompt.

    Args:
        prompts: Of the tokenizer.
        prompt: (P,) ids, with the phonemes that are to be said.
    """

    def __init__(self, prompts: Prompts, prompt: np.ndarray) -> None:
        vocabulary = prompts.vocabulary
        start = int(np.argmax(prompt == vocabulary.text_start)) + 1
        end = int(np.argmax(prompt == vocabulary.text_end))
        self.wanted = str(prompts.tokenizer.decode(prompt[start:end].tolist()))
        self.said = ""

    @property
    def said_all(self) -> bool:
        """Whether the phonemes are those of the prompt, each once."""
        return self.said == self.wanted

    def codes_of(self, text: str) -> str:
        """A text without what stands before its next code."""
        place = 0
        while place < len(text):
            if match := SYMBOL.match(text, place):
                place = match.end()
            elif text[place] in ALPHABET:
                self.said += text[place]
                place += 1
            else:
                break
        return text[place:]


def could_begin_symbol(text: str) -> bool:
    """Whether a text may be the beginning of a pause or a duration that is still coming."""
    return PAUSE.startswith(text) or BEGINNING.fullmatch(text) is not None
