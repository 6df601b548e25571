"""Tables to look rows up in, on disk: memory does not grow with a corpus."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from xcodec2.errors import XCodec2Error


class Lookup:
    """Names → texts, in SQLite's temporary file."""

    def __init__(self, pairs: Iterable[tuple[str, str]], what: str) -> None:
        # a reader that is left half-way may be cleared away by another thread than began it
        self.database = sqlite3.connect("", check_same_thread=False)
        self.database.execute("CREATE TABLE found (name TEXT PRIMARY KEY, value TEXT)")
        for pair in pairs:
            try:
                self.database.execute("INSERT INTO found VALUES (?, ?)", pair)
            except sqlite3.IntegrityError as problem:
                raise XCodec2Error(f"{what}: holds {pair[0]!r} twice") from problem

    def get(self, name: str) -> str | None:
        """The value of a name; None where there is none."""
        row = self.database.execute("SELECT value FROM found WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Remove the table."""
        self.database.close()

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values, in the order in which they came."""
        return self.database.execute("SELECT name, value FROM found ORDER BY rowid")
