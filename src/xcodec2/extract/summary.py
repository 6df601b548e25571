"""What is in a data set of tokens: counted from its shards, whatever runs wrote them."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import numpy as np

from xcodec2.extract.store import Store

REASONS = 50  # different reasons that are told


def count_extraction(store: Store, keys: set[str], facts: dict[str, Any]) -> dict[str, Any]:
    """Rows, hours, tokens, errors by reason and use of the codebook, as JSON has it."""
    rows = tokens = 0
    seconds = 0.0
    used = np.zeros(facts["codebook_size"], np.int64)
    errors: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for key in sorted(keys):
        shard = store.read(key, ["source", "codes", "duration", "error"])
        codes = shard["codes"].combine_chunks().flatten().to_numpy()
        used += np.bincount(codes, minlength=len(used))
        rows, tokens = rows + len(shard), tokens + len(codes)
        seconds += float(
            shard["duration"]
            .to_numpy(zero_copy_only=False)
            .astype(float)[shard["error"].is_null()]
            .sum()
        )
        for source, error in zip(
            shard["source"].to_pylist(), shard["error"].to_pylist(), strict=True
        ):
            if error is not None:
                errors[why := reason(error, source)] += 1
                examples.setdefault(why, error)
    told = errors.most_common(REASONS)
    shares = used[used > 0] / max(1, tokens)
    return {
        **facts,
        "rows": rows,
        "shards": len(keys),
        "hours": seconds / 3600,
        "tokens": tokens,
        "errors": sum(errors.values()),
        "errors_by_reason": dict(told),
        "error_examples": {why: examples[why] for why, _ in told},
        "codes_used": int((used > 0).sum()),
        "bits_per_code": float(-(shares * np.log2(shares)).sum()),
    }


def reason(error: str, source: str) -> str:
    """An error without the file that it happened to, and with N for its numbers, so that equal ones
    count together.
    """
    return re.sub(r"\d+(\.\d+)?", "N", error.replace(source, "").lstrip(": "))


def dataset_card(summary: dict[str, Any]) -> str:
    """Write the README.md of the data set; its header tells the Hub where the rows are.

    Args:
        summary: As :func:`count_extraction` gives it.

    Returns:
        Markdown with a header of YAML.
    """
    carried = "".join(
        f"| `{name}` | carried along, {kind} |\n" for name, kind in summary["columns"].items()
    )
    return f"""---
configs:
- config_name: default
  data_files: data/*.parquet
tags:
- speech
- audio-tokens
- xcodec2
---

# Speech tokens

{summary["hours"]:.2f} hours of speech as {summary["tokens"]:,} tokens in \
{summary["rows"]:,} rows, made by
`xcodec2 extract` {summary["version"]} with the model {summary["model"]} \
(weights {summary["weights_hash"]}):
{summary["frame_rate"]} tokens a second from a codebook of {summary["codebook_size"]}.
{summary["errors"]:,} rows have no tokens but an error.

| column | |
|---|---|
| `id` | unique in this data set |
| `source` | where the audio was |
| `codes` | the tokens, 0 … {summary["codebook_size"] - 1}; {summary["frames"]} |
| `num_samples`, `sample_rate`, `duration` | of the audio that came in; seconds |
| `error` | why there are no tokens; null where there are |
{carried}
```python
from datasets import load_dataset
rows = load_dataset("PATH_OF_THIS_FOLDER", split="train").filter(lambda row: row["error"] is None)
```

The whole count is in `summary.json`. The license is that of the audio.

```json
{json.dumps(summary["errors_by_reason"], indent=2, ensure_ascii=False)}
```
"""
