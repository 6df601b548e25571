"""What a corpus says beside its audio, in the types that shards of tokens have: text, numbers,
booleans, and lists and objects of them.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from xcodec2.corpus import Recording

INT64 = range(-(1 << 63), 1 << 63)
# pandas' own name for an index, the header it writes for one, and what it makes of that on reading
UNNAMED_INDEX = re.compile(r"|__index_level_\d+__|Unnamed: \d+")
PLAIN = frozenset({str, int, float, bool, type(None)})
BINARY = (bytes, bytearray, memoryview)


class Carried:
    """Makes the columns of recordings plain, and remembers what it did.

    changed: columns that held something else. binary: those of them that lost bytes.
    """

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.binary: set[str] = set()
        self.indices: set[str] = set()

    def of(self, recording: Recording) -> Recording:
        """The recording with plain columns; the same one where they are plain already."""
        columns: dict[str, Any] = {}
        changed = False
        for name, value in recording.columns.items():
            if UNNAMED_INDEX.fullmatch(name):
                self.indices.add(name)
            columns[name] = value if type(value) in PLAIN else self.plain(value, name)
            if columns[name] is not value:
                changed = True
                self.changed.add(name)
            if isinstance(value, BINARY):
                del columns[name]  # not even a column of nulls stays
        return replace(recording, columns=columns) if changed else recording

    def plain(self, value: Any, name: str) -> Any:
        """Numbers stay numbers, dates and times become ISO text, durations seconds, UUIDs text,
        bytes None; `value` itself when there is nothing to do.
        """
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, np.ndarray):
            value = value.tolist()
        if value is None or isinstance(value, (str, int, float)):
            return value
        if isinstance(value, BINARY):
            self.binary.add(name)
            return None
        if isinstance(value, Mapping):
            made = {str(key): self.plain(part, name) for key, part in value.items()}
            return value if all(made.get(key) is part for key, part in value.items()) else made
        if isinstance(value, (list, tuple)):
            items = [self.plain(part, name) for part in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        return scalar(value)

    def tell(self) -> None:
        """Warn of what the data set will lack, or have by accident."""
        if self.binary:
            warnings.warn(
                f"bytes cannot be carried along; without those of {', '.join(sorted(self.binary))}",
                stacklevel=3,
            )
        if self.indices:
            names = ", ".join(repr(name) for name in sorted(self.indices))
            warnings.warn(
                f"the column {names} looks like pandas' unnamed index and is carried along; "
                "write the manifest with index=False to leave it out",
                stacklevel=3,
            )


def scalar(value: Any) -> int | float | str:
    """One value of a type that Parquet, DuckDB or pandas know and JSON does not."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, (datetime.date, datetime.time)):  # a datetime is a date, too
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return str(value)  # a UUID, an interval of months


def number(value: Decimal) -> int | float | str:
    """A decimal as a number of the same value; as text where no 64 bits hold all its digits."""
    if not value.is_finite():
        return float(value)
    if int(value.as_tuple().exponent) >= 0:
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value)
