"""The run: recordings times systems, in any number of processes, each result kept as soon as it is
there.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import is_taken, load_recording
from xcodec2.evaluate.journal import Journal
from xcodec2.evaluate.measure import Speech, measure, row_key
from xcodec2.evaluate.metrics.selection import MetricSet, Selection
from xcodec2.evaluate.systems.named import baseline
from xcodec2.evaluate.systems.system import System
from xcodec2.evaluate.systems.tokenizer import model_names, model_system
from xcodec2.evaluate.workers import process_pool

AHEAD = 4  # recordings per worker that wait or are under way: keeps workers busy and memory flat


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate, small enough to be sent to other processes, which load it for themselves.

    Attributes:
        models: As `model_system` takes them.
        baselines: As `baseline` takes them.
        selection: The metrics.
        made: Systems made in Python.
        device: For models.
        seconds: Shortest and longest recording; others are left out.
        costly_ids: Recordings that costly metrics are measured on; all when it is None.
    """

    models: tuple[str, ...]
    baselines: tuple[str, ...]
    selection: Selection
    made: tuple[System, ...] = ()
    device: str = "cpu"
    seconds: tuple[float, float] | None = None
    costly_ids: frozenset[str] | None = None

    def systems(self) -> list[System]:
        """Load them. Raises XCodec2Error for what cannot be, and when two have one name."""
        models = zip(self.models, model_names(self.models), strict=True)
        systems: list[System] = [model_system(one, self.device, name) for one, name in models]
        systems += [*self.made, *(baseline(name) for name in self.baselines)]
        names = [system.name for system in systems]
        if twice := {name for name in names if names.count(name) > 1}:
            raise XCodec2Error(
                f"two systems are called {', '.join(sorted(twice))}; "
                "give one another folder or name"
            )
        if not systems:
            raise XCodec2Error("nothing to evaluate: name a model or a baseline")
        return systems


@dataclass(frozen=True)
class Result:
    """What was found out about one recording.

    Attributes:
        keys: System → key, for all that is known now.
        new: Key → (metric → implementation, row).
        content: Digest of the recording's samples.
        error: Why the recording could not be used at all.
        left_out: Its length is not asked for.
    """

    keys: Mapping[str, str]
    new: Mapping[str, tuple[dict[str, str], dict[str, Any]]]
    content: str | None = None
    error: str | None = None
    left_out: bool = False


class Worker:
    """What every process has loaded, and what has been measured already.

    Args:
        plan: What to evaluate.
        systems: The plan's, loaded.
        metrics: The plan's, loaded.
        done: Key → metric → implementation.
    """

    def __init__(
        self,
        plan: EvaluationPlan,
        systems: Sequence[System],
        metrics: MetricSet,
        done: Mapping[str, dict[str, str]],
    ) -> None:
        self.plan, self.systems, self.metrics, self.done = plan, systems, metrics, done

    def __call__(self, recording: Recording) -> Result:
        """Measure what is not known yet. Whatever is wrong with the recording is in the result."""
        try:
            waveform, content = load_recording(recording)
        except XCodec2Error as problem:
            return Result({}, {}, error=str(problem))
        if not is_taken(waveform, self.plan.seconds):
            return Result({}, {}, left_out=True)
        columns = recording.columns
        speech = Speech(
            waveform, text_or_none(columns.get("text")), text_or_none(columns.get("language"))
        )
        keys, new = {}, {}
        for system in self.systems:
            key = keys[system.name] = row_key(content, system, columns)
            done = self.done.get(key)
            wanted = self.metrics.to_measure(done or {})
            if self.plan.costly_ids is not None and recording.id not in self.plan.costly_ids:
                wanted = tuple(metric for metric in wanted if metric.cost == "low")
            if done is None or wanted:
                stale = [name for m in wanted if m.name in (done or {}) for name in m.gives]
                row = dict.fromkeys(stale) | measure(speech, system, wanted)
                made = {m.name: self.metrics.implementations[m.name] for m in wanted}
                new[key] = (made, row)
        return Result(keys, new, content)


def text_or_none(value: object) -> str | None:
    """Text that says something; None for anything else."""
    return str(value) if isinstance(value, str) and value.strip() else None


def run_evaluation(
    plan: EvaluationPlan,
    systems: Sequence[System],
    metrics: MetricSet,
    recordings: Sequence[Recording],
    journal: Journal,
    workers: int,
    progress: Callable[[], object],
) -> list[dict[str, Any]]:
    """Measure all recordings, or what of them has not been measured yet.

    Args:
        plan: What to evaluate.
        systems: The plan's, loaded; a single worker uses them, several load their own.
        metrics: The same for metrics.
        recordings: Of the corpus.
        journal: Keeps every result at once.
        workers: Processes.
        progress: Is called after each recording.

    Returns:
        Rows in the order of recordings and systems.

    Raises:
        XCodec2Error: A worker died, or what was made in Python cannot be sent to one.
    """
    results: dict[int, Result] = {}
    here = Worker(plan, systems, metrics, journal.made())
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
            **({"content": result.content} if result.content else {}),
            **measured,
        }


_worker: Worker | None = None


def _start(plan: EvaluationPlan, done: Mapping[str, dict[str, str]]) -> None:
    global _worker
    torch.set_num_threads(1)  # sums in another order would be other numbers
    _worker = Worker(plan, plan.systems(), MetricSet(plan.selection), done)


def _work(recording: Recording) -> Result:
    assert _worker is not None
    return _worker(recording)


Submit = Callable[[Recording], "Future[Result]"]


@contextmanager
def pool(here: Worker, workers: int) -> Iterator[Submit]:
    """What takes work: other processes with the same plan, or this one when there is one worker
    only.

    Raises:
        XCodec2Error: A part of the plan cannot be sent to a process, or a process died.
    """
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield lambda recording: completed_future(here(recording))
        finally:
            torch.set_num_threads(threads)
        return
    try:
        pickle.dumps(here.plan)
    except Exception as problem:
        raise XCodec2Error(
            f"a system or metric that cannot be sent to a process needs workers=1 ({problem})"
        ) from problem
    with process_pool(workers, _start, (here.plan, dict(here.done))) as executor:
        try:
            yield lambda recording: executor.submit(_work, recording)
        except BrokenProcessPool as problem:
            raise XCodec2Error(
                "a worker process died, perhaps for want of memory: start the same command again "
                "with fewer --workers, it resumes from here"
            ) from problem
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def completed_future(result: Result) -> Future[Result]:
    """A future that has its result."""
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
    """Take what is done out of `waiting`, as soon as something is."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()
