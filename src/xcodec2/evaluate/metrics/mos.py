"""What DNSMOS and DistillMOS have in common."""

from __future__ import annotations

from collections.abc import Mapping

from xcodec2 import evaluators
from xcodec2.evaluate.metrics.metric import Metric, Pair


class PredictedMOS(Metric):
    """The opinion that listeners would have, without a reference, by the predictor of its name."""

    cost = "high"

    def __init__(self) -> None:
        super().__init__()
        self.predictor = evaluators.mos_predictor(self.name)

    @property
    def implementation(self) -> str:
        """The predictor's."""
        return self.predictor.implementation

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """The column of the metric's name, 1 to 5; not defined for silence."""
        return {self.name: self.predictor.score(pair.decoded)}
