"""A corpus in, shards of tokens out: resumable, on one laptop or on a Ray cluster.

    corpus → plan (units of rows, keyed by content)
           → engine (local or Ray): read → encode
           → store (one Parquet file a unit)

Examples:
    >>> from xcodec2.extract import extract, open_extraction
    >>> summary = extract("data/nano/test/manifest.tsv", "tokens")
    >>> codes = open_extraction("tokens").load("it/activated")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

if TYPE_CHECKING:
    from xcodec2.corpus.extraction import Extraction, Shard, open_extraction
    from xcodec2.extract.run import extract

__all__ = ["Extraction", "Shard", "extract", "open_extraction"]

_HOMES = {
    "Extraction": "xcodec2.corpus.extraction",
    "Shard": "xcodec2.corpus.extraction",
    "extract": "xcodec2.extract.run",
    "open_extraction": "xcodec2.corpus.extraction",
}

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
