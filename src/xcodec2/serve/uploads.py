"""Audio of strangers, decoded in processes that may hang or crash without harm to the server."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from xcodec2.audio.io import Audio, read_blocks
from xcodec2.audio.samples import Block, Downmix
from xcodec2.audio.stream import AudioStream
from xcodec2.errors import AudioError, XCodec2Error
from xcodec2.extract.child import Child, Died
from xcodec2.serve.problems import ApiProblem

MEMORY_LIMIT = 2 << 30  # bytes that one reader may hold
TIME_LIMIT = 60.0  # seconds for one upload
NAME = "the upload"

Reply = tuple[str, "np.ndarray | None", int, int]
"""Why there is no audio, or nothing; then (N,) float32, samples and rate of what came in."""


class TooLongError(AudioError):
    """An upload that lasts longer than the server takes."""


def upload_reader(target_rate: int, max_seconds: float) -> Callable[[bytes], Reply]:
    """What a reading process does; it runs in a `Child`."""
    import resource

    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, MEMORY_LIMIT))

    def read(content: bytes) -> Reply:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                audio = load_upload(content, target_rate, max_seconds)
        except TooLongError as problem:
            return f"long:{problem}", None, 0, 0
        except XCodec2Error as problem:
            return f"unreadable:{problem}", None, 0, 0
        except MemoryError:
            return f"unreadable:{NAME}: needs too much memory", None, 0, 0
        return "", audio.waveform.numpy(), audio.num_samples, audio.sample_rate

    return read


def load_upload(content: bytes, target_rate: int, max_seconds: float) -> Audio:
    """The audio of a file, as `load_audio` gives it, and no more of it than may be.

    Raises:
        TooLongError: It lasts longer.
        AudioError: It cannot be read.
    """
    import torch

    def take(blocks: Iterator[Block], name: str) -> Audio:
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
        waveform = torch.from_numpy(np.concatenate(parts))
        return Audio(waveform, stream.num_samples, rate)

    return read_blocks(content, None, take, name=NAME)


class Readers:
    """Some reading processes, each with one upload at a time.

    Args:
        count: How many.
        target_rate: Of what they give, in Hz.
        max_seconds: Of audio in one upload.
        died: Is called when an upload ended a process.
    """

    def __init__(
        self,
        count: int,
        target_rate: int,
        max_seconds: float,
        died: Callable[[], None] = lambda: None,
    ) -> None:
        target = "xcodec2.serve.uploads:upload_reader"
        self.children = [Child(target, target_rate, max_seconds, quiet=True) for _ in range(count)]
        self.idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self.children:
            self.idle.put(child)
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="uploads")
        self.died = died

    def start(self) -> None:
        """Start the processes, so that the first upload need not wait for them."""
        for child in self.children:
            child.start()

    async def read(self, content: bytes) -> Audio:
        """The audio of an upload.

        Raises:
            ApiProblem: It cannot be read (415), or lasts too long (413).
        """
        return await asyncio.get_running_loop().run_in_executor(self.pool, self.read_now, content)

    def read_now(self, content: bytes) -> Audio:
        """The same, in a thread that waits."""
        if not content:
            raise ApiProblem(415, f"{NAME} is empty: send the bytes of an audio file")
        child = self.idle.get()
        try:
            problem, waveform, num_samples, rate = child.ask(content, TIME_LIMIT)
        except (Died, XCodec2Error) as broken:
            if isinstance(broken, Died):
                self.died()
            raise ApiProblem(415, f"{NAME} cannot be read: it is damaged, or no audio") from broken
        finally:
            self.idle.put(child)
        if problem:
            kind, _, message = problem.partition(":")
            code = "audio_too_long" if kind == "long" else None
            raise ApiProblem(413 if kind == "long" else 415, message, code=code, param="file")
        import torch

        return Audio(torch.from_numpy(waveform), num_samples, rate)

    def close(self) -> None:
        """End the processes."""
        for child in self.children:
            with contextlib.suppress(OSError):
                child.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
