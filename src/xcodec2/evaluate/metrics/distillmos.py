"""DistillMOS."""

from __future__ import annotations

from xcodec2.evaluate.metrics.metric import Column
from xcodec2.evaluate.metrics.mos import PredictedMOS


class DistillMOS(PredictedMOS):
    """Quality by DistillMOS."""

    name = "distillmos"
    columns = (
        Column("distillmos", "DistillMOS", "higher", 2,
               "quality without a reference, 1 to 5", against_rate=True),
    )  # fmt: skip
