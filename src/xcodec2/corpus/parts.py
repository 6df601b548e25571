"""Parts of files: each file is decoded once for all the rows that follow one another.

The whole file is decoded, and parts are cut out of its samples: a seek in a compressed file lands
beside the sample that was asked for, or decodes other values than reading from the start does.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xcodec2.corpus.recording import LocalFile, Place, Recording
from xcodec2.corpus.segments import Segment
from xcodec2.errors import AudioError

IN_MEMORY = 256 << 20  # bytes of one decoded file; the rest of a longer one lies in TMPDIR


@dataclass(frozen=True)
class FilePart:
    """A part of `file`, as an array and its rate."""

    file: Place
    segment: Segment
    name: str = ""  # of the file, for errors and warnings

    def read(self) -> tuple[np.ndarray, int]:
        """The part's samples, (channels, samples) or (samples,) float32, and their sample rate in
        Hz.

        Raises:
            AudioError: The file cannot be read, or the part lies outside of it.
        """
        separate = self.segment.channels is not None
        decoded = last_decoded(self.file, separate, self.name)
        begin, end = self.segment.within(decoded.sample_rate, decoded.num_samples)
        part = decoded.cut(begin, end)
        for channel in self.segment.channels or ():
            if channel >= len(part):
                raise AudioError(
                    f"has {len(part)} channels, and the row asks for channel {channel} from 0"
                )
        if self.segment.channels:
            part = part[list(self.segment.channels)]
        return part, decoded.sample_rate


def on_channel(recording: Recording, channel: int) -> Recording:
    """The recording read from one channel alone, unless it names its channels itself.

    Args:
        recording: of a corpus.
        channel: from 0.
    """
    place = recording.place
    if not isinstance(place, FilePart):
        return replace(recording, channel=channel)
    if place.segment.channels is not None:
        return recording
    return replace(
        recording, place=replace(place, segment=replace(place.segment, channels=(channel,)))
    )


class DecodedFile:
    """A file's samples at its own rate: (samples, channels) float32, its channels averaged into one
    unless they are kept `separate`.
    """

    def __init__(self, place: Place, separate: bool, name: str = "") -> None:
        from xcodec2.audio.io import read_blocks

        self.sample_rate = self.channels = self.num_samples = 0
        content = place.read()
        audio, sample_rate = content if isinstance(content, tuple) else (content, None)
        self.spool = read_blocks(
            audio,
            sample_rate,
            lambda blocks, name: self.keep(blocks, name, separate),
            name=name,
        )

    def keep(self, blocks: Any, name: str, separate: bool) -> Any:
        """Write blocks to a temporary file, anew each time, since decoding may start again.

        Args:
            blocks: Sample rate in Hz and (samples, channels) float32 each.
            name: Of the file, for errors.
            separate: Keep the channels; without, their average is kept.

        Raises:
            AudioError: The sample rate or the number of channels changes midway, or is none.
        """
        from xcodec2.audio.io import checked_rate
        from xcodec2.audio.samples import Downmix, average

        downmix = Downmix(None, name)
        self.sample_rate = self.channels = self.num_samples = 0
        spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # lives as long as this
        for sample_rate, block in blocks:
            kept = block if separate else average(block)[:, None]
            if not separate and block.shape[1] > 1:
                downmix.measure(block, kept[:, 0])
            if not self.sample_rate:
                self.sample_rate = checked_rate(sample_rate, f"{name}: its sample rate")
                self.channels = kept.shape[1]
            elif (sample_rate, kept.shape[1]) != (self.sample_rate, self.channels):
                raise AudioError(f"{name}: changes its rate or channels midway; convert it first")
            self.num_samples += len(kept)
            spool.write(np.ascontiguousarray(kept, np.float32).tobytes())
        if not self.num_samples:
            raise AudioError(f"{name}: holds no audio samples")
        downmix.warn_of_loss()
        return spool

    def cut(self, begin: int, end: int) -> np.ndarray:
        """Samples begin … end as (channels, samples) float32."""
        width = 4 * self.channels
        self.spool.seek(begin * width)
        values = np.frombuffer(self.spool.read((end - begin) * width), np.float32)
        return values.reshape(-1, self.channels).T


_last: tuple[Any, DecodedFile | AudioError] | None = None


def last_decoded(place: Place, separate: bool, name: str = "") -> DecodedFile:
    """The file decoded, or as it was decoded last: a process keeps one.

    A file on disk that has changed since is decoded again. One that cannot be decoded is not tried
    again for each of its rows.
    """
    global _last
    known = (place, separate, file_version(place))
    if _last is None or _last[0] != known:
        _last = None  # its memory is needed
        found: DecodedFile | AudioError
        try:
            found = DecodedFile(place, separate, name)
        except AudioError as problem:
            found = problem
        _last = known, found
    if isinstance(_last[1], AudioError):
        raise _last[1]
    return _last[1]


def file_version(place: Place) -> Any:
    """What changes when a local file does; None for any other place."""
    if not isinstance(place, LocalFile):
        return None
    try:
        found = os.stat(place.path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
