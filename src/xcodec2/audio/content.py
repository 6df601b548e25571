"""The bytes of an audio file, as decoders see them: without a name, in part, with a mended
header.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from xcodec2.errors import AudioError
from xcodec2.files import open_regular


class Content:
    """A seekable binary file without its name, so that no decoder looks at the suffix, and that
    keeps its failures.

    An exception inside of a decoder's callback would otherwise be lost, and pass for the end of the
    file.

    Args:
        file: Open in binary mode.
        start: First byte that is seen, as position 0.
        end: Byte of `file` behind the last one that is seen; None is the end of the file.
        patches: Bytes to be seen in place of those at a position.
    """

    def __init__(
        self,
        file: BinaryIO,
        start: int = 0,
        end: int | None = None,
        patches: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        self._file, self._start, self._end, self._patches = file, start, end, patches
        self.failure: Exception | None = None

    def part(self, start: int, end: int | None = None) -> Content:
        """The bytes from `start` on, up to `end`, as a content of their own."""
        last = self._end if end is None else self._start + end
        return Content(self._file, self._start + start, last)

    def patched(self, position: int, replacement: bytes) -> Content:
        """The same content with `replacement` at `position`."""
        patches = (*self._patches, (position, replacement))
        return Content(self._file, self._start, self._end, patches)

    @property
    def size(self) -> int:
        """In bytes. Leaves the position as it is."""
        here = self._file.tell()
        last = self._file.seek(0, os.SEEK_END)
        self._file.seek(here)
        return max(0, (last if self._end is None else min(last, self._end)) - self._start)

    def tell(self) -> int:
        """Bytes from the start of the content."""
        return self._file.tell() - self._start

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, all that are left without; empty, with `failure` set, when reading
        fails.
        """
        try:
            position = self.tell()
            if self._end is not None:
                left = max(0, self._end - self._start - position)
                size = left if size < 0 else min(size, left)
            data = self._file.read(size)
        except Exception as problem:
            self.failure = problem
            return b""
        return self._mended(position, data) if self._patches else data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to `offset` as files do; -1 for what lies before the start."""
        try:
            if whence == os.SEEK_SET:
                if offset < 0:
                    return -1
                return self._file.seek(self._start + offset) - self._start
            if whence == os.SEEK_END and self._end is not None:
                return self._file.seek(self._end + offset) - self._start
            return self._file.seek(offset, whence) - self._start
        except (
            OSError,
            ValueError,
        ):  # damaged sizes lead to before the start; the decoder is told, and goes on
            return -1

    def at(self, position: int, size: int) -> bytes:
        """`size` bytes at `position`, fewer at the end."""
        self.seek(position)
        return self.read(size)

    def numbers(self, position: int, form: str) -> tuple[Any, ...]:
        """What `struct` finds at `position`; zeros where the file ends."""
        size = struct.calcsize(form)
        return struct.unpack(form, self.at(position, size).ljust(size, b"\0"))

    def check(self, name: str) -> None:
        """Raise AudioError when reading has failed."""
        if self.failure:
            raise AudioError(f"{name}: reading failed ({self.failure})") from self.failure

    def _mended(self, position: int, data: bytes) -> bytes:
        for place, replacement in self._patches:
            first = max(place, position)
            last = min(place + len(replacement), position + len(data))
            if first < last:
                middle = replacement[first - place : last - place]
                data = data[: first - position] + middle + data[last - position :]
        return data


@contextmanager
def opened(source: Any, called: str = "") -> Iterator[tuple[Content, str]]:
    """The content of a path, of bytes or of a binary file object, and its name for errors.

    Args:
        source: Any of them.
        called: The name of one that has no path; its type when not given.

    Raises:
        AudioError: It is a batch, no audio, empty, or cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        with open_regular(source, AudioError) as file:
            yield Content(file), str(source)
        return
    name = called or f"{type(source).__name__} object"
    if isinstance(source, (list, tuple)):
        raise AudioError(f"a {type(source).__name__} is a batch: load its items one by one")
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    if not hasattr(source, "read"):
        raise AudioError(
            f"{name}: not audio; pass a path, bytes, a binary file, an array or a tensor"
        )
    try:
        if not (hasattr(source, "seekable") and source.seekable()):
            source = io.BytesIO(source.read())
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        binary = isinstance(source.read(0), bytes)
    except (OSError, ValueError, TypeError) as problem:
        raise AudioError(
            f"{name}: cannot be read; it must be open, in binary mode ({problem})"
        ) from problem
    if not binary:
        raise AudioError(f"{name}: gives text, not bytes; open it in binary mode")
    if not size:
        raise AudioError(f"{name}: is empty (0 bytes)")
    yield Content(source), name
