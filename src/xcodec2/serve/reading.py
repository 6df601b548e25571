"""What a process that reads uploads does; it imports no more than that takes, and not PyTorch,
which would take seconds whenever an upload has killed one.
"""

from __future__ import annotations

import resource
import warnings
from collections.abc import Callable, Iterator

import numpy as np

from xcodec2.audio.io import read_blocks
from xcodec2.audio.samples import Block, Downmix
from xcodec2.audio.stream import AudioStream
from xcodec2.errors import AudioError, XCodec2Error

MEMORY_LIMIT = 2 << 30  # bytes that one reader may hold
NAME = "the upload"

Reply = tuple[str, "np.ndarray | None", int, int]
"""Why there is no audio, or nothing; then (N,) float32, samples and rate of what came in."""


class TooLongError(AudioError):
    """An upload that lasts longer than the server takes."""


def upload_reader(target_rate: int, max_seconds: float) -> Callable[[bytes], Reply]:
    """What a reading process does; it runs in a `Child`."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

    def read(content: bytes) -> Reply:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return "", *load_upload(content, target_rate, max_seconds)
        except TooLongError as problem:
            return f"long:{problem}", None, 0, 0
        except XCodec2Error as problem:
            return f"unreadable:{problem}", None, 0, 0
        except MemoryError:
            return f"unreadable:{NAME}: needs too much memory", None, 0, 0

    return read


def load_upload(
    content: bytes, target_rate: int, max_seconds: float
) -> tuple[np.ndarray, int, int]:
    """The audio of a file, as `load_audio` gives it, and no more of it than may be: (N,) float32,
    samples and rate of what came in.

    Raises:
        TooLongError: It lasts longer.
        AudioError: It cannot be read.
    """

    def take(blocks: Iterator[Block], name: str) -> tuple[np.ndarray, int, int]:
        stream: AudioStream | None = None
        downmix, parts, rate = Downmix(None, name), [], 0
        for block_rate, block in blocks:
            if stream is None:
                stream, rate = AudioStream(block_rate, target_rate), block_rate
            if block_rate != rate:
                raise AudioError(f"{name}: changes from {rate} to {block_rate} Hz midway")
            parts.append(stream.push(downmix(block)).copy())
            if stream.num_samples > max_seconds * rate:
                raise TooLongError(f"{name}: lasts longer than {max_seconds:g} s")
        if stream is None or not stream.num_samples:
            raise AudioError(f"{name}: holds no audio samples")
        parts.append(stream.finish())
        return np.concatenate(parts), stream.num_samples, rate

    return read_blocks(content, None, take, name=NAME)
