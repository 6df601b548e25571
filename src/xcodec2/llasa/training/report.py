"""What a search did, for the file beside the audio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xcodec2.llasa.search import Candidate
from xcodec2.llasa.speaker import Speaker, Spoken, Voice
from xcodec2.llasa.verifiers import Verifier


def report(
    speaker: Speaker,
    spoken: Spoken,
    voice: Voice | None,
    verifiers: Mapping[str, Verifier],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Budget, seed, and the scores of every candidate by every verifier; those that did not choose
    too.

    `chosen` are the means over the pieces of the text. `resynthesis` is what the codec alone makes
    of the voice clip, by the same verifiers: no speech over these codes can be expected to sound
    better.
    """
    pieces: list[dict[str, Any]] = []
    for index, (text, best) in enumerate(spoken.pieces):
        candidates = spoken.found[index].candidates if spoken.found else [best]
        rows = [judged(item, text, speaker, voice, verifiers, options) for item in candidates]
        pieces.append({"text": text, "candidates": rows})
    chosen = {
        name: mean([piece["candidates"][0]["scores"][name] for piece in pieces])
        for name in verifiers
    }
    facts = {
        "lm": speaker.backend.name,
        "codec": speaker.codec.model_id,
        "search": options.get("how"),
        "verifier": options.get("verifier_name"),
        "process_verifier": options.get("process_name"),
        "seed": options.get("seed"),
        "temperature": options.get("temperature"),
        "tokens_generated": sum(item.generated for item in spoken.found) or len(spoken.codes),
        "verifications": sum(item.heard for item in spoken.found),
        "chosen": chosen,
        "pieces": pieces,
    }
    if voice is not None:
        scores = {
            name: speaker.scorer(verify, voice.text, voice)(voice.codes)
            for name, verify in verifiers.items()
        }
        facts["resynthesis"] = {name: plain(value) for name, value in scores.items()}
    return facts


def judged(
    item: Candidate,
    text: str,
    speaker: Speaker,
    voice: Voice | None,
    verifiers: Mapping[str, Verifier],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """One candidate; the selecting verifier's score is the one that it chose by."""
    scores = {}
    for name, verify in verifiers.items():
        known = item.score if name == options.get("verifier_name") else None
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
    """JSON has no infinity: what could not be judged is null."""
    return float(value) if np.isfinite(value) else None


def mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
