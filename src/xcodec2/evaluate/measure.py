"""Everything measured of one recording: a row for each system, whatever happens."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, match_original
from xcodec2.evaluate.metrics import Metric, Pair
from xcodec2.evaluate.systems.system import System
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem

DECIMALS = 9  # the last bits depend on where an array lies in memory, and so on the process
VERSION = 1  # of what the metrics mean; another one makes old rows stale


@dataclass
class Speech:
    """One recording: (N,) float32 at 16 kHz, and what was computed of it alone for all systems."""

    waveform: np.ndarray
    text: str | None
    language: str | None
    cache: dict[Hashable, Any] = field(default_factory=dict)


def row_key(content: str, system: System, columns: Mapping[str, Any]) -> str:
    """What a row depends on: equal keys, equal rows.

    Args:
        content: Digest of the recording's samples.
        system: What they are given to.
        columns: Of the corpus; its text and language count.

    Returns:
        32 hexadecimal digits.
    """
    parts = (VERSION, content, system.key, columns.get("text"), columns.get("language"))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def measure(speech: Speech, system: System, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Run one system on one recording and measure what comes back.

    Args:
        speech: The recording.
        system: What turns it into other speech.
        metrics: What is measured.

    Returns:
        A flat row: seconds, bit_rate, codes, columns of the metrics; `error` when nothing could be
        measured, and `undefined`, metric → reason, for single ones.
    """
    row: dict[str, Any] = {"seconds": len(speech.waveform) / SAMPLE_RATE}
    encode = system.codes if isinstance(system, TokenizerSystem) else None
    try:
        if (
            isinstance(system, TokenizerSystem) and not metrics
        ):  # codes alone are wanted: nothing is decoded
            codes = system.codes(speech.waveform)
            rate = codes.size * system.bits_per_code / row["seconds"]
            return row | {"bit_rate": rate, "codes": codes.tolist()}
        decoded = system(speech.waveform)
        waveform = match_original(decoded.waveform, decoded.sample_rate, len(speech.waveform))
    except XCodec2Error as problem:
        return row | {"error": str(problem)}
    except Exception as problem:  # a foreign codec may raise anything, and costs its row alone
        return row | {"error": f"{type(problem).__name__}: {problem}"}
    if decoded.bits is not None:
        row["bit_rate"] = decoded.bits / row["seconds"]
    if decoded.codes is not None:
        row["codes"] = decoded.codes.tolist()
    original, text, language = speech.waveform, speech.text, speech.language
    pair = Pair(original, waveform, text, language, decoded.codes, encode, speech.cache)
    undefined = {}
    for metric in metrics:
        try:
            row |= values(metric, pair)
        except XCodec2Error as problem:
            undefined[metric.name] = str(problem)
        except Exception as problem:  # a user's metric may raise anything, too
            undefined[metric.name] = f"{type(problem).__name__}: {problem}"
    return row | ({"undefined": undefined} if undefined else {})


def values(metric: Metric, pair: Pair) -> dict[str, float]:
    """The columns of one metric, as rows hold them.

    Args:
        metric: What measures.
        pair: What is measured.

    Returns:
        Column → a finite number, to nine decimals.

    Raises:
        XCodec2Error: It is not defined, not finite, or of no column that the metric has named.
    """
    found = metric(pair)
    if unknown := set(found) - set(metric.gives):
        raise XCodec2Error(f"gave {', '.join(sorted(unknown))}, which its columns do not name")
    if infinite := [name for name, value in found.items() if not math.isfinite(value)]:
        raise XCodec2Error(f"{', '.join(infinite)}: not finite")
    return {
        name: int(value) if name in metric.counts else round(float(value), DECIMALS)
        for name, value in found.items()
    }
