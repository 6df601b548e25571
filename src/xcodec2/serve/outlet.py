"""Between an engine's thread and one request: what waits is bounded, and the engine never does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Outlet(Generic[Item]):
    """What an engine has made for one request, in order, then its end or its failure.

    The engine asks `full` before it makes more, so that a reader that is slow costs no memory and
    keeps nobody waiting.

    Args:
        bound: Weight of what may wait.
        drained: Is called when the reader has taken something out of a full one.
    """

    def __init__(self, bound: float, drained: Callable[[], None] = lambda: None) -> None:
        self.loop = asyncio.get_running_loop()
        self.bound, self.drained = bound, drained
        self.items: deque[tuple[Item, float]] = deque()
        self.weight = 0.0  # only the event loop changes it
        self.ended = False
        self.problem: Exception | None = None
        self.changed = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether the reader has enough for now."""
        return self.weight >= self.bound

    def put(self, item: Item, weight: float = 0.0) -> None:
        """From the engine: one more."""
        self.call(self.put_now, item, weight)

    def end(self, problem: Exception | None = None) -> None:
        """From the engine: nothing will follow, since it is done or since it failed."""
        self.call(self.end_now, problem)

    def call(self, function: Callable[..., None], *args: object) -> None:
        """In the event loop; nowhere when that is closed."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function, *args)

    def put_now(self, item: Item, weight: float) -> None:
        """In the event loop: one more."""
        self.items.append((item, weight))
        self.weight += weight
        self.changed.set()

    def end_now(self, problem: Exception | None) -> None:
        """In the event loop: the end."""
        self.ended, self.problem = True, problem
        self.changed.set()

    async def next(self) -> Item | None:
        """The next one; None at the end.

        Raises:
            Exception: What the engine failed with.
        """
        while not self.items:
            if self.ended:
                if self.problem is not None:
                    raise self.problem
                return None
            self.changed.clear()
            await self.changed.wait()
        item, weight = self.items.popleft()
        was_full = self.full
        self.weight -= weight
        if was_full and not self.full:
            self.drained()
        return item


class Inlet(Generic[Item]):
    """What one request gives an engine, in order, then its end.

    Args:
        bound: Weight of what may wait.
        arrived: Is called when there is something new.
    """

    def __init__(self, bound: float, arrived: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.bound, self.arrived = bound, arrived
        self.items: deque[tuple[Item, float]] = deque()
        self.weight = 0.0  # only the event loop changes it
        self.ended = False
        self.room = asyncio.Event()

    async def put(self, item: Item, weight: float) -> None:
        """From the request: one more, when there is room for it."""
        while self.weight >= self.bound:
            self.room.clear()
            await self.room.wait()
        self.weight += weight
        self.items.append((item, weight))
        self.arrived()

    def end(self) -> None:
        """From the request: nothing will follow."""
        self.ended = True
        self.arrived()

    def take(self) -> Item | None:
        """From the engine: the next one, if it is there."""
        if not self.items:
            return None
        item, weight = self.items.popleft()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self.freed, weight)
        return item

    def freed(self, weight: float) -> None:
        """In the event loop: there is room again."""
        self.weight -= weight
        self.room.set()
