"""Codes of clean and of changed speech, made up: some changed, some lost, some put in, in runs."""

from __future__ import annotations

import numpy as np


def unit_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """(T,) and (T',) integers of eight recordings."""
    rng = np.random.default_rng(0)
    pairs = []
    for number in range(8):
        clean = np.repeat(rng.integers(0, 40, 30), rng.integers(1, 5, 30))
        noisy = clean.copy()
        changed = rng.random(len(noisy)) < 0.05 * number
        noisy[changed] = rng.integers(0, 40, int(changed.sum()))
        noisy = noisy[rng.random(len(noisy)) >= 0.04 * number]
        places = rng.integers(0, len(noisy), 2 * number)
        pairs.append((clean, np.insert(noisy, places, rng.integers(0, 40, len(places)))))
    return pairs
