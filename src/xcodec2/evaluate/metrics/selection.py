"""From the names, classes and objects that a user gives to the metrics of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.metrics import (
    COLUMNS,
    DEFAULTS,
    METRICS,
    NAMES,
    Column,
    Metric,
    columns_of,
)
from xcodec2.plugins import load_object

#: What rows hold besides metrics.
RESERVED = frozenset(
    [
        "id",
        "source",
        "content",
        "system",
        "seconds",
        "bit_rate",
        "codes",
        "error",
        "undefined",
        "columns",
    ]
    + [count for metric in METRICS for count in metric.counts]
)


@dataclass(frozen=True)
class Selection:
    """What to measure, small enough to be sent to other processes.

    Attributes:
        metrics: Names of `NAMES`, users' own as `module:Class` or `file.py:Class`, or objects.
        asr: What `wer` listens with.
        speaker_encoder: What `speaker` compares voices with.
    """

    metrics: tuple[str | type[Metric] | Metric, ...] = DEFAULTS
    asr: str = "moonshine"
    speaker_encoder: str = "resemblyzer"


class MetricSet:
    """The metrics of a selection, loaded.

    Attributes:
        loaded: Metric by name.
        missing: Name → why it cannot be measured here.
        implementations: Name → what makes it.

    Raises:
        XCodec2Error: A metric does not exist, or a user's own is no usable one.
    """

    def __init__(self, selection: Selection) -> None:
        self.loaded: dict[str, Metric] = {}
        self.missing: dict[str, str] = {}
        self.implementations: dict[str, str] = {}
        builtin = {metric.name: metric for metric in METRICS}
        options: dict[str, tuple[str, ...]] = {
            "wer": (selection.asr,),
            "speaker": (selection.speaker_encoder,),
        }
        for item in dict.fromkeys(selection.metrics):
            if isinstance(item, str) and item in builtin:
                try:
                    metric: Any = builtin[item](*options.get(item, ()))
                except XCodec2Error as problem:
                    self.missing[item] = str(problem)
                    continue
            else:
                metric = own_metric(item, {*builtin, *self.loaded}, {*COLUMNS, *self.columns})
            self.loaded[metric.name] = metric
            self.implementations[metric.name] = metric.implementation

    @property
    def columns(self) -> dict[str, Column]:
        """All built-in columns, then those of users' own metrics."""
        return COLUMNS | columns_of(*self.loaded.values())

    def to_measure(self, done: dict[str, str]) -> tuple[Metric, ...]:
        """The metrics that earlier work, metric → implementation, does not cover."""
        hows = self.implementations
        return tuple(m for name, m in self.loaded.items() if done.get(name) != hows[name])


def own_metric(item: Any, names: set[str], columns: set[str]) -> Metric:
    """A user's own metric, checked.

    Args:
        item: `module:Class`, `file.py:Class`, a class, or an object.
        names: Of metrics that are there.
        columns: That are there.

    Returns:
        The metric.

    Raises:
        XCodec2Error: It is none, cannot be made, or takes a name that is taken.
    """
    label = item if isinstance(item, str) else getattr(item, "__name__", type(item).__name__)
    if isinstance(item, str):
        if ":" not in item:
            raise XCodec2Error(
                f"no metric is called {item}; there are {', '.join(NAMES)}, and your own as "
                "module:Class"
            )
        item = load_object(item)
    if isinstance(item, type):
        try:
            item = item()
        except XCodec2Error:
            raise
        except Exception as problem:  # a user's class may raise anything
            raise XCodec2Error(
                f"{label}: cannot be made ({type(problem).__name__}: {problem})"
            ) from problem
    if not isinstance(item, Metric):
        raise XCodec2Error(f"{label}: is no metric; derive the class from xcodec2.evaluate.Metric")
    own = getattr(item, "columns", ())
    if not isinstance(getattr(item, "name", None), str) or not own:
        raise XCodec2Error(f"{label}: needs a name and columns")
    if not all(isinstance(column, Column) for column in own):
        raise XCodec2Error(f"{label}: columns must be xcodec2.evaluate.Column objects")
    if item.name in names or item.name == "none" or set(",:") & set(item.name):
        raise XCodec2Error(f"{label}: a metric cannot be called {item.name!r}, or is so already")
    for name in item.gives:
        if name in columns | RESERVED or name.startswith("column_"):
            raise XCodec2Error(f"{label}: its column {name!r} is there already; rename it")
    return item
