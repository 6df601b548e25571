"""Metrics: one class in one file each; a new one is added to `METRICS` and nowhere else."""

from __future__ import annotations

import dataclasses

from xcodec2.evaluate.metrics.distillmos import DistillMOS
from xcodec2.evaluate.metrics.dnsmos import DNSMOS
from xcodec2.evaluate.metrics.f0 import F0
from xcodec2.evaluate.metrics.invariance import Invariance
from xcodec2.evaluate.metrics.mel import MelDistance
from xcodec2.evaluate.metrics.metric import Column, Metric, Pair
from xcodec2.evaluate.metrics.pesq import PESQ
from xcodec2.evaluate.metrics.si_sdr import SISDR
from xcodec2.evaluate.metrics.speaker import SpeakerSimilarity
from xcodec2.evaluate.metrics.stoi import STOI
from xcodec2.evaluate.metrics.unit_edit import UnitEdit
from xcodec2.evaluate.metrics.wer import WordErrors

__all__ = ["COLUMNS", "DEFAULTS", "METRICS", "NAMES", "Column", "Metric", "Pair", "columns_of"]

METRICS: tuple[type[Metric], ...] = (
    STOI,
    PESQ,
    MelDistance,
    SISDR,
    F0,
    DNSMOS,
    DistillMOS,
    SpeakerSimilarity,
    WordErrors,
    Invariance,
    UnitEdit,
)  # in the order of tables


def columns_of(*metrics: type[Metric] | Metric) -> dict[str, Column]:
    """The columns of metrics by their names, each with its metric's name."""
    return {
        column.name: dataclasses.replace(column, metric=metric.name)
        for metric in metrics
        for column in metric.columns
    }


NAMES = tuple(metric.name for metric in METRICS)
DEFAULTS = tuple(metric.name for metric in METRICS if metric.default)
COLUMNS = columns_of(*METRICS)
