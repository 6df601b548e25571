"""What is inside of an audio file, as float32 blocks: libsndfile first, FFmpeg for what it
leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

from xcodec2.audio.content import Content
from xcodec2.audio.ffmpeg import ffmpeg_blocks
from xcodec2.audio.headers import mended
from xcodec2.audio.joined import joined_files
from xcodec2.audio.samples import Block
from xcodec2.audio.sndfile import LeftToFFmpegError, sndfile_blocks


class StartAgainError(Exception):
    """libsndfile failed after some blocks, which are void: all is to be decoded by FFmpeg, from the
    start.
    """


def decoded_blocks(file: Content, name: str, *, by_ffmpeg: str | None = None) -> Iterator[Block]:
    """Every sample of a file once, of each part where several lie one behind another.

    Args:
        file: The content.
        name: Of the file, for errors.
        by_ffmpeg: Why libsndfile is not to be tried (again).

    Raises:
        StartAgainError: All blocks so far are void; its message is the `by_ffmpeg` to go on with.
        AudioError: The content is damaged, cut short or no audio.
    """
    for part in joined_files(file, name):
        whole = mended(part, name)
        if by_ffmpeg is not None:
            yield from ffmpeg_blocks(whole, name, by_ffmpeg)
            continue
        begun = False
        try:
            for block in sndfile_blocks(whole, name):
                begun = True
                yield block
        except LeftToFFmpegError as left:
            if begun:
                raise StartAgainError(str(left)) from left
            yield from ffmpeg_blocks(whole, name, str(left))
