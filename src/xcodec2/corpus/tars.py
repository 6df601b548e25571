"""WebDataset tars: members that share a name up to its first dot are one sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import fsspec

from xcodec2.corpus.manifest import embedded_audio
from xcodec2.corpus.options import Options
from xcodec2.corpus.recording import Nowhere, Place, Recording, TarMember, utf8_name
from xcodec2.corpus.times import Times
from xcodec2.errors import XCodec2Error

TEXT_MEMBERS = ("txt", "text")
PADDING = 1 << 16  # bytes of zeros that may lie between two tars in one file


@dataclass
class Sample:
    """Members of one name: suffix → (offset, size), what the small ones say, and what is wrong.

    dotted: what those say whose suffix has dots, by what stands before its last one: the key of
    `1.5_a.wav` and `1.5_a.txt` is `1`, and they belong together all the same.
    """

    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    columns: dict[str, Any] = field(default_factory=dict)
    dotted: dict[str, dict[str, Any]] = field(default_factory=dict)
    fault: str = ""

    def said(self) -> Iterator[dict[str, Any]]:
        """The columns of all its members."""
        yield self.columns
        yield from self.dotted.values()

    def said_of(self, suffix: str) -> dict[str, Any]:
        """The columns of one of its members."""
        return self.columns | self.dotted.get(suffix.rpartition(".")[0], {})


def read_tar(
    url: str, name: str, audio_suffixes: frozenset[str], options: Options
) -> Iterator[Recording]:
    """One recording a sample, called `name/key`: its audio member, the fields of `.json`, and
    `.txt` as `text`.

    Only headers and the small members are read. The audio column of `options` is the suffix to take
    where a sample has several. A sample that is not as it should be costs its own row alone.
    """
    found = samples(url, options)
    times = Times(options.segments, lambda: (said for s in found.values() for said in s.said()))
    for key, sample in found.items():
        members = sample.members
        audio = [
            suffix
            for suffix in members
            if (
                suffix == options.audio_column
                if options.audio_column
                else last(suffix) in audio_suffixes
            )
        ]
        columns = sample.said_of(audio[0]) if audio else sample.columns
        source = f"{url}::{key}"
        fault = sample.fault
        if not fault and len(audio) > 1:
            fault = (
                f"has the audio members {', '.join(audio)}; name one of them as the audio column"
            )
        if not fault and not audio:
            fault = f"has no audio member, only {', '.join(members)}"
        if not fault and options.id_column and options.id_column not in columns:
            fault = f"its .json has no {options.id_column!r} for the id"
        place: Place = Nowhere(f"{source}: {fault}")
        duration = None
        if not fault:
            source = f"{source}.{audio[0]}"
            place, duration = embedded_audio(
                TarMember(url, *members[audio[0]]), columns, times, source
            )
        named = columns.get(options.id_column) if options.id_column else None
        columns = {c: value for c, value in columns.items() if c != options.id_column}
        row_id = f"{name}/{key}" if named is None else str(named)
        yield Recording(utf8_name(row_id), source, columns, place, duration)


def samples(url: str, options: Options) -> dict[str, Sample]:
    """The samples by key, in order: of one tar, whose headers have to be read to its end before it
    is known that no sample is torn apart.
    """
    found: dict[str, Sample] = {}
    before = None
    for key, suffix, place, small, fault in entries(url, options.encoding):
        sample = found.setdefault(key, Sample())
        if sample.members and key != before:
            fault = "its members do not stand together in the tar; pack it sorted by name"
        elif suffix in sample.members:
            fault = f"holds .{suffix} twice"
        sample.fault = sample.fault or fault
        sample.members.setdefault(suffix, place)
        beginning, dot, _ = suffix.rpartition(".")
        columns = sample.dotted.setdefault(beginning, {}) if dot else sample.columns
        columns |= small
        before = key
    return found


def entries(
    url: str, encoding: str | None
) -> Iterator[tuple[str, str, tuple[int, int], dict[str, Any], str]]:
    """Key, suffix, (offset, size), what a small text member says, and why it says nothing, for each
    file of the tar but the hidden ones: macOS packs a `._name` beside each name.

    Raises:
        XCodec2Error: The tar is damaged, cut short or compressed.
    """
    fs, path = fsspec.url_to_fs(url)
    try:
        with fs.open(path, "rb") as file:
            for archive, member in headers(file):
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if not parts or parts[-1].startswith(".") or "__MACOSX" in parts:
                    continue
                stem, _, suffix = parts[-1].partition(".")
                if suffix and (member.issym() or member.islnk()):
                    fault = (
                        f"is a link to {member.linkname}, and holds nothing; pack with tar's "
                        "--dereference and --hard-dereference"
                    )
                elif not member.isfile():
                    continue
                else:
                    fault = ""
                small: dict[str, Any] = {}
                if not fault:
                    small, fault = content(archive, member, suffix.lower(), encoding)
                key = utf8_name("/".join([*parts[:-1], stem]))
                place = (member.offset_data, member.size)
                yield key, utf8_name(suffix.lower()), place, small, fault
    except tarfile.TarError as problem:
        raise XCodec2Error(
            f"{url}: damaged, cut short or compressed ({problem}); plain tars are read"
        ) from problem


def headers(file: Any) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Every header, with the archive that it is of: `cat` lays tars one behind another.

    Raises:
        tarfile.TarError: A tar is damaged or cut short.
    """
    begin: int | None = 0
    while begin is not None:
        file.seek(begin)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
                yield archive, member
            # where tarfile saw the end, or what is no header, which it takes for the end
            file.seek(archive.offset)
            rest = file.read(PADDING)
        if rest[: tarfile.BLOCKSIZE].strip(b"\0"):
            raise tarfile.ReadError(f"no member at byte {archive.offset}")
        begin = next_tar(rest, archive.offset)


def next_tar(rest: bytes, offset: int) -> int | None:
    """Where another tar begins behind the end of one; None where there is none.

    Args:
        rest: What follows the last member.
        offset: The position of that.
    """
    size = tarfile.BLOCKSIZE
    for place in range(0, len(rest), size):
        if (block := rest[place : place + size]).strip(b"\0"):
            try:
                tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError:
                return None
            return offset + place
    return None


def content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, encoding: str | None
) -> tuple[dict[str, Any], str]:
    """The fields of a member that is text or JSON, or why they cannot be had.

    Returns:
        Columns, and the reason; one of them is empty.
    """
    kind = last(suffix)[1:]
    if kind not in (*TEXT_MEMBERS, "json"):
        return {}, ""
    file = archive.extractfile(member)
    try:
        text = file.read().decode(encoding or "utf-8-sig") if file else ""
        fields = json.loads(text) if kind == "json" else {"text": text.strip()}
    except ValueError as problem:
        return {}, f"its .{suffix} cannot be read ({problem})"
    return (fields if isinstance(fields, dict) else {"json": fields}), ""


def last(suffix: str) -> str:
    """The last suffix of several, with its dot."""
    return "." + suffix.rpartition(".")[2]
