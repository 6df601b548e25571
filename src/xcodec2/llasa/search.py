"""Compute spent at inference: many candidates, of which verifiers choose.

    best-of-N       N whole candidates; the verifier keeps the best
    beam-BxN        every STEP tokens, each of B beams goes on in N ways; the process verifier
                    keeps the best B. At the end the verifier chooses among the B
    partial-BxN     beams for the first PARTIAL_SECONDS only, then each of the B is spoken to its
                    end and the verifier chooses

A process verifier is called with unfinished speech. Everything depends on the seed alone.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Backend, Generated, Sampling

STEP = 25  # tokens between two selections: half a second
PARTIAL_SECONDS = 2.0
METHOD = re.compile(r"(best-of)-(\d+)|(beam|partial)-(\d+)x(\d+)")
SEEDS_APART = 1_000_003  # a prime: seeds of the rounds of a beam search do not meet

Scorer: TypeAlias = Callable[[np.ndarray], float]  # codes (T,) → how good they sound


@dataclass(frozen=True)
class Search:
    """How compute is spent on choosing among candidates.

    Attributes:
        method: best-of, beam or partial.
        width: N of best-of, B of the others.
        ways: N of the others.
    """

    method: str
    width: int
    ways: int = 1

    @classmethod
    def parse(cls, text: str) -> Search:
        """The search of a name.

        Args:
            text: best-of-8, beam-4x4, partial-4x4, with numbers from 1 to 1024.

        Raises:
            LlasaError: For any other name.
        """
        match = METHOD.fullmatch(text)
        numbers = (
            [int(number) for number in (match[2], match[4], match[5]) if number] if match else []
        )
        if match is None or not all(0 < number <= 1024 for number in numbers):
            raise LlasaError(
                f"{text!r}: a search is best-of-8, beam-4x4 or partial-4x4, with numbers up to 1024"
            )
        return cls(match[1] or match[3], *numbers)


@dataclass(frozen=True)
class Candidate:
    """One way to speak a text.

    Attributes:
        codes: (T,) int64.
        finished: Whether the model ended by itself.
        seed: What it was drawn with.
        score: The selecting verifier's.
        process_score: The process verifier's last.
    """

    codes: np.ndarray
    finished: bool
    seed: int
    score: float = -np.inf
    process_score: float | None = None


@dataclass
class SearchResult:
    """What a search found and what it cost.

    Attributes:
        candidates: Those that the verifier chose among, best first.
        num_tokens: Codes generated in all.
        num_verifications: Calls of verifiers.
        rounds: Process scores kept in each round of a beam search.
    """

    candidates: list[Candidate]
    num_tokens: int = 0
    num_verifications: int = 0
    rounds: list[list[float]] = field(default_factory=list)

    @property
    def best(self) -> Candidate:
        """The candidate of the highest score that is finished, if one is."""
        return self.candidates[0]


def run_search(
    settings: Search,
    backend: Backend,
    prompt: np.ndarray,
    sampling: Sampling,
    seed: int,
    scorer: Scorer,
    process_scorer: Scorer | None = None,
    frame_rate: int = 50,
) -> SearchResult:
    """The best candidate for a prompt (L,).

    `process_scorer` scores unfinished speech, `scorer` does where there is none.

    Raises:
        LlasaError: Beams over a phoneme track, which codes alone do not continue.
    """
    if sampling.temperature == 0 and settings.width * settings.ways > 1:
        message = "at temperature 0 the candidates of a search are equal: draw them above 0"
        warnings.warn(message, UserWarning, stacklevel=2)
    if settings.method != "best-of" and backend.metadata.track:
        raise LlasaError(f"{backend.name} speaks on a phoneme track: search it with best-of-N")
    process_scorer = process_scorer or scorer
    if settings.method == "best-of":
        found = SearchResult([])
        candidates = spoken(
            backend,
            prompt,
            [Candidate(EMPTY, False, seed + i) for i in range(settings.width)],
            sampling,
        )
        found.num_tokens = sum(len(item.codes) for item in candidates)
    else:
        frames = None if settings.method == "beam" else round(PARTIAL_SECONDS * frame_rate)
        found, candidates = beams(settings, backend, prompt, sampling, seed, process_scorer, frames)
        if settings.method == "partial":
            whole = spoken(backend, prompt, candidates, sampling)
            found.num_tokens += sum(len(item.codes) for item in whole) - sum(
                len(item.codes) for item in candidates
            )
            candidates = whole
    scored = [replace(item, score=scorer(item.codes)) for item in candidates]
    found.num_verifications += len(scored)
    # a candidate that never ended is worse than any that did
    found.candidates = sorted(scored, key=lambda item: (item.finished, item.score), reverse=True)
    return found


EMPTY = np.zeros(0, np.int64)


def beams(
    settings: Search,
    backend: Backend,
    prompt: np.ndarray,
    sampling: Sampling,
    seed: int,
    process_scorer: Scorer,
    frames: int | None,
) -> tuple[SearchResult, list[Candidate]]:
    """At most B candidates: whole ones, or of `frames` codes where that is given."""
    found, alive = SearchResult([]), [Candidate(EMPTY, False, seed)]
    budget = sampling.budget(backend.context, len(prompt))
    limit = budget if frames is None else min(frames, budget)
    ways = settings.width * settings.ways  # the first round begins from one beam
    for number in range(1, limit // STEP + 2):
        open_ones = [not item.finished and len(item.codes) < limit for item in alive]
        growing = [item for item, is_open in zip(alive, open_ones, strict=True) if is_open]
        if not growing:
            break
        started = [
            replace(item, seed=seed + number * SEEDS_APART + index * ways + way)
            for index, item in enumerate(growing)
            for way in range(ways)
        ]
        step = min([STEP, *(limit - len(item.codes) for item in growing)])
        grown = spoken(backend, prompt, started, replace(sampling, max_tokens=step))
        found.num_tokens += sum(
            len(new.codes) - len(old.codes) for new, old in zip(grown, started, strict=True)
        )
        scored = [replace(item, process_score=process_scorer(item.codes)) for item in grown]
        found.num_verifications += len(scored)
        waiting = [item for item, is_open in zip(alive, open_ones, strict=True) if not is_open]
        alive = sorted(
            [*waiting, *scored], key=lambda item: item.process_score or 0.0, reverse=True
        )[: settings.width]
        found.rounds.append([float(item.process_score or 0.0) for item in alive])
        ways = settings.ways
    return found, alive


def spoken(
    backend: Backend, prompt: np.ndarray, started: Sequence[Candidate], sampling: Sampling
) -> list[Candidate]:
    """Each candidate continued by its seed, those that have ended as they are."""
    vocabulary = backend.prompts.vocabulary
    open_ones = [item for item in started if not item.finished]
    if not open_ones:
        return list(started)
    prompts = [np.concatenate([prompt, vocabulary.to_ids(item.codes)]) for item in open_ones]
    results: list[Generated] = backend.generate(
        prompts, [item.seed for item in open_ones], sampling
    )
    continued = iter(results)
    grown = []
    for item in started:
        if item.finished:
            grown.append(item)
        else:
            more = next(continued)
            grown.append(
                replace(
                    item, codes=np.concatenate([item.codes, more.codes]), finished=more.finished
                )
            )
    return grown
