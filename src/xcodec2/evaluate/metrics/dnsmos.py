"""DNSMOS P.835."""

from __future__ import annotations

from xcodec2.evaluate.metrics.metric import Column
from xcodec2.evaluate.metrics.mos import PredictedMOS


class DNSMOS(PredictedMOS):
    """Overall quality by DNSMOS P.835."""

    name = "dnsmos"
    columns = (
        Column("dnsmos", "DNSMOS", "higher", 2,
               "overall quality without a reference, 1 to 5", against_rate=True),
    )  # fmt: skip
