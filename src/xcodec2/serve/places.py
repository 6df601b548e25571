"""Where language models generate many sequences at once: in this process, as one batch that
sequences join and leave at any token; or behind a completions server, which batches them itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from xcodec2.errors import LlasaError, XCodec2Error
from xcodec2.llasa.backends.base import Backend, Sampling


class Growth(Protocol):
    """One sequence.

    Attributes:
        finished: Whether nothing will follow.
        ended: Whether the model ended it by itself.
        problem: Why it failed.
    """

    finished: bool
    ended: bool
    problem: Exception | None

    def take(self) -> list[int]:
        """The codes that came since the last time."""
        ...


class Places(Protocol):
    """What generates."""

    @property
    def free(self) -> int:
        """How many sequences may be started now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether `step` has something to do."""
        ...

    def start(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> Growth:
        """A sequence for a prompt (P,)."""
        ...

    def step(self) -> None:
        """One more token for each sequence, where they are made here."""
        ...

    def cancel(self, growth: Growth) -> None:
        """End a sequence; its place is free at once."""
        ...


class StreamedGrowth:
    """A sequence that a thread reads from a back end."""

    def __init__(self) -> None:
        self.finished = self.ended = self.cancelled = False
        self.problem: Exception | None = None
        self.codes: list[int] = []
        self.lock = threading.Lock()

    def add(self, code: int) -> None:
        """One more."""
        with self.lock:
            self.codes.append(code)

    def take(self) -> list[int]:
        """The codes that came since the last time."""
        with self.lock:
            codes, self.codes = self.codes, []
        return codes


class StreamedPlaces:
    """Sequences of a back end that makes each for itself, such as a completions server.

    Args:
        backend: Which.
        count: Sequences at once.
        arrived: Is called when there are new codes.
    """

    def __init__(self, backend: Backend, count: int, arrived: Callable[[], None]) -> None:
        self.backend, self.count, self.arrived = backend, count, arrived
        self.under_way: set[StreamedGrowth] = set()

    @property
    def free(self) -> int:
        """How many sequences may be started now."""
        return self.count - len(self.under_way)

    @property
    def busy(self) -> bool:
        """Never: threads do the work."""
        return False

    def step(self) -> None:
        """Nothing."""

    def start(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> StreamedGrowth:
        """A sequence for a prompt (P,)."""
        sampling.budget(self.backend.context, len(prompt))
        growth = StreamedGrowth()
        self.under_way.add(growth)
        threading.Thread(
            target=self.read, args=(growth, prompt, seed, sampling), daemon=True
        ).start()
        return growth

    def read(
        self, growth: StreamedGrowth, prompt: np.ndarray, seed: int, sampling: Sampling
    ) -> None:
        """Let codes arrive, until their end or until nobody wants them."""
        stream = self.backend.stream(prompt, seed, sampling)
        try:
            while not growth.cancelled:
                growth.add(next(stream))
                self.arrived()
        except StopIteration as stop:
            growth.ended = bool(stop.value)
        except XCodec2Error as problem:
            growth.problem = problem
        except Exception as problem:
            growth.problem = LlasaError("the language model failed")
            growth.problem.__cause__ = problem
        finally:
            stream.close()
            growth.finished = True
            self.under_way.discard(growth)
            self.arrived()

    def cancel(self, growth: Growth) -> None:
        """End a sequence; its place is free at once."""
        if isinstance(growth, StreamedGrowth):
            growth.cancelled = True
            self.under_way.discard(growth)


def places_for(backend: Backend, count: int, arrived: Callable[[], None]) -> Places:
    """Where a back end's sequences are generated."""
    return StreamedPlaces(backend, count, arrived)
