"""STOI and ESTOI, by the package pystoi."""

from __future__ import annotations

from collections.abc import Mapping

from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.signal.stoi import estoi, stoi


class STOI(Metric):
    """Short-time objective intelligibility, plain and extended; in time to a few milliseconds."""

    name = "stoi"
    columns = (
        Column("stoi", "STOI", "higher", 3, "intelligibility, 0 to 1", against_rate=True),
        Column("estoi", "ESTOI", "higher", 3, "intelligibility, extended", against_rate=True),
    )
    needs = ("pystoi",)

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """stoi and estoi; not defined with fewer than 30 frames of speech, or for silence."""
        both = pair.original, pair.decoded, pair.sample_rate
        return {"stoi": stoi(*both), "estoi": estoi(*both)}
