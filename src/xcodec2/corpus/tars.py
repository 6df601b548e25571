"""WebDataset tars: members that share a name up to its first dot are one sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from typing import Any

import fsspec

from xcodec2.corpus.recording import Nowhere, Place, Recording, TarMember
from xcodec2.errors import XCodec2Error

TEXT_MEMBERS = ("txt", "text")


def read_tar(
    url: str,
    name: str,
    audio_suffixes: frozenset[str],
    audio_member: str | None,
    id_column: str | None,
) -> Iterator[Recording]:
    """One recording a sample, called `name/key`: its audio member, the fields of `.json`, and
    `.txt` as `text`.

    Only headers and the small members are read. `audio_member` is the suffix to take where a sample
    has several.
    """
    for key, members, columns in samples(url):
        audio = [
            s for s in members if (s == audio_member if audio_member else last(s) in audio_suffixes)
        ]
        source, place = f"{url}::{key}", None
        if len(audio) == 1:
            offset, size = members[audio[0]]
            source, place = f"{source}.{audio[0]}", TarMember(url, offset, size)
        elif audio:
            raise XCodec2Error(
                f"{source}: has the audio members {', '.join(audio)}; name one as the audio column"
            )
        where: Place = place or Nowhere(f"{source}: has no audio member, only {', '.join(members)}")
        if id_column is not None and id_column not in columns:
            raise XCodec2Error(f"{source}: its .json has no {id_column!r} for the id")
        yield Recording(
            str(columns.pop(id_column)) if id_column else f"{name}/{key}", source, columns, where
        )


def samples(url: str) -> Iterator[tuple[str, dict[str, tuple[int, int]], dict[str, Any]]]:
    """Key, {suffix: (offset, size)} and columns of each sample, in order."""
    key = ""
    members: dict[str, tuple[int, int]] = {}
    columns: dict[str, Any] = {}
    for member_key, suffix, place, small in entries(url):
        if member_key != key and members:
            yield key, members, columns
            members, columns = {}, {}
        key = member_key
        if suffix in members:
            raise XCodec2Error(f"{url}: holds {key}.{suffix} twice")
        members[suffix] = place
        columns |= small
    if members:
        yield key, members, columns


def entries(url: str) -> Iterator[tuple[str, str, tuple[int, int], dict[str, Any]]]:
    """Key, suffix, (offset, size) and what a small text member says, for each file of the tar."""
    fs, path = fsspec.url_to_fs(url)
    try:
        with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every header
                if member.isfile():
                    folder, slash, base = member.name.rpartition("/")
                    stem, _, suffix = base.partition(".")
                    small = content(archive, member, suffix.lower(), url)
                    place = (member.offset_data, member.size)
                    yield folder + slash + stem, suffix.lower(), place, small
            file.seek(
                archive.offset
            )  # where tarfile saw the end, or what is no header, which it takes for the end
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError(f"no member at byte {archive.offset}")
    except tarfile.TarError as problem:
        raise XCodec2Error(
            f"{url}: damaged, cut short or compressed ({problem}); plain tars are read"
        ) from problem


def content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, url: str
) -> dict[str, Any]:
    if suffix not in (*TEXT_MEMBERS, "json"):
        return {}
    file = archive.extractfile(member)
    try:
        text = file.read().decode("utf-8-sig") if file else ""
        fields = json.loads(text) if suffix == "json" else {"text": text.strip()}
    except ValueError as problem:
        raise XCodec2Error(f"{url}::{member.name}: not readable ({problem})") from problem
    return fields if isinstance(fields, dict) else {"json": fields}


def last(suffix: str) -> str:
    return "." + suffix.rpartition(".")[2]
