"""How long speech may become: a model that repeats itself, or goes silent, is stopped there.

Of phonemes it is known how long they are: hibari's, which spoke what the models of phonemes learn
from, has 3.3 codes of 20 ms a symbol, spaces and stress included, and silence at both ends (11,300
symbols of 200 sentences). Of text only so much is known: even slow speech has no more than so many
codes a letter, and a digit is a word.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from xcodec2.llasa.prompts import Prompts

CODES_A_SYMBOL, CODES_AT_ENDS = 3.3, 32  # of phonemes, at 50 codes a second
LONGEST = 1.6  # times what phonemes last, pauses included
FRAME_RATE = 50  # of these numbers
CODES_A_LETTER, LEAST_OF_TEXT = 12, 100  # of text, several times what is usual
LETTERS_A_DIGIT, LETTERS_A_SIGN = 6, 4  # a sign is what no Latin letter is: it may be a syllable


def expected_codes(symbols: int, frame_rate: int = FRAME_RATE) -> float:
    """How many codes a text of so many phonemes, spaces and marks lasts."""
    return (CODES_A_SYMBOL * symbols + CODES_AT_ENDS) * frame_rate / FRAME_RATE


def most_codes_of_phonemes(symbols: int, frame_rate: int = FRAME_RATE) -> int:
    """How many codes a text of so many phonemes, spaces and marks may have."""
    return math.floor(LONGEST * expected_codes(symbols, frame_rate))


def most_codes_of_text(text: str, frame_rate: int = FRAME_RATE) -> int:
    """How many codes a text may have, generously: no model that ends by itself comes near."""
    letters = sum(map(weight, text))
    return math.ceil((CODES_A_LETTER * letters + LEAST_OF_TEXT) * frame_rate / FRAME_RATE)


@lru_cache(maxsize=1024)
def weight(character: str) -> int:
    """Letters that a character is worth."""
    if character.isdigit():
        return LETTERS_A_DIGIT
    return 1 if character.isascii() or not character.isalnum() else LETTERS_A_SIGN


def most_codes(
    prompt: np.ndarray, prompts: Prompts, phonemes: bool, frame_rate: int = FRAME_RATE
) -> int | None:
    """How many codes may follow a prompt; those of a voice in it count.

    Args:
        prompt: (P,) ids.
        prompts: Of its tokenizer.
        phonemes: Whether it holds phonemes instead of text.
        frame_rate: Codes a second.

    Returns:
        At least 1; None for a prompt that asks for no speech.
    """
    vocabulary = prompts.vocabulary
    start = np.flatnonzero(prompt == vocabulary.text_start)
    end = np.flatnonzero(prompt == vocabulary.text_end)
    if len(start) != 1 or len(end) != 1 or end[0] < start[0]:
        return None
    ids = prompt[start[0] + 1 : end[0]]
    text = str(prompts.tokenizer.decode(ids.tolist()))
    if phonemes:
        most = most_codes_of_phonemes(len(text), frame_rate)
    else:
        most = most_codes_of_text(text, frame_rate)
    said = int(vocabulary.is_code(prompt[end[0] :]).sum())
    return max(1, most - said)
