"""Where language models generate many sequences at once: in this process, as one batch that
sequences join and leave at any token; or behind a completions server, which batches them itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from xcodec2.errors import LlasaError, XCodec2Error
from xcodec2.llasa.backends.base import Backend
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.generation.batch import BatchGenerator, Sequence
from xcodec2.llasa.sampling import Sampling


class Growth(Protocol):
    """One sequence."""

    @property
    def finished(self) -> bool:
        """Whether nothing will follow."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the model ended it by itself."""
        ...

    @property
    def problem(self) -> Exception | None:
        """Why it failed."""
        ...

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
            said = str(problem).replace(self.backend.name, "the language model")
            growth.problem = LlasaError(said)  # not where it is
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


class BatchGrowth:
    """A sequence of a `BatchGenerator`."""

    problem: Exception | None = None

    def __init__(self, sequence: Sequence, to_codes: Callable[[list[int]], np.ndarray]) -> None:
        self.sequence, self.to_codes = sequence, to_codes
        self.taken = 0

    @property
    def finished(self) -> bool:
        """Whether nothing will follow."""
        return self.sequence.finished is not None

    @property
    def ended(self) -> bool:
        """Whether the model ended it by itself."""
        return self.sequence.finished == "end"

    def take(self) -> list[int]:
        """The codes that came since the last time."""
        tokens = self.sequence.tokens[self.taken :]
        self.taken += len(tokens)
        return self.to_codes(tokens).tolist() if tokens else []


class BatchPlaces:
    """Sequences of a language model in this process, one token each a step.

    Args:
        backend: Which.
        count: Sequences at once.
    """

    def __init__(self, backend: InProcess, count: int) -> None:
        self.generator = BatchGenerator(backend.lm, count)
        self.to_codes = backend.prompts.vocabulary.to_codes

    @property
    def free(self) -> int:
        """How many sequences may be started now."""
        return self.generator.free

    @property
    def busy(self) -> bool:
        """Whether `step` has something to do."""
        return bool(self.generator.active)

    def start(self, prompt: np.ndarray, seed: int, sampling: Sampling) -> BatchGrowth:
        """A sequence for a prompt (P,)."""
        return BatchGrowth(self.generator.start(prompt, sampling, seed=seed), self.to_codes)

    def step(self) -> None:
        """One more token for each sequence."""
        self.generator.step()

    def cancel(self, growth: Growth) -> None:
        """End a sequence; its place is free at once."""
        if isinstance(growth, BatchGrowth):
            self.generator.cancel(growth.sequence)


def places_for(backend: Backend, count: int, arrived: Callable[[], None]) -> Places:
    """Where a back end's sequences are generated."""
    if isinstance(backend, InProcess):
        return BatchPlaces(backend, count)
    return StreamedPlaces(backend, count, arrived)
