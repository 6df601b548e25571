"""Whether the voice is still the same one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xcodec2 import evaluators
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair


class SpeakerSimilarity(Metric):
    """Cosine of the voices' embeddings.

    Args:
        encoder: As `evaluators.speaker_encoder` takes it.
    """

    name = "speaker"
    columns = (
        Column("speaker", "speaker", "higher", 3,
               "cosine of the voices' embeddings", against_rate=True),
    )  # fmt: skip

    def __init__(self, encoder: str = "resemblyzer") -> None:
        super().__init__()
        self.encoder = evaluators.speaker_encoder(encoder)

    @property
    def implementation(self) -> str:
        """The encoder's."""
        return self.encoder.implementation

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """speaker, -1 to 1; not defined for silence."""
        voice = pair.of_original(self.name, self.encoder.embed)
        return {"speaker": float(np.dot(voice, self.encoder.embed(pair.decoded)))}
