"""A corpus in, shards of tokens out: resumable, on one laptop or on a Ray cluster.

    corpus → plan (units of rows, keyed by content) → engine (local or ray): read → encode → store (one Parquet a unit)

>>> from xcodec2.extract import extract
>>> summary = extract("data/nano/test/manifest.tsv", "tokens")
"""

from __future__ import annotations

from xcodec2.extract.run import extract

__all__ = ["extract"]
