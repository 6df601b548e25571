"""Ids as names of files: below their folder, on every file system, no two the same."""

from __future__ import annotations

import hashlib
import itertools
import re
import sqlite3
import unicodedata
from collections.abc import Callable
from contextlib import closing
from types import TracebackType

MAX_PART_BYTES = 240  # of 255 that file systems take, with room for a suffix
MAX_BYTES = 900  # of 1024 that object stores and macOS take for a whole path
# control and direction characters, what Windows refuses, and separators that are none here
UNFIT = re.compile(
    r'[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff<>:"\\|?*]'
)
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)


class Names:
    """Gives each id of an export a name of its own, the one that `nearest` makes of it if it can.

    Two names count as the same when they differ in case or in Unicode's forms alone, as they do on
    macOS and Windows. Those given lie in SQLite's temporary file, not in memory.
    """

    def __init__(self, nearest: Callable[[str], str]) -> None:
        self.nearest = nearest
        self.given = closing(sqlite3.connect(""))
        self.database = self.given.__enter__()
        self.database.execute("CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID")

    def name(self, id: str) -> str:
        """Folders and file name, without a suffix."""
        name = nearest = self.nearest(id)
        for attempt in itertools.count():
            folded = unicodedata.normalize("NFC", name).casefold()
            added = self.database.execute("INSERT OR IGNORE INTO names VALUES (?)", (folded,))
            if added.rowcount:
                break
            name = marked(nearest, id + "\0" * attempt)
        return name

    def __enter__(self) -> Names:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.given.__exit__(kind, problem, trace)


def clean(id: str) -> str:
    """The nearest relative path that every file system takes; the id itself where it is one."""
    parts = [clean_part(part) for part in id.split("/") if part not in ("", ".")]
    *folders, last = parts or ["_"]
    # a file of the same name may lie beside a folder that ends in the suffix of files
    folders = [f"{name}_" if name.lower().endswith((".npy", ".json")) else name for name in folders]
    name = "/".join([*folders, last])
    return marked(name, id) if len(name.encode()) > MAX_BYTES else name


def key(id: str) -> str:
    """As `clean`, for a WebDataset: a key ends at the first dot of its last part, and readers pass
    over members that are called `__…__`.
    """
    name = clean(id).replace(".", "_")
    return f"id{name}" if re.match(r"__[^/]*__(/|$)", name) else name


def clean_part(part: str) -> str:
    """One part of a path as every system takes it."""
    part = UNFIT.sub("_", part)
    if part == "..":
        return "__"
    if part.endswith((" ", ".")):
        part = f"{part[:-1]}_"
    if DEVICES.fullmatch(part):
        part = f"_{part}"
    return part if len(part.encode()) <= MAX_PART_BYTES else marked(part, part)


def marked(name: str, id: str) -> str:
    """`name`, cut where it is too long, and a mark that depends on the id alone."""
    digest = hashlib.sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    folder, _, last = name.rpartition("/")
    if len(name.encode()) > MAX_BYTES:
        folder = ""
    short = last.encode()[: MAX_PART_BYTES - 13].decode(errors="ignore")
    return f"{folder}/{short}~{digest}" if folder else f"{short}~{digest}"
