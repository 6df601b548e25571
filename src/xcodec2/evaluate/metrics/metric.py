"""What a metric is: one class, which says its columns and computes them from a pair of waveforms.

Examples:
    >>> from xcodec2.evaluate import Column, Metric, Pair, evaluate
    >>> class Peak(Metric):
    ...     name, columns = "peak", (Column("peak_ratio", "peak", digits=2),)
    ...     def __call__(self, pair):
    ...         return {"peak_ratio": abs(pair.decoded).max() / abs(pair.original).max()}
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE
from xcodec2.extras import require

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """One number of a recording, and how tables and plots show it.

    Attributes:
        name: In rows.parquet and summary.json.
        title: In tables.
        better: Which values are the better ones; "" where neither are.
        digits: Digits after the point, in tables.
        note: What it is, with its unit and range.
        ratio: The counts whose sums over all recordings give the mean; a mean of values without it.
        against_rate: Whether it is plotted against the bit rate.
        per_file: Whether it is shown beside each of the worst files.
        metric: The metric it belongs to; filled in when metrics are loaded.
    """

    name: str
    title: str
    better: Literal["higher", "lower", ""] = ""
    digits: int = 3
    note: str = ""
    ratio: tuple[str, str] | None = None
    against_rate: bool = False
    per_file: bool = True
    metric: str = ""


Columns = Mapping[str, Column]  # by name, in the order of tables


@dataclass(frozen=True)
class Pair:
    """A recording and what a system made of it; (N,) float32 at 16 kHz, equally long.

    Attributes:
        original: What went in; never silent.
        decoded: What came back; finite, may be silent.
        text: The transcript, where the corpus has one.
        language: The recording's language, where the corpus names it.
        codes: The system's codes of the original, (T,) integers, where it has some.
        encode: Encodes other audio, (N,) float32 at 16 kHz → (T,), where the system has codes.
        cache: Behind `of_original`.
        sample_rate: 16,000 Hz.
    """

    original: np.ndarray
    decoded: np.ndarray
    text: str | None = None
    language: str | None = None
    codes: np.ndarray | None = None
    encode: Callable[[np.ndarray], np.ndarray] | None = None
    cache: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    sample_rate: int = SAMPLE_RATE

    def of_original(self, key: Hashable, compute: Callable[[np.ndarray], T]) -> T:
        """What depends on the original alone, computed once for all systems.

        Args:
            key: Names the computation.
            compute: Is called with the original, unless its result is there already.

        Returns:
            The result.
        """
        if key not in self.cache:
            self.cache[key] = compute(self.original)
        result: T = self.cache[key]
        return result


class Metric(ABC):
    """Gives one or more columns of a pair. Instances are made once in each process.

    Attributes:
        name: By which `--metrics` and `metrics=` choose it.
        columns: What it gives.
        counts: Integers that it gives besides, for `Column.ratio`.
        cost: "high" for what takes about a second a recording: `costly_sample` restricts these.
        needs: Modules it imports; those that are missing make the metric one of the missing ones.
        default: Whether it is measured when no metrics are named.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    counts: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[Literal["low", "high"]] = "low"
    needs: ClassVar[tuple[str, ...]] = ()
    default: ClassVar[bool] = True

    def __init__(self) -> None:
        if self.needs:
            require(*self.needs, extra="evaluate", purpose=self.columns[0].title)

    @property
    def implementation(self) -> str:
        """What makes the numbers, with versions: another one has old rows measured again.

        By default the packages needed with their versions or, where there are none, the class and
        a digest of the file that it is in.

        Raises:
            XCodec2Error: The class stands in no file, such as one typed into a shell.
        """
        if type(self).__module__.startswith("xcodec2."):
            return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in self.needs)
        try:
            source = Path(inspect.getfile(type(self))).read_bytes()
        except (OSError, TypeError) as problem:
            raise XCodec2Error(
                f"{type(self).__name__} is in no file: give it an `implementation`, a string that "
                "changes when its results do"
            ) from problem
        digest = hashlib.sha256(source).hexdigest()[:16]
        return f"{type(self).__name__} of {Path(inspect.getfile(type(self))).name}, {digest}"

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of its columns and counts."""
        return (*(column.name for column in self.columns), *self.counts)

    @abstractmethod
    def __call__(self, pair: Pair) -> Mapping[str, float]:
        """Measure.

        Args:
            pair: A recording and what came back of it.

        Returns:
            Column → value. Columns may be left out; none are given where the metric does not apply.

        Raises:
            XCodec2Error: The metric is not defined for this pair; the message is the reason.
        """
