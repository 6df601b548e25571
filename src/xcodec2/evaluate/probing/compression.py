"""How far codes can be compressed: by n-grams, and by merging frequent neighbors (BPE)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from xcodec2.evaluate.probing.metric import TokenMetric, Tokens
from xcodec2.evaluate.probing.split import for_training
from xcodec2.extras import require

ORDERS = (1, 2, 3)
MAX_MERGES = 2_000
FIRST_CHARACTER = 0x10000  # codes are written as characters from here: 65,536 of them have place
MAX_CHARACTERS = 0x10FFFF - FIRST_CHARACTER


class Compressibility(TokenMetric):
    """Bits a second that an n-gram model needs for unseen recordings, and how many codes BPE puts
    into a token there.
    """

    name = "compression"
    lines: ClassVar[Mapping[str, str]] = {
        "bit/s by unigrams, held out": "ngram_1:.0f",
        "bit/s by bigrams, held out": "ngram_2:.0f",
        "bit/s by trigrams, held out": "ngram_3:.0f",
        "BPE merges": "bpe_merges:,",
        "codes a BPE token, held out": "bpe_codes:.3f",
    }
    of_languages: ClassVar[Mapping[str, str]] = {"ngram_2": "bit/s by bigrams"}

    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Rates and counts; None where recordings are too few to hold some out."""
        learn = [for_training(row["id"]) for row in tokens.rows]
        training = [c for c, mine in zip(tokens.codes, learn, strict=True) if mine and len(c)]
        rest = [c for c, mine in zip(tokens.codes, learn, strict=True) if not mine and len(c)]
        if not training or not rest:
            return None
        size = tokens.system.tokenizer.codebook_size
        number = sum(map(len, rest))
        result: dict[str, Any] = {"held_out_codes": number}
        bits = ngram_bits(training, rest, size, max(ORDERS))
        for order in ORDERS:
            result[f"ngram_{order}"] = bits[order - 1] * tokens.frame_rate
        if size <= MAX_CHARACTERS:
            merges, after = bpe(training, rest)
            result |= {"bpe_merges": merges, "bpe_codes": number / after}
        return result


def ngram_bits(
    training: Sequence[np.ndarray], rest: Sequence[np.ndarray], size: int, order: int
) -> list[float]:
    """Bits a code of n-gram models, each mixed with the shorter ones (Witten and Bell, 1991).

    The shortest one is mixed with all codes alike, so that no code is impossible.

    Args:
        training: (T,) codes of each recording to learn from.
        rest: (T,) codes of each recording to measure on.
        size: Of the codebook.
        order: Of the longest model.

    Returns:
        Bits for order 1, 2, … `order`; a recording's first codes have shorter histories.
    """
    counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for codes in training:
        row = codes.tolist()
        for place, code in enumerate(row):
            for length in range(min(order - 1, place) + 1):
                counts[tuple(row[place - length : place])][code] += 1
    totals = {history: sum(found.values()) for history, found in counts.items()}
    bits = np.zeros(order)
    for codes in rest:
        row = codes.tolist()
        for place, code in enumerate(row):
            chance = 1 / size
            for length in range(order):
                history = tuple(row[place - length : place]) if length <= place else None
                if history is not None and history in totals:
                    found, total = counts[history], totals[history]
                    chance = (found.get(code, 0) + len(found) * chance) / (total + len(found))
                bits[length] -= math.log2(chance)
    measured: list[float] = (bits / sum(map(len, rest))).tolist()
    return measured


def bpe(training: Sequence[np.ndarray], rest: Sequence[np.ndarray]) -> tuple[int, int]:
    """Merge the most frequent neighbors, again and again (Gage, 1994).

    Args:
        training: (T,) codes of each recording to learn from.
        rest: (T,) codes of each recording to measure on.

    Returns:
        How many merges were learned, at most `MAX_MERGES`, all met at least twice; and how many
        tokens `rest` has with them.
    """
    tokenizers = require("tokenizers", extra="evaluate", purpose="BPE of codes")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    alphabet = {chr(FIRST_CHARACTER + code) for codes in (*training, *rest) for code in codes}
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=len(alphabet) + MAX_MERGES,
        min_frequency=2,
        initial_alphabet=sorted(alphabet),
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    model.train_from_iterator(map(codes_as_text, training), trainer)
    tokens = sum(len(model.encode(codes_as_text(codes)).ids) for codes in rest)
    return model.get_vocab_size() - len(alphabet), tokens


def codes_as_text(codes: np.ndarray) -> str:
    """Codes as characters."""
    return "".join(chr(FIRST_CHARACTER + code) for code in codes.tolist())
