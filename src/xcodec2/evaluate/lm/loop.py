"""What codes are worth to a language model: bits a second of speech, for every system of a run.

Every system's codes of the same speech teach the same model with equally many tokens; several seeds
give an interval. A finished model's number is kept in the report's folder, so that a run that is
interrupted resumes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.lm.streams import Streams, streams_of
from xcodec2.evaluate.lm.training import LmRecipe, train_and_measure
from xcodec2.evaluate.systems.system import System
from xcodec2.extras import require

NAME = "lm.jsonl"
VERSION = 1  # of what is trained; another one makes old results stale


def language_models(
    systems: Sequence[System],
    recordings: Sequence[Recording],
    folder: Path,
    *,
    minutes: float,
    seeds: int,
    workers: int,
) -> dict[str, Any]:
    """Train and measure a language model on each system's codes.

    Args:
        systems: Of the run; those without codes or bytes are left out.
        recordings: Of the run.
        folder: Of the report.
        minutes: Of speech that the first system's model learns from, with repetitions; the others
            get as many tokens.
        seeds: Models of each system.
        workers: Processes.

    Returns:
        minutes, tokens, seeds, and for each system its bits a second with an interval over seeds.

    Raises:
        XCodec2Error: No system has codes, recordings are too few, or a file cannot be written.
    """
    found = {system.name: streams_of(system, recordings) for system in systems}
    streams = {name: stream for name, stream in found.items() if stream is not None}
    if not streams:
        raise XCodec2Error("no system has codes that a language model could learn from")
    tokens = max(1, round(minutes * 60 * next(iter(streams.values())).bytes_a_second))
    kept = Kept(folder / NAME)
    jobs = [(name, seed) for name in streams for seed in range(seeds)]
    keys = {job: key_of(streams[job[0]], LmRecipe(tokens, job[1])) for job in jobs}
    waiting = [job for job in jobs if keys[job] not in kept.values]
    work = [(streams[name], LmRecipe(tokens, seed)) for name, seed in waiting]
    with tqdm(total=len(work), unit="model", desc="language models", disable=None) as bar:
        for job, bits in zip(waiting, measured(work, workers), strict=True):
            kept.add(keys[job], bits)
            bar.update()
    return {
        "minutes": minutes,
        "tokens": tokens,
        "seeds": seeds,
        "systems": {
            name: lm_facts(stream, [kept.values[keys[name, seed]] for seed in range(seeds)], tokens)
            for name, stream in streams.items()
        },
    }


def measured(work: Sequence[tuple[Streams, LmRecipe]], workers: int) -> Iterator[float]:
    """Bits a second of each piece of work, in its order, as they come.

    Args:
        work: Codes and recipe of each model.
        workers: Processes.

    Yields:
        Bits a second.

    Raises:
        XCodec2Error: A loss is not finite, or a process died.
    """
    if workers == 1 or len(work) < 2:
        yield from (train_and_measure(*one) for one in work)
        return
    with ProcessPoolExecutor(min(workers, len(work)), get_context("spawn")) as executor:
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


def lm_facts(stream: Streams, bits: Sequence[float], tokens: int) -> dict[str, Any]:
    """What is said of one system."""
    low, high = t_interval(bits)
    return {
        "bits_a_second": float(np.mean(bits)),
        "low": low,
        "high": high,
        "of_seeds": list(bits),
        "tokens_a_second": stream.bytes_a_second,
        "seconds_learned": tokens / stream.bytes_a_second,
        "held_out_seconds": stream.rest_seconds,
        "layout": stream.layout,
    }


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a mean by Student's distribution; None of a single value."""
    if len(values) < 2:
        return None, None
    stats = require("scipy.stats", extra="evaluate", purpose="an interval over seeds")
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def key_of(streams: Streams, recipe: LmRecipe) -> str:
    """What a result depends on: the codes, how they are laid out, and the recipe."""
    digest = hashlib.sha256(repr((VERSION, streams.slots, dataclasses.astuple(recipe))).encode())
    for part in (streams.training, streams.rest):
        for stream in part:
            digest.update(len(stream).to_bytes(8, "big") + stream.tobytes())
    digest.update(repr((streams.training_seconds, streams.rest_seconds)).encode())
    return digest.hexdigest()[:32]


class Kept:
    """Results that are there already, a JSON line each.

    Args:
        path: Of the file; half a line, from a run that was killed, is dropped.

    Raises:
        XCodec2Error: It is damaged, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, dict[str, float]()
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                self.values[entry["key"]] = float(entry["bits"])
            except (ValueError, KeyError, TypeError) as problem:
                raise XCodec2Error(
                    f"{path}: is damaged; remove it to train all language models again"
                ) from problem
            whole += len(line)
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(whole)

    def add(self, key: str, bits: float) -> None:
        """Keep a result, on disk before anything else happens.

        Args:
            key: See `key_of`.
            bits: A second of speech.

        Raises:
            XCodec2Error: The file cannot be written.
        """
        self.values[key] = bits
        try:
            with self.path.open("ab") as file:
                file.write(json.dumps({"key": key, "bits": bits}).encode() + b"\n")
        except OSError as problem:
            raise XCodec2Error(f"{self.path}: cannot be written ({problem.strerror})") from problem
