"""One recording of a corpus, and the places that its audio can lie in.

A place is small and can be sent to another process or machine; it opens what it names only when it
is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import fsspec

from xcodec2.corpus import tables
from xcodec2.corpus.segments import Time, check_duration
from xcodec2.errors import AudioError, XCodec2Error

if TYPE_CHECKING:
    import os

    from xcodec2.audio.io import Audio, Mono


class Place(Protocol):
    """Where the audio of a recording is."""

    def read(self) -> Any:
        """What `load_audio` takes: a path, bytes, or an array with its sample rate."""
        ...


@dataclass(frozen=True)
class Recording:
    """One item of a corpus; its audio is read when it is asked for.

    Attributes:
        id: Unique and stable within the corpus.
        source: Path or URL, or `tar::member` or `table#row` within one.
        columns: What the corpus says besides the audio: text, language, speaker, …
        place: Where the audio is read from.
        duration: Of the whole file as the corpus states it; reading a file of another length fails.
        channel: The one to take, from 0; None averages them.
        second_id: Taken, and numbered if need be, where another row has the id already; None where
            that is an error, since the corpus itself names its rows.
    """

    id: str
    source: str
    columns: Mapping[str, object]
    place: Place
    duration: Time | None = None
    channel: int | None = None
    second_id: str | None = None

    @property
    def file(self) -> Place | None:
        """The file that this is a part of; None for a recording that is a file of its own."""
        return getattr(self.place, "file", None)

    def open(self) -> str | os.PathLike[str] | bytes | tuple[Any, int]:
        """Open the audio without decoding it.

        Returns:
            What `load_audio` takes: a local path, the bytes of a file, or an array and its rate.

        Raises:
            AudioError: It cannot be read.
        """
        try:
            return self.place.read()
        except XCodec2Error as problem:
            raise self.named(problem) from problem
        except Exception as problem:  # every file system and format has errors of its own
            said = " ".join(str(problem).split())
            raise AudioError(
                f"{self.source}: cannot be read ({type(problem).__name__}: {said})"
            ) from problem

    def load(self, target_rate: int = 16_000) -> Audio:
        """Read the audio.

        Args:
            target_rate: In Hz.

        Returns:
            Mono float32 at that rate.

        Raises:
            AudioError: It cannot be read; the message names the source.
        """
        import torch

        from xcodec2.audio.io import Audio

        mono = self.load_samples(target_rate)
        return Audio(torch.from_numpy(mono.samples), mono.num_samples, mono.sample_rate)

    def load_samples(self, target_rate: int = 16_000) -> Mono:
        """`load` without PyTorch, whose import takes seconds.

        Args:
            target_rate: In Hz.

        Returns:
            Mono float32 at that rate.

        Raises:
            AudioError: As there.
        """
        from xcodec2.audio.io import load_samples

        content = self.open()
        try:
            array, sample_rate = content if isinstance(content, tuple) else (content, None)
            audio = load_samples(
                array,
                sample_rate,
                channel=self.channel,
                target_rate=target_rate,
                name=self.source,
            )
            if self.duration:
                check_duration(self.duration, audio.num_samples, audio.sample_rate)
            return audio
        except XCodec2Error as problem:
            raise self.named(problem) from problem

    def named(self, problem: XCodec2Error) -> XCodec2Error:
        """The error with the recording's source in its message, once."""
        return (
            problem if self.source in str(problem) else type(problem)(f"{self.source}: {problem}")
        )


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: str

    def read(self) -> str:
        """Its path, from which decoders read only what they need."""
        return self.path


@dataclass(frozen=True)
class RemoteFile:
    """A file on any file system of fsspec."""

    url: str

    def read(self) -> bytes:
        """All its bytes."""
        fs, path = fsspec.url_to_fs(self.url)
        return fs.cat_file(path)


@dataclass(frozen=True)
class TarMember:
    """`size` bytes at `offset` of an uncompressed tar, or of another file that holds files."""

    url: str
    offset: int
    size: int

    def read(self) -> bytes:
        """The member's bytes, without those of the others.

        Raises:
            AudioError: The archive ends before them.
        """
        fs, path = fsspec.url_to_fs(self.url)
        content = fs.cat_file(path, self.offset, self.offset + self.size)
        if len(content) != self.size:
            raise AudioError(
                f"{self.url}: cut short: {len(content)} of {self.size} bytes are there"
            )
        return content


@dataclass(frozen=True)
class ParquetCell:
    """Row `row` of a row group of a Parquet file, whose `column` holds the audio itself."""

    url: str
    row_group: int
    row: int
    column: str
    remote: bool = True  # whether the cell may name a URL

    def read(self) -> Any:
        """What the cell holds, or the file that it names."""
        cell = tables.row_group(self.url, self.row_group, self.column)[self.row].as_py()
        return as_audio(cell, self.url, self.remote)


@dataclass(frozen=True)
class DatasetCell:
    """Row `row` of a data set that `datasets` opens; see `xcodec2.corpus.tables.dataset`."""

    name: str
    subset: str | None
    split: str | None
    row: int
    column: str
    remote: bool = True

    def read(self) -> Any:
        """What the cell holds, or the file that it names."""
        rows = tables.dataset(self.name, self.subset, self.split)
        return as_audio(rows[self.row][self.column], self.name, self.remote)


@dataclass(frozen=True)
class Nowhere:
    """A row without audio: it stays a row, and reading it says why."""

    reason: str

    def read(self) -> Any:
        """Nothing.

        Raises:
            AudioError: Always, with the reason.
        """
        raise AudioError(self.reason)


def file_at(url: str) -> LocalFile | RemoteFile:
    """The place of a URL or path."""
    if "://" not in url:  # asking fsspec would cost more than reading a row of a manifest
        return LocalFile(url)
    return (
        LocalFile(fsspec.url_to_fs(url)[1])
        if url.startswith(("file://", "local://"))
        else RemoteFile(url)
    )


def named_file(table: str, path: str, remote: bool) -> Place:
    """The file that `path`, as written in `table`, names; a URL only where `remote` allows it."""
    if not remote and "://" in path:
        return Nowhere(f"{path}: is an address, which --no-remote refuses")
    return file_at(tables.beside(table, path))


def as_audio(cell: Any, table: str, remote: bool = True) -> Any:
    """What a table's audio cell holds: bytes, a path, or Hugging Face's struct of bytes and path,
    or array and rate.

    Raises:
        AudioError: The cell is empty or of another type.
    """
    if isinstance(cell, str) and cell:
        return named_file(table, cell, remote).read()
    if isinstance(cell, bytes):
        return cell
    if isinstance(cell, dict):
        if cell.get("bytes") is not None:
            return cell["bytes"]
        if cell.get("array") is not None and cell.get("sampling_rate"):
            import numpy as np

            return np.asarray(cell["array"], np.float32), cell["sampling_rate"]
        if cell.get("path"):
            return named_file(table, cell["path"], remote).read()
    raise AudioError(
        "the audio cell is empty" if not cell else f"the audio cell is a {type(cell).__name__}"
    )


def utf8_name(name: str) -> str:
    """Names may hold bytes that are no UTF-8; tables of text may not."""
    return name.encode("utf-8", "backslashreplace").decode()
