"""What has been measured so far, one JSON line each: a run that is killed resumes from here.

An entry belongs to a key (recording's samples, system, text, language) and says which metrics made
it, with their implementations, so that another run adds metrics or systems and repeats nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from xcodec2.errors import XCodec2Error

NAME = "rows.jsonl"


class Journal:
    """The entries of a folder.

    Lines are appended and flushed; half a line, from a run that was killed, is dropped.

    Args:
        folder: Of the report.

    Raises:
        XCodec2Error: The file is damaged, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.entries: dict[str, dict[str, Any]] = {}
        whole = 0
        if self.path.exists():
            for line in self.path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                self._take(line)
                whole += len(line)
        try:
            self.file = self.path.open("ab")
            self.file.truncate(whole)
        except OSError as problem:
            raise XCodec2Error(f"{self.path}: cannot be written ({problem.strerror})") from problem

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            key, made, row = entry["key"], entry["made"], entry["row"]
        except (ValueError, KeyError, TypeError) as problem:
            raise XCodec2Error(
                f"{self.path}: is damaged; remove it to measure everything again"
            ) from problem
        self._merge(key, made, row)

    def _merge(self, key: str, made: dict[str, str], row: dict[str, Any]) -> None:
        known = self.entries.setdefault(key, {"made": {}, "row": {}})
        if "error" in known["row"]:  # it was tried again
            known["made"], known["row"] = {}, {}
        reasons = known["row"].get("undefined", {})
        kept = {name: why for name, why in reasons.items() if name not in made}
        known["made"].update(shared(made))
        known["row"].update(shared(row), undefined=kept | row.get("undefined", {}))
        for column in [name for name, value in row.items() if value is None]:
            del known["row"][column]

    def add(self, key: str, made: dict[str, str], row: dict[str, Any]) -> None:
        """Keep a new entry, on disk before anything else happens.

        Args:
            key: See `measure.row_key`.
            made: Metric → implementation.
            row: What they gave; None for a column that an earlier implementation gave.

        Raises:
            XCodec2Error: The file cannot be written.
        """
        self._merge(key, made, row)
        line = json.dumps(
            {"key": key, "made": made, "row": row}, ensure_ascii=False, separators=(",", ":")
        )
        try:
            self.file.write(line.encode() + b"\n")
            self.file.flush()
        except OSError as problem:
            raise XCodec2Error(f"{self.path}: cannot be written ({problem.strerror})") from problem

    def made(self) -> dict[str, dict[str, str]]:
        """Key → metric → implementation, of what need not be measured again; failures are."""
        return {key: e["made"] for key, e in self.entries.items() if "error" not in e["row"]}

    def row(self, key: str) -> dict[str, Any]:
        """All that is known for a key."""
        return dict(self.entries[key]["row"])

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def shared(values: dict[str, Any]) -> dict[str, Any]:
    """The same with one copy of each string for all entries: those of lines read or of other
    processes have their own, most of what an entry takes.
    """
    return {
        sys.intern(name): sys.intern(value) if type(value) is str else value
        for name, value in values.items()
    }
