"""The ABX errors of a corpus' codes, as vectors and as tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from xcodec2.evaluate.probing.abx import abx, items_of
from xcodec2.evaluate.probing.metric import TokenMetric, Tokens

MODES = {  # field's end → across speakers, any context
    "within": (False, False),
    "across": (True, False),
    "within_any": (False, True),
    "across_any": (True, True),
}
TITLES = {
    "within": "one speaker, one context",
    "across": "another speaker, one context",
    "within_any": "one speaker, any context",
    "across_any": "another speaker, any context",
}


class ABX(TokenMetric):
    """Errors with the codes' vectors, and with codes that are the same or not."""

    name = "abx"
    lines: ClassVar[Mapping[str, str]] = {
        f"ABX error, {kind}: {title}": f"{kind}_{mode}:.3f"
        for kind in ("vectors", "tokens")
        for mode, title in TITLES.items()
    }
    of_languages: ClassVar[Mapping[str, str]] = {
        "vectors_within_any": "ABX, vectors",
        "tokens_within_any": "ABX, tokens",
    }

    def __call__(self, tokens: Tokens) -> dict[str, Any] | None:
        """Errors with intervals; None without labels. Recordings without a speaker are one's."""
        vectors = tokens.system.vectors
        kinds: dict[str, Callable[[np.ndarray], np.ndarray]] = {"tokens": lambda codes: codes}
        if vectors(tokens.codes[0]) is not None:
            kinds = {"vectors": vectors, **kinds}  # type: ignore[dict-item]
        result: dict[str, Any] = {}
        for kind, frames_of in kinds.items():
            items = [
                item
                for row, codes in zip(tokens.rows, tokens.codes, strict=True)
                if row["id"] in tokens.labels
                for item in items_of(
                    frames_of(codes),
                    tokens.labels[row["id"]],
                    tokens.frame_rate,
                    str(row["columns"].get("speaker") or ""),
                )
            ]
            for mode, (across, anywhere) in MODES.items():
                found = abx(items, across_speakers=across, any_context=anywhere)
                if found is not None:
                    name = f"{kind}_{mode}"
                    result[name] = found.error
                    result[f"{name}_interval"] = [found.low, found.high]
                    result[f"{name}_pairs"] = found.pairs
        return result or None
