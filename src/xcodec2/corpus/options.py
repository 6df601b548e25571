"""How a corpus is to be read: what a user can say about it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from xcodec2.errors import XCodec2Error

SEGMENTS = ("auto", "seconds", "milliseconds", "samples", "none")


@dataclass(frozen=True)
class Options:
    """What `read_corpus` was told.

    Args:
        audio_column: of a manifest or data set; found by its name when not given.
        id_column: whose values name the rows.
        subset: of a Hugging Face data set.
        split: of a Hugging Face data set.
        encoding: of text manifests; UTF-8, with or without a byte order mark, when not given.
        segments: the unit of columns such as `start`, one of SEGMENTS: `auto` finds it out, `none`
            reads whole files.
        remote: whether a manifest may name URLs (`http://`, `s3://`, `file://`, …).
    """

    audio_column: str | None = None
    id_column: str | None = None
    subset: str | None = None
    split: str | None = None
    encoding: str | None = None
    segments: str = "auto"
    remote: bool = True

    def __post_init__(self) -> None:
        if self.segments not in SEGMENTS:
            raise XCodec2Error(
                f"segments must be one of {', '.join(SEGMENTS)}, not {self.segments!r}"
            )
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError as problem:
            raise XCodec2Error(
                f"{self.encoding!r} is no encoding that Python knows; utf-16, latin-1, cp1252 and "
                "shift_jis are some"
            ) from problem
