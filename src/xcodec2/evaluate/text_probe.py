"""How much text is in the codes: a small CTC model learns to read them, and is tested on others.

What `xcodec2.transcribe` measures of an extraction, of the codes of an evaluation: the recordings
that probes learn from train the model, and the others are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.probing.metric import Row
from xcodec2.evaluate.probing.split import for_training
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem
from xcodec2.extras import require
from xcodec2.files import replacing
from xcodec2.transcribe import CtcRecipe, TextInCodes, text_in_codes, train_ctc

RATES = ("phone_error_rate", "character_error_rate", "word_error_rate")


def text_probe(
    system: TokenizerSystem, rows: Sequence[Row], folder: Path, steps: int
) -> dict[str, Any]:
    """Train a CTC model on a system's codes and read held-out ones.

    Args:
        system: Whose codes the rows hold.
        rows: Of recordings with codes; those without a `text` are left out. A column `phonemes`
            (a symbol for each sound) gives the phone error rate, too.
        folder: Of the probe: data, checkpoints and the finished model, from which an interrupted
            run resumes.
        steps: Of the training.

    Returns:
        rows, held_out, steps and rates with their intervals; or `error`.
    """
    known = [row for row in rows if row["columns"].get("text")]
    phones = bool(known) and all(row["columns"].get("phonemes") for row in known)
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in known:
        parts[not for_training(row["id"])].append(row)
    if not all(parts):
        return {"error": "too few recordings with a text to learn from some and read others"}
    place = folder / probe_digest(system, parts, phones)
    try:
        place.mkdir(parents=True, exist_ok=True)
        sources = [place / "training.parquet", place / "held-out.parquet"]
        for path, part in zip(sources, parts, strict=True):
            write_codes(path, system, part, phones)
        recipe = replace(CtcRecipe(), steps=steps, warmup=min(200, max(1, steps // 10)))
        with tqdm(total=steps, unit="step", desc="text probe", disable=None) as bar:
            report = lambda step, loss: bar.update(step + 1 - bar.n)  # noqa: E731
            reader = train_ctc(str(sources[0]), place / "model", recipe, report=report)
        found: TextInCodes = text_in_codes(reader, str(sources[1]))
    except OSError as problem:
        return {"error": f"{place}: {problem.strerror}"}
    except XCodec2Error as problem:
        return {"error": str(problem)}
    rates = RATES if phones else RATES[1:]
    values = {name: getattr(found, name) for name in rates}
    return {
        "rows": len(parts[0]),
        "held_out": found.rows,
        "steps": steps,
        **{name: {"mean": r.value, "low": r.low, "high": r.high} for name, r in values.items()},
    }


def write_codes(path: Path, system: TokenizerSystem, rows: Sequence[Row], phones: bool) -> None:
    """Rows as an extraction has them; without `phonemes`, letters stand in for them."""
    pa = require("pyarrow", "pyarrow.parquet", extra="evaluate", purpose="the text probe")
    metadata = {
        "xcodec2.model": system.name,
        "xcodec2.weights_hash": hashlib.sha256(system.key.encode()).hexdigest(),
        "xcodec2.codebook_size": str(system.tokenizer.codebook_size),
        "xcodec2.frame_rate": f"{system.tokenizer.frame_rate:g}",
    }
    fields = [("id", pa.string()), ("codes", pa.list_(pa.int32())), ("phonemes", pa.string())]
    schema = pa.schema([*fields, ("words", pa.string())], metadata=metadata)
    table = pa.Table.from_pylist(
        [
            {
                "id": row["id"],
                "codes": row["codes"],
                "phonemes": str(row["columns"]["phonemes" if phones else "text"]),
                "words": str(row["columns"]["text"]),
            }
            for row in rows
        ],
        schema=schema,
    )
    with replacing(path, XCodec2Error) as file:
        pa.parquet.write_table(table, file, compression="zstd")


def probe_digest(system: TokenizerSystem, parts: Sequence[Sequence[Row]], phones: bool) -> str:
    """Names the folder of a probe: other codes, texts or parts are another one."""
    texts = [[(r["id"], r["codes"], r["columns"]["text"]) for r in part] for part in parts]
    return hashlib.sha256(repr((system.key, phones, texts)).encode()).hexdigest()[:16]
