"""What one request, and all together, may take."""

from __future__ import annotations

from dataclasses import dataclass, fields

from xcodec2.errors import XCodec2Error

CODEC_QUEUE = 4  # short clips wait in a queue so many times as long as that of speech
BODIES = 16  # largest uploads that are held at once


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Attributes:
        max_queue: Speech requests that wait for a place; four times as many clips may wait for the
            codec. One more is told to come back (429).
        max_streams: Speech that is generated at once.
        max_sessions: Streams of codes or of audio from clients that are open at once.
        max_upload: Bytes of a body that is read whole.
        max_seconds: Of audio in one upload, and of codes that are decoded at once.
        max_stream_seconds: Of audio in one stream from a client.
        max_characters: Of a text.
        idle_seconds: For which a stream waits for its client, in either direction.
        readers: Processes that decode uploads, each with one at a time.

    Raises:
        XCodec2Error: One of them is not positive.
    """

    max_queue: int = 64
    max_streams: int = 16
    max_sessions: int = 64
    max_upload: int = 25_000_000
    max_seconds: float = 600.0
    max_stream_seconds: float = 3_600.0
    max_characters: int = 4_096
    idle_seconds: float = 60.0
    readers: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 0 if field.name == "max_queue" else 1e-9
            if not getattr(self, field.name) >= least:
                raise XCodec2Error(f"{field.name} must be positive")
