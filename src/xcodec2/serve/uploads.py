"""Audio of strangers, decoded in processes that may hang or crash without harm to the server."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from xcodec2.audio.io import Audio
from xcodec2.errors import XCodec2Error
from xcodec2.extract.child import Child, Died
from xcodec2.serve.problems import ApiProblem
from xcodec2.serve.reading import NAME

TIME_LIMIT = 60.0  # seconds for one upload


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
        target = "xcodec2.serve.reading:upload_reader"
        self.children = [Child(target, target_rate, max_seconds, quiet=True) for _ in range(count)]
        self.idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in self.children:
            self.idle.put(child)
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="uploads")
        self.died = died

    def start(self) -> None:
        """Let the processes start, so that the first upload need not wait for them."""
        for _ in self.children:
            self.pool.submit(self.start_one)

    def start_one(self) -> None:
        """Start the process that has waited longest; an upload tells of one that cannot."""
        child = self.idle.get()
        try:
            with contextlib.suppress(XCodec2Error):
                child.start()
        finally:
            self.idle.put(child)

    async def read(self, content: bytes, param: str = "file") -> Audio:
        """The audio of an upload, which came as the field `param`.

        Raises:
            ApiProblem: It cannot be read (415), or lasts too long (413).
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, self.read_now, content, param)

    def read_now(self, content: bytes, param: str) -> Audio:
        """The same, in a thread that waits."""
        if not content:
            raise ApiProblem(415, f"{NAME} is empty: send the bytes of an audio file", param=param)
        child = self.idle.get()
        try:
            problem, waveform, num_samples, rate = child.ask(content, TIME_LIMIT)
        except (Died, XCodec2Error) as broken:
            if isinstance(broken, Died):
                self.died()
            raise ApiProblem(
                415, f"{NAME} cannot be read: it is damaged, or no audio", param=param
            ) from broken
        finally:
            self.idle.put(child)
        if problem:
            kind, _, message = problem.partition(":")
            code = "audio_too_long" if kind == "long" else None
            raise ApiProblem(413 if kind == "long" else 415, message, code=code, param=param)
        return Audio(torch.from_numpy(waveform), num_samples, rate)

    def close(self) -> None:
        """End the processes."""
        for child in self.children:
            with contextlib.suppress(OSError):
                child.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
