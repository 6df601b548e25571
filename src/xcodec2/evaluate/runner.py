"""The run: recordings times systems, in any number of processes, each result kept as soon as it is
there.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import torch

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.journal import Journal
from xcodec2.evaluate.measure import Panel, Settings, Speech, load, measure, row_key
from xcodec2.evaluate.systems import System, baseline, model_system

COSTLY = (
    "dnsmos",
    "distillmos",
    "wer",
)  # measures of about a second each, where the others take a tenth
AHEAD = 4  # recordings a worker that wait or are under way: keeps workers busy and memory flat


@dataclass(frozen=True)
class Plan:
    """What to evaluate, small enough to be sent to other processes, which load it for themselves.

    functions: systems made in Python. seconds: recordings that are shorter or longer are left out.
    judged: ids of the recordings that the costly judges get; all when it is None.
    """

    models: tuple[str, ...]
    baselines: tuple[str, ...]
    settings: Settings
    functions: tuple[System, ...] = ()
    device: str = "cpu"
    seconds: tuple[float, float] | None = None
    judged: frozenset[str] | None = None

    def systems(self) -> list[System]:
        """Loaded. Raises XCodec2Error for what cannot be, and when two have one name."""
        systems = [model_system(source, self.device) for source in self.models]
        systems += [*self.functions, *(baseline(name) for name in self.baselines)]
        names = [system.name for system in systems]
        if twice := {name for name in names if names.count(name) > 1}:
            raise XCodec2Error(
                f"two systems are called {', '.join(sorted(twice))}; give one another folder or name"
            )
        if not systems:
            raise XCodec2Error("nothing to evaluate: name a model or a baseline")
        return systems


@dataclass(frozen=True)
class Result:
    """Of one recording. system → key, for all that is known now; new: key → (measure →
    implementation, row).

    error: why the recording could not be used at all. left_out: its length is not asked for.
    """

    keys: Mapping[str, str]
    new: Mapping[str, tuple[dict[str, str], dict[str, Any]]]
    error: str | None = None
    left_out: bool = False


class Worker:
    """What every process has loaded: systems and judges, and the knowledge of what has been made
    already.
    """

    def __init__(
        self,
        plan: Plan,
        systems: Sequence[System],
        panel: Panel,
        made: Mapping[str, dict[str, str]],
    ) -> None:
        self.plan, self.systems, self.panel, self.made = plan, systems, panel, made

    def __call__(self, recording: Recording) -> Result:
        """Measure what is not known yet. Whatever is wrong with the recording is in the result."""
        try:
            waveform, content = load(recording)
        except XCodec2Error as problem:
            return Result({}, {}, error=str(problem))
        shortest, longest = self.plan.seconds or (0.0, float("inf"))
        if not shortest <= len(waveform) / 16_000 <= longest:
            return Result({}, {}, left_out=True)
        columns = recording.columns
        speech = Speech(waveform, as_text(columns.get("text")), as_text(columns.get("language")))
        keys, new = {}, {}
        for system in self.systems:
            key = keys[system.name] = row_key(content, system, columns)
            made = self.made.get(key)
            names = self.panel.unmade(made or {})
            if self.plan.judged is not None and recording.id not in self.plan.judged:
                names = tuple(name for name in names if name not in COSTLY)
            if made is None or names:
                row = measure(speech, system, self.panel, names)
                new[key] = ({name: self.panel.implementations[name] for name in names}, row)
        return Result(keys, new)


def as_text(value: object) -> str | None:
    return str(value) if isinstance(value, str) and value.strip() else None


def run(
    plan: Plan,
    systems: Sequence[System],
    panel: Panel,
    recordings: Sequence[Recording],
    journal: Journal,
    workers: int,
    progress: Callable[[], object],
) -> list[dict[str, Any]]:
    """Rows in the order of recordings and systems. `progress` is called after each recording.

    systems, panel: what the plan says, loaded; a single worker uses them, several load their own.
    """
    results: dict[int, Result] = {}
    here = Worker(plan, systems, panel, journal.made())
    with pool(here, workers) as submit:
        for index, result in completed(submit, recordings, workers):
            for key, (made, row) in result.new.items():
                journal.add(key, made, row)
            results[index] = result
            progress()
    names = [system.name for system in systems]
    return [
        row
        for index, recording in enumerate(recordings)
        for row in rows_of(recording, results[index], journal, names)
    ]


def rows_of(
    recording: Recording, result: Result, journal: Journal, names: list[str]
) -> Iterator[dict[str, Any]]:
    """One row for each system, also for a recording that could not be used; none for one that was
    left out.
    """
    if result.left_out:
        return
    for name in names:
        measured = {"error": result.error} if result.error else journal.row(result.keys[name])
        yield {
            "id": recording.id,
            "source": recording.source,
            "system": name,
            "columns": recording.columns,
            **measured,
        }


_worker: Worker | None = None


def _start(plan: Plan, made: Mapping[str, dict[str, str]]) -> None:
    global _worker
    torch.set_num_threads(1)  # sums in another order would be other numbers
    _worker = Worker(plan, plan.systems(), Panel(plan.settings), made)


def _work(recording: Recording) -> Result:
    assert _worker is not None
    return _worker(recording)


Submit = Callable[[Recording], "Future[Result]"]


@contextmanager
def pool(here: Worker, workers: int) -> Iterator[Submit]:
    """What takes work: other processes with the same plan, or this one when there is one worker
    only.
    """
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield lambda recording: done(here(recording))
        finally:
            torch.set_num_threads(threads)
        return
    try:
        pickle.dumps(here.plan)
    except Exception as problem:
        raise XCodec2Error(
            f"a function that cannot be sent to a process needs workers=1 ({problem})"
        ) from problem
    with ProcessPoolExecutor(
        workers, get_context("spawn"), _start, (here.plan, dict(here.made))
    ) as executor:
        try:
            yield lambda recording: executor.submit(_work, recording)
        except BrokenProcessPool as problem:
            raise XCodec2Error(
                "a worker process died, perhaps for want of memory: start the same command again with fewer --workers, "
                "it goes on from here"
            ) from problem
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def done(result: Result) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def completed(
    submit: Submit, recordings: Iterable[Recording], workers: int
) -> Iterator[tuple[int, Result]]:
    """Results as they come, with the recording's index, never far ahead of the slowest."""
    waiting: dict[Future[Result], int] = {}
    for index, recording in enumerate(recordings):
        waiting[submit(recording)] = index
        while len(waiting) >= (AHEAD * workers if workers > 1 else 1):
            yield from finished(waiting)
    while waiting:
        yield from finished(waiting)


def finished(waiting: dict[Future[Result], int]) -> Iterator[tuple[int, Result]]:
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()
