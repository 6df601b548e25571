"""Encoding processes: what they do, and how to ask one that may die of a recording."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Sequence

from xcodec2.corpus import Recording
from xcodec2.extract.child import Child, Died
from xcodec2.extract.encoding import Encoder, Outcome, Settings
from xcodec2.extract.reading import ReadAudio, pieces, read_ahead, readers

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def worker(settings: Settings) -> Callable[[Sequence[Recording]], list[Outcome]]:
    """What an encoding process does: it runs in a `Child` and has readers of its own."""
    keep_freed_memory()
    encoder = Encoder(settings)
    sample_rate = encoder.model.config.input_rate
    children = readers(settings.readers, sample_rate)

    def work(recordings: Sequence[Recording]) -> list[Outcome]:
        audio = read_ahead(recordings, children, settings.time_limit)
        return [
            outcome for piece in pieces(audio, sample_rate) for outcome in encoder.outcomes(piece)
        ]

    return work


def encoding_worker(settings: Settings) -> Callable[[Sequence[ReadAudio]], list[Outcome]]:
    """What an encoding process does that is given what others have read; it runs in a
    `Child`.
    """
    keep_freed_memory()
    return Encoder(settings).outcomes


def keep_freed_memory() -> None:
    """Every batch needs the same arrays again: fetching their pages from the system anew costs nano
    7 % of its time.

    For processes of our own alone, since it holds for all that the process does. Where there is no
    glibc: nothing.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def surviving(
    items: Sequence[Recording] | Sequence[ReadAudio], child: Child, again: bool = True
) -> list[Outcome]:
    """One outcome for each.

    When the process dies of one of them, halves are tried, until that one stands alone.
    """
    try:
        return child.ask(items)
    except Died as problem:
        if again:  # it may have been the machine
            return surviving(items, child, again=False)
        if len(items) == 1:
            return [
                Outcome(None, error=f"{items[0].source}: the process that encoded it {problem}")
            ]
        half = len(items) // 2
        return surviving(items[:half], child, False) + surviving(items[half:], child, False)
