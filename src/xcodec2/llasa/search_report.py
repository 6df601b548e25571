"""What a search did, for the file beside the audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.search import Candidate
from xcodec2.llasa.speaker import Speaker, Spoken
from xcodec2.llasa.verifiers import Verifier
from xcodec2.llasa.voices import Voice


@dataclass(frozen=True)
class Request:
    """What was asked for, in the words that it was asked in.

    Attributes:
        search: best-of-8 and the like; None without a search.
        verifier: Name of the one that chose.
        process_verifier: Name of the one that chose among beams.
        verifiers: All that score, those that did not choose too, by their names.
        seed: Of the first candidate.
        sampling: How tokens were drawn.
    """

    search: str | None
    verifier: str | None
    process_verifier: str | None
    verifiers: Mapping[str, Verifier]
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)

    def chose(self, name: str) -> bool:
        """Whether the verifier of this name had a say in what was kept."""
        return name in (self.verifier, self.process_verifier)


def search_report(
    speaker: Speaker, spoken: Spoken, voice: Voice | None, request: Request
) -> dict[str, Any]:
    """Budget, seed, and the scores of every candidate by every verifier.

    `chosen` are the means over the pieces of the text. `resynthesis` is what the codec alone makes
    of the voice clip, by the same verifiers: no speech over these codes can be expected to sound
    better.
    """
    pieces: list[dict[str, Any]] = []
    for index, (text, best) in enumerate(spoken.pieces):
        candidates = spoken.searches[index].candidates if spoken.searches else [best]
        rows = [scored(item, text, speaker, voice, request) for item in candidates]
        pieces.append({"text": text, "candidates": rows})
    chosen = {
        name: mean([piece["candidates"][0]["scores"][name] for piece in pieces])
        for name in request.verifiers
    }
    searches = spoken.searches
    facts = {
        "lm": speaker.backend.name,
        "codec": speaker.codec.model_id,
        "search": request.search,
        "verifier": request.verifier,
        "process_verifier": request.process_verifier,
        "seed": request.seed,
        "temperature": request.sampling.temperature,
        "tokens_generated": sum(item.num_tokens for item in searches) or len(spoken.codes),
        "verifications": sum(item.num_verifications for item in searches),
        "chosen": chosen,
        "pieces": pieces,
    }
    if voice is not None:
        scores = {
            name: speaker.scorer(verify, voice.text, voice)(voice.codes)
            for name, verify in request.verifiers.items()
        }
        facts["resynthesis"] = {name: plain(value) for name, value in scores.items()}
    return facts


def scored(
    item: Candidate, text: str, speaker: Speaker, voice: Voice | None, request: Request
) -> dict[str, Any]:
    """One candidate; the selecting verifier's score is the one that it chose by."""
    scores = {}
    for name, verify in request.verifiers.items():
        known = item.score if request.search and name == request.verifier else None
        scores[name] = plain(
            known if known is not None else speaker.scorer(verify, text, voice)(item.codes)
        )
    return {
        "seed": item.seed,
        "tokens": len(item.codes),
        "finished": item.finished,
        "scores": scores,
    }


def plain(value: float) -> float | None:
    """JSON has no infinity: what could not be scored is null."""
    return float(value) if np.isfinite(value) else None


def mean(values: list[float | None]) -> float | None:
    """The mean of the values that there are; None of none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
