"""A small set of labeled phones whose ABX errors a reference package was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xcodec2.corpus.labels import Interval

FRAME_RATE = 50
CODEBOOK = 24
PHONES = ("a", "b", "c", "d")


def abx_corpus() -> Iterator[tuple[str, str, np.ndarray, np.ndarray, list[Interval]]]:
    """Name, speaker, vectors (T, 5) float32, codes (T,), and phones of each recording.

    No phone has more instances than either side takes, so that neither draws a sample.
    """
    rng = np.random.default_rng(3)
    centers = rng.standard_normal((len(PHONES), 5))
    for number in range(9):
        speaker = f"s{number % 3}"
        voice = 0.6 * np.random.default_rng(number % 3).standard_normal(5)
        intervals, time, vectors = [Interval(0.0, 0.111, "sil")], 0.111, []
        for phone in [*rng.permutation(PHONES), *rng.permutation(PHONES)][:7]:
            end = time + float(rng.uniform(0.05, 0.2))
            intervals.append(Interval(time, end, str(phone)))
            time = end
        intervals.append(Interval(time, time + 0.1, "sil"))
        ends = np.array([interval.end for interval in intervals])
        for frame in range(int((time + 0.1) * FRAME_RATE)):
            phone = intervals[int(np.searchsorted(ends, (frame + 0.5) / FRAME_RATE))].phone
            center = centers[PHONES.index(phone)] if phone != "sil" else np.zeros(5)
            vectors.append(center + voice + 0.7 * rng.standard_normal(5))
        array = np.array(vectors, np.float32)
        projected = np.digitize(array[:, 0], np.linspace(-2, 2, 5)) * 4
        codes = projected + np.digitize(array[:, 1], (-1, 0, 1))
        yield f"r{number}", speaker, array, codes, intervals
