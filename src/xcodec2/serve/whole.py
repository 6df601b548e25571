"""Threads for what is whole when it comes: clips are encoded together, as `xcodec2 extract`
does it, and each gets the codes that it has alone.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from xcodec2 import XCodec2Model
from xcodec2.errors import XCodec2Error
from xcodec2.extract.encoding import encode_exactly
from xcodec2.serve.limits import CODEC_QUEUE, Limits
from xcodec2.serve.problems import queue_full

BATCH_SECONDS = 40.0  # of padded audio in one batch, as extraction has it
TURN_SECONDS = 120.0  # of audio that is encoded before anything else gets a turn

Result = TypeVar("Result")


@dataclass(eq=False)
class ClipTask:
    """A clip (N,) to encode, or something else to do."""

    clip: torch.Tensor | None = None
    call: Callable[[], Any] | None = None
    result: Future[Any] = field(default_factory=Future)


class WholeClips:
    """The thread.

    Args:
        codec: What encodes and decodes.
        limits: How many may wait.
    """

    def __init__(self, codec: XCodec2Model, limits: Limits) -> None:
        self.codec, self.limits = codec, limits
        self.waiting: deque[ClipTask] = deque()
        self.changed = threading.Condition()
        self.stopping = False
        self.thread = threading.Thread(target=self.run, name="whole clips", daemon=True)
        self.thread.start()

    async def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """(N,) float32 at the codec's rate → (T,) codes.

        Raises:
            ApiProblem: Too many wait.
            XCodec2Error: It is too short.
        """
        return await self.done(ClipTask(clip=waveform))

    async def run_there(self, call: Callable[[], Result]) -> Result:
        """Something that takes a while, in its turn.

        Raises:
            ApiProblem: Too many wait.
        """
        return await self.done(ClipTask(call=call))

    async def done(self, task: ClipTask) -> Any:
        """The result of a task; whoever stops waiting takes it out of the queue."""
        with self.changed:
            if len(self.waiting) >= max(1, CODEC_QUEUE * self.limits.max_queue):
                raise queue_full("the codec")
            self.waiting.append(task)
            self.changed.notify()
        return await asyncio.wrap_future(task.result)

    def check_room(self) -> None:
        """Raise ApiProblem where too many wait, before a body is read."""
        if len(self.waiting) >= max(1, CODEC_QUEUE * self.limits.max_queue):
            raise queue_full("the codec")

    def stop(self) -> None:
        """End the thread."""
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join(5)

    def run(self) -> None:
        """Turn after turn."""
        torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
        while tasks := self.next_turn():
            clips = [task for task in tasks if task.clip is not None]
            if clips:
                self.encode_all(clips)
            for task in tasks:
                if task.call is not None:
                    self.settle(task, task.call)

    def next_turn(self) -> list[ClipTask]:
        """Wait for tasks: clips up to a limit, or one of another kind; none at the end."""
        with self.changed:
            while True:
                while not (self.waiting or self.stopping):
                    self.changed.wait()
                if self.stopping:
                    return []
                if tasks := self.chosen():
                    return tasks

    def chosen(self) -> list[ClipTask]:
        """The first tasks that somebody still waits for."""
        tasks: list[ClipTask] = []
        samples = 0
        while self.waiting and samples < TURN_SECONDS * self.codec.config.input_rate:
            if tasks and self.waiting[0].clip is None:
                break
            task = self.waiting.popleft()
            if not task.result.set_running_or_notify_cancel():
                continue
            tasks.append(task)
            if task.clip is None:
                break
            samples += len(task.clip)
        return tasks

    def encode_all(self, tasks: list[ClipTask]) -> None:
        """Codes for clips."""
        try:
            found = encode_exactly(
                self.codec, [task.clip for task in tasks if task.clip is not None], BATCH_SECONDS
            )
        except Exception as problem:
            for task in tasks:
                task.result.set_exception(problem)
            return
        for task, codes in zip(tasks, found, strict=True):
            if isinstance(codes, str):
                task.result.set_exception(XCodec2Error(codes))
            else:
                task.result.set_result(codes)

    def settle(self, task: ClipTask, call: Callable[[], Any]) -> None:
        """Do it."""
        try:
            result = call()
        except Exception as problem:
            task.result.set_exception(problem)
        else:
            task.result.set_result(result)
