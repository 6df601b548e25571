"""Corpora: a folder, a manifest, tars or a data set, on any file system → recordings, one at a
time.

Examples:
    >>> from xcodec2.corpus import read_corpus
    >>> for recording in read_corpus("data/nano/test/manifest.tsv"):
    ...     audio = recording.load(16_000)
    ...     recording.id, recording.columns.get("text")
"""

from __future__ import annotations

from xcodec2.corpus.recording import Recording
from xcodec2.corpus.source import read_corpus

__all__ = ["Recording", "read_corpus"]


def __dir__() -> list[str]:
    return sorted(__all__)
