"""The engine on one machine: encoding processes, one a core or one a GPU, each with readers of its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from queue import SimpleQueue

from xcodec2.extract.child import Child
from xcodec2.extract.encoding import Outcome, Settings
from xcodec2.extract.plan import Unit
from xcodec2.extract.reading import stop_all
from xcodec2.extract.worker import surviving


def run(
    units: Iterable[Unit], settings: Settings, workers: int
) -> Iterator[tuple[Unit, list[Outcome]]]:
    """Units as they are finished, in any order.

    When the caller stops iterating, the processes are ended.
    """
    children = [
        Child("xcodec2.extract.worker:worker", mine) for mine in for_each(settings, workers)
    ]
    free: SimpleQueue[Child] = SimpleQueue()
    for child in children:
        free.put(child)

    def work(unit: Unit) -> tuple[Unit, list[Outcome]]:
        child = free.get()
        try:
            return unit, surviving(unit.recordings, child)
        finally:
            free.put(child)

    pool = ThreadPoolExecutor(workers)
    running: set[Future[tuple[Unit, list[Outcome]]]] = set()
    try:
        for unit in units:
            running.add(pool.submit(work, unit))
            if (
                len(running) > workers
            ):  # one in hand, so that nobody waits; more would only take memory
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_all(children)


def for_each(settings: Settings, workers: int) -> list[Settings]:
    """Each worker's own settings: plain `cuda` means all GPUs in turn."""
    if settings.device != "cuda":
        return [settings] * workers
    import torch

    return [
        replace(settings, device=f"cuda:{n % torch.cuda.device_count()}") for n in range(workers)
    ]
