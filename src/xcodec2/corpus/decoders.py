"""What a corpus needs to be read, asked for before any of its audio is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from xcodec2.audio.suffixes import FFMPEG_SUFFIXES
from xcodec2.corpus.parts import FilePart
from xcodec2.corpus.recording import Nowhere, Recording
from xcodec2.extras import require


def with_decoders(recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Pass recordings on as long as their decoders are installed, by the names of the files.

    Args:
        recordings: Of a corpus.

    Yields:
        The same recordings.

    Raises:
        MissingExtraError: A file is of a kind that FFmpeg alone reads, and PyAV is missing. Found
            out in the midst of a run, each of them would be an error.
    """
    asked = False
    for recording in recordings:
        place = recording.place
        if not asked and not isinstance(place, Nowhere):
            name = place.name if isinstance(place, FilePart) else recording.source
            suffix = os.path.splitext(name)[1].lower()
            if suffix in FFMPEG_SUFFIXES:
                require("av", extra="media", purpose=f"{name}: reading {suffix}")
                asked = True
        yield recording
