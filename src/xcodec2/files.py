"""Opening and writing single files so that a failure is one clear error and never half a file."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from xcodec2.errors import XCodec2Error


def open_regular(path: str | os.PathLike[str], error: type[XCodec2Error]) -> BinaryIO:
    """Open `path` for reading; a folder, a pipe or a device is refused, since reading it may never
    end.

    Raises `error` when the file is missing, cannot be opened or is empty.
    """
    check_path(path, error)
    try:
        status = os.stat(path)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            return open(path, "rb")
    except FileNotFoundError as problem:
        raise error(f"{path}: no such file") from problem
    except PermissionError as problem:
        raise error(f"{path}: no permission to read it") from problem
    except OSError as problem:
        raise error(f"{path}: cannot be opened ({problem.strerror})") from problem
    except ValueError as problem:  # a NUL byte or half a surrogate pair, which only repr can print
        raise error(f"{str(path)!r}: not a usable file name") from problem
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{path}: is a folder; a file is expected")
    if stat.S_ISREG(status.st_mode):
        raise error(f"{path}: is empty (0 bytes)")
    raise error(f"{path}: is not a regular file; save its content to a file first")


def check_path(path: object, error: type[XCodec2Error]) -> None:
    """Raise `error` for what is no path; os.stat would take a number for an open file."""
    if not isinstance(path, (str, os.PathLike)):
        raise error(f"a file is named by a path, not by {type(path).__name__}")


@contextmanager
def replacing(path: str | os.PathLike[str], error: type[XCodec2Error]) -> Iterator[BinaryIO]:
    """Yield a new file that takes the place of `path` when the block ends well and is removed when
    it does not.

    Readers see the old file or the whole new one. A symbolic link is kept and its target replaced.
    Raises `error` when the folder is missing or cannot be written, or when `path` is not a regular
    file.
    """
    check_path(path, error)
    try:
        target = os.path.realpath(path)
        exists, regular = os.path.exists(target), os.path.isfile(target)
    except ValueError as problem:
        raise error(f"{str(path)!r}: not a usable file name") from problem
    folder = os.path.dirname(target)
    if exists and not regular:
        raise error(f"{path}: exists and is not a regular file; choose another name")
    if not os.path.isdir(folder):
        raise error(f"{path}: the folder {folder} does not exist; create it first")
    temporary = os.path.join(
        folder, f".xcodec2-{secrets.token_hex(8)}.tmp"
    )  # beside it: a rename stays on one disk
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, target)
    except OSError as problem:
        raise error(f"{path}: cannot be written ({problem.strerror or problem})") from problem
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
