"""What codes know: how a codebook is used, how far codes can be compressed, and how far they tell
phones and speakers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xcodec2.corpus.labels import Interval
from xcodec2.evaluate.probing.compression import Compressibility
from xcodec2.evaluate.probing.metric import Row, TokenMetric, Tokens
from xcodec2.evaluate.probing.phone_abx import ABX
from xcodec2.evaluate.probing.phonology import Articulation
from xcodec2.evaluate.probing.probes import CodebookUse, PhoneKnowledge, SpeakerLeakage
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

__all__ = ["TOKEN_METRICS", "TokenMetric", "Tokens", "token_facts"]

TOKEN_METRICS: tuple[type[TokenMetric], ...] = (
    CodebookUse,
    Compressibility,
    PhoneKnowledge,
    ABX,
    Articulation,
    SpeakerLeakage,
)  # in the order of tables

MIN_RECORDINGS = 10  # of a language, to be looked at by itself


def token_facts(
    system: TokenizerSystem, rows: Sequence[Row], labels: Mapping[str, list[Interval]]
) -> dict[str, Any]:
    """All that is measured of a system's codes.

    Args:
        system: Whose codes the rows hold.
        rows: Of recordings, each with codes; at least one.
        labels: Recording's id → its phones, where they are known.

    Returns:
        Metric → what it gives, and `languages`: language → metric → the fields that are shown of
        it, where the corpus has several with ten recordings each.
    """
    facts: dict[str, Any] = {
        metric.name: metric()(Tokens(system, rows, labels)) for metric in TOKEN_METRICS
    }
    by_language: dict[str, list[Row]] = {}
    for row in rows:
        if language := row["columns"].get("language"):
            by_language.setdefault(str(language), []).append(row)
    large = {name: own for name, own in by_language.items() if len(own) >= MIN_RECORDINGS}
    facts["languages"] = {
        language: of_language(Tokens(system, own, labels, brief=True))
        for language, own in (sorted(large.items()) if len(by_language) > 1 else ())
    }
    return facts


def of_language(tokens: Tokens) -> dict[str, Any]:
    """The fields that are shown of a single language."""
    shown: dict[str, Any] = {"recordings": len(tokens.rows)}
    for metric in TOKEN_METRICS:
        found = (metric()(tokens) or {}) if metric.of_languages else {}
        fields = {name: found[name] for name in metric.of_languages if found.get(name) is not None}
        if fields:
            shown[metric.name] = fields
    return shown
