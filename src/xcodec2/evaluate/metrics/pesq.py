"""PESQ (ITU-T P.862), wide and narrow band, by the package pesq."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch

from xcodec2.errors import UndefinedError
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair


class PESQ(Metric):
    """Quality as a telephone's listeners would rate it; aligned in time and level by itself."""

    name = "pesq"
    columns = (
        Column("pesq_wb", "PESQ-WB", "higher", 2,
               "quality, wide band, 1 to 4.64", against_rate=True),
        Column("pesq_nb", "PESQ-NB", "higher", 2,
               "quality, narrow band, 1 to 4.55", against_rate=True),
    )  # fmt: skip
    needs = ("pesq",)

    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """pesq_wb and pesq_nb; not defined without an utterance in both waveforms."""
        import pesq

        if not pair.decoded.any():
            raise UndefinedError("nothing to hear")
        try:
            with flushed_denormals():
                return {
                    f"pesq_{mode}": float(
                        pesq.pesq(pair.sample_rate, pair.original, pair.decoded, mode)
                    )
                    for mode in ("wb", "nb")
                }
        except (pesq.PesqError, ValueError, ZeroDivisionError) as problem:
            said = " ".join(str(p.decode() if isinstance(p, bytes) else p) for p in problem.args)
            raise UndefinedError(said or type(problem).__name__) from problem


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Numbers below the smallest normal one count as 0 in this thread.

    PESQ's filters run on into the silence that it puts around speech: half of its time would go
    into numbers that no score depends on.
    """
    if np.float64(sys.float_info.min) / 2 == 0:  # the caller has it so
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
