"""How long each phoneme of a phoneme track lasts."""

from __future__ import annotations

import numpy as np


class Durations:
    """The durations of one sequence: what the model expects on average, at any temperature.

    What rounding to whole codes leaves over is handed on to the next phoneme: all together last
    what is expected of them. The likeliest and drawn ones were understood less often.
    """

    def __init__(self) -> None:
        self.left = 0.0  # codes that were expected so far, and not given

    def next(self, scores: np.ndarray, lasts: np.ndarray) -> int:
        """The place of the next duration among the choices.

        Args:
            scores: (A,) float32 of each choice.
            lasts: (A,) int64 codes of each choice.
        """
        chances = np.exp(scores.astype(np.float64) - scores.max())
        wanted = float(chances @ lasts / chances.sum()) + self.left
        place = int(np.abs(lasts - wanted).argmin())
        self.left = wanted - float(lasts[place])
        return place
