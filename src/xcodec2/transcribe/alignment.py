"""When each symbol of a known text is said: the likeliest path of CTC through it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xcodec2.errors import TranscriptionError
from xcodec2.transcribe.decoding import BLANK


def durations(log_probabilities: np.ndarray, target: Sequence[int]) -> list[int]:
    """How many codes each symbol lasts, the silence before the first and behind the last included.

    A blank between two symbols is shared by them, for CTC only says where each is surest.

    Args:
        log_probabilities: (T, S) of each code.
        target: N symbols, without blanks.

    Returns:
        N + 2 numbers whose sum is T.

    Raises:
        TranscriptionError: There are fewer codes than the symbols need.
    """
    states = likeliest_states(np.asarray(log_probabilities, np.float64), target)
    lengths = np.zeros(len(target) + 2, np.int64)
    for place, state in enumerate(states):
        if state % 2:
            lengths[(state + 1) // 2] += 1
        elif state == 0:
            lengths[0] += 1
        elif state == 2 * len(target):
            lengths[-1] += 1
        else:  # a blank between symbols state / 2 and the next: half of its run to each
            begin, end = np.searchsorted(states, [state, state + 1])
            lengths[state // 2 + int(2 * (place - begin) >= end - begin)] += 1
    return [int(length) for length in lengths]


def likeliest_states(scores: np.ndarray, target: Sequence[int]) -> np.ndarray:
    """(T,) of the likeliest path: 2 n is the blank before symbol n, 2 n + 1 the symbol.

    Raises:
        TranscriptionError: There are fewer codes than the symbols need.
    """
    count = 2 * len(target) + 1
    symbols = np.full(count, BLANK)
    symbols[1::2] = target
    skips = np.zeros(count, bool)  # a symbol may follow another one without a blank between
    skips[3::2] = symbols[3::2] != symbols[1:-2:2]
    best = np.full(count, -np.inf)
    best[0], best[1:2] = 0, 0  # before the first code
    steps = np.zeros((len(scores), count), np.int8)
    for place, row in enumerate(scores[:, symbols]):
        ways = np.full((3, count), -np.inf)
        ways[0] = best
        if place:
            ways[1, 1:] = best[:-1]
            ways[2, 2:] = np.where(skips[2:], best[:-2], -np.inf)
        steps[place] = ways.argmax(0)
        best = ways.max(0) + row
    state = count - 1 if count == 1 or best[-1] >= best[-2] else count - 2
    if not len(scores) or not np.isfinite(best[state]):
        raise TranscriptionError(f"{len(scores)} codes are too few for {len(target)} symbols")
    states = np.empty(len(scores), np.int64)
    for place in range(len(scores) - 1, -1, -1):
        states[place] = state
        state -= int(steps[place, state])
    return states
