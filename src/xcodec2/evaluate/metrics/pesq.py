"""PESQ (ITU-T P.862), wide and narrow band, by the package pesq."""

from __future__ import annotations

from collections.abc import Mapping

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
            return {
                f"pesq_{mode}": float(
                    pesq.pesq(pair.sample_rate, pair.original, pair.decoded, mode)
                )
                for mode in ("wb", "nb")
            }
        except (pesq.PesqError, ValueError, ZeroDivisionError) as problem:
            said = " ".join(str(p.decode() if isinstance(p, bytes) else p) for p in problem.args)
            raise UndefinedError(said or type(problem).__name__) from problem
