"""What codes are worth to a language model: how well one learns to speak in them.

Every system's codes of the same speech teach the same model with equally many tokens; several seeds
give an interval. Measured are the bits that held-out speech needs, and the words and the sound of
what the model says itself. A finished model's numbers are kept in the report's folder, so that an
interrupted run resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xcodec2.corpus import Recording
from xcodec2.corpus.labels import Interval
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.lm.judging import Judged, Listeners
from xcodec2.evaluate.lm.speaking import PROMPT, TEMPERATURE, say_all
from xcodec2.evaluate.lm.steps import Layout
from xcodec2.evaluate.lm.streams import ByteStream, Streams, streams_of
from xcodec2.evaluate.lm.training import LmRecipe, held_out_bits, one_thread, trained
from xcodec2.evaluate.systems.system import System
from xcodec2.evaluate.workers import process_pool
from xcodec2.extras import require

NAME = "lm.jsonl"
VERSION = 2  # of what is trained; another one makes old results stale
MEASURED = ("bits_a_second", "bits_told", "wer", "mos")

Job = tuple[str, bool, int]  # system, delayed, seed


@dataclasses.dataclass(frozen=True)
class LmPlan:
    """What is asked for.

    Attributes:
        minutes: Of speech that the first system's model learns from, with repetitions; the others
            get as many tokens.
        seeds: Models of each system.
        sentences: Held-out recordings that each model says; 0 for none.
        asr: As `evaluators.asr` takes it, for what they say.
    """

    minutes: float
    seeds: int = 3
    sentences: int = 12
    asr: str = "moonshine"


def language_models(
    systems: Sequence[System],
    recordings: Sequence[Recording],
    folder: Path,
    plan: LmPlan,
    *,
    labels: Mapping[str, list[Interval]] | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Train a language model on each system's codes, measure it, and hear what it says.

    Args:
        systems: Of the run; those without codes or bytes are left out.
        recordings: Of the run.
        folder: Of the report.
        plan: What is asked for.
        labels: Recording's id → its phones: then the models learn to speak phones.
        workers: Processes that train.

    Returns:
        minutes, tokens, seeds, how it was spoken, for each system its facts (see `lm_facts`), and
        why others have none.

    Raises:
        XCodec2Error: No system has codes, recordings are too few for each, or a file cannot be
            written.
    """
    streams: dict[str, Streams] = {}
    failed: dict[str, str] = {}
    for system in systems:
        try:
            found = streams_of(system, recordings, labels)
        except XCodec2Error as problem:  # a broken codec costs its own model alone
            failed[system.name] = str(problem)
            continue
        if found is not None:
            streams[system.name] = found
    if not streams:
        nothing = "no system has codes that a language model could learn from"
        raise XCodec2Error(next(iter(failed.values()), nothing))
    tokens = max(1, round(plan.minutes * 60 * next(iter(streams.values())).bytes_a_second))
    judges = Listeners(plan.asr) if plan.sentences else None
    by_name = {system.name: system for system in systems}
    kept = Kept(folder / NAME)
    jobs = [
        (name, delayed, seed)
        for name, stream in streams.items()
        for delayed in ((False, True) if stream.form.books > 1 else (False,))
        for seed in range(plan.seeds)
    ]
    recipes = {job: dataclasses.replace(LmRecipe(tokens, job[2]), delayed=job[1]) for job in jobs}
    heard = judges.implementation if judges else ""
    keys = {
        job: key_of(streams[job[0]], recipes[job], (plan.sentences, heard, by_name[job[0]].key))
        for job in jobs
    }
    waiting = [job for job in jobs if keys[job] not in kept.values]
    work = [(streams[job[0]], recipes[job], plan.sentences) for job in waiting]
    with (
        tqdm(total=len(work), unit="model", desc="language models", disable=None) as bar,
        one_thread(),
    ):
        for job, (bits, said) in zip(waiting, measured(work, workers), strict=True):
            name = job[0]
            wanted = to_say(streams[name], plan.sentences)
            judged = judges.listen(by_name[name], streams[name], said, wanted) if judges else {}
            kept.add(keys[job], bits | judged)
            bar.update()
    return {
        "minutes": plan.minutes,
        "tokens": tokens,
        "seeds": plan.seeds,
        "sentences": plan.sentences,
        "told": "phones" if labels else f"the first {PROMPT:g} s",
        "temperature": TEMPERATURE,
        "missing": judges.missing if judges else {},
        "failed": failed,
        "judges": heard,
        "systems": {
            name: system_facts(name, stream, jobs, keys, kept, tokens)
            | (ceiling(by_name[name], stream, judges, plan.sentences) if judges else {})
            for name, stream in streams.items()
        },
    }


def to_say(streams: Streams, sentences: int) -> list[ByteStream]:
    """The first held-out recordings, the same for each system."""
    return list(streams.rest[:sentences])


def train_and_measure(
    streams: Streams, recipe: LmRecipe, sentences: int = 0
) -> tuple[Judged, list[np.ndarray]]:
    """Train one model, measure it on held-out recordings, and let it speak, in one thread.

    Args:
        streams: Codes of one system.
        recipe: Of the run.
        sentences: How many to say.

    Returns:
        bits_a_second, without knowing phones, and bits_told where there are some; and what was
        said, (N,) uint8 each.

    Raises:
        XCodec2Error: The loss is not finite.
    """
    with one_thread():
        model = trained(streams, recipe)
        bits = {"bits_a_second": held_out_bits(model, streams, told=False)}
        if streams.phones:
            bits["bits_told"] = held_out_bits(model, streams, told=True)
        wanted = to_say(streams, sentences)
        return bits, say_all(model, streams, wanted) if wanted else []


def measured(
    work: Sequence[tuple[Streams, LmRecipe, int]], workers: int
) -> Iterator[tuple[Judged, list[np.ndarray]]]:
    """What `train_and_measure` gives of each piece of work, in its order, as they come.

    Args:
        work: Codes, recipe and sentences of each model.
        workers: Processes.

    Yields:
        Its results.

    Raises:
        XCodec2Error: A loss is not finite, or a process died.
    """
    if workers == 1 or len(work) < 2:
        yield from (train_and_measure(*one) for one in work)
        return
    with process_pool(min(workers, len(work))) as executor:
        try:
            yield from executor.map(train_and_measure, *zip(*work, strict=True))
        except BrokenProcessPool as problem:
            raise XCodec2Error(
                "a process that trained a language model died, perhaps for want of memory: start "
                "again with fewer workers, it resumes from here"
            ) from problem
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def system_facts(
    name: str,
    streams: Streams,
    jobs: Sequence[Job],
    keys: Mapping[Job, str],
    kept: Kept,
    tokens: int,
) -> dict[str, Any]:
    """What is said of one system; of several codebooks, `delayed` has the same for the other
    layout.
    """
    facts: dict[str, Any] = {}
    for delayed in (True, False):
        values = [kept.values[keys[job]] for job in jobs if job[:2] == (name, delayed)]
        if values:
            words = Layout(streams.form, delayed).words
            facts = lm_facts(streams, values, tokens, words) | ({"delayed": facts} if facts else {})
    return facts


def lm_facts(
    streams: Streams, values: Sequence[Judged], tokens: int, layout: str
) -> dict[str, Any]:
    """What is said of one system in one layout: MEASURED with intervals over seeds (the first
    stands for itself), and what was learned from.
    """
    facts: dict[str, Any] = {}
    for name in MEASURED:
        found = [value[name] for value in values if name in value]
        if found:
            low, high = t_interval(found)
            facts[name] = {
                "mean": float(np.mean(found)), "low": low, "high": high, "of_seeds": found
            }  # fmt: skip
    bits = facts.pop("bits_a_second")
    bits["bits_a_second"] = bits.pop("mean")
    return {
        **bits,
        **facts,
        "tokens_a_second": streams.bytes_a_second,
        "seconds_learned": tokens / streams.bytes_a_second,
        "held_out_seconds": streams.rest_seconds,
        "layout": layout,
    }


def ceiling(system: System, streams: Streams, judges: Listeners, sentences: int) -> dict[str, Any]:
    """The same judges on the codec's own codes of what the models say: they cannot speak better."""
    wanted = to_say(streams, sentences)
    found = judges.listen(system, streams, [stream.bytes for stream in wanted], wanted)
    return {"ceiling": found} if found else {}


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean by Student's distribution; None of a single value."""
    if len(values) < 2:
        return None, None
    stats = require("scipy.stats", extra="evaluate", purpose="an interval over seeds")
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def key_of(streams: Streams, recipe: LmRecipe, more: object = None) -> str:
    """What a result depends on: the codes, how they are laid out, the recipe, and who judges."""
    parts = (VERSION, streams.form, streams.phones, dataclasses.astuple(recipe), more)
    digest = hashlib.sha256(repr(parts).encode())
    for part in (streams.training, streams.rest):
        for stream in part:
            digest.update(repr((stream.seconds, stream.text, stream.language)).encode())
            for array in (stream.bytes, stream.sizes, stream.phones):
                digest.update(len(array).to_bytes(8, "big") + array.tobytes())
    return digest.hexdigest()[:32]


class Kept:
    """Results that are there already, a JSON line each.

    Args:
        path: Of the file; half a line, from a run that was killed, is dropped.

    Raises:
        XCodec2Error: It is damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, dict[str, Judged]()
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                if "bits" not in entry:  # which version 1 wrote
                    self.values[entry["key"]] = {n: float(v) for n, v in entry["values"].items()}
            except (ValueError, KeyError, TypeError, AttributeError) as problem:
                raise XCodec2Error(
                    f"{path}: is damaged; remove it to train all language models again"
                ) from problem
            whole += len(line)
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(whole)

    def add(self, key: str, values: Judged) -> None:
        """Keep a result, on disk before anything else happens.

        Args:
            key: See `key_of`.
            values: By name.

        Raises:
            XCodec2Error: The file cannot be written.
        """
        self.values[key] = values
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps({"key": key, "values": values}).encode() + b"\n")
        except OSError as problem:
            raise XCodec2Error(f"{self.path}: cannot be written ({problem.strerror})") from problem
