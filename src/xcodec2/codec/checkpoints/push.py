"""A model on the Hugging Face Hub: its files and a card that says what it is."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcodec2.codec.checkpoints import transformers
from xcodec2.codec.checkpoints.client import CARD, errors_of
from xcodec2.codec.checkpoints.save import save_network
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import CheckpointError

LICENSE = re.compile(r"[\w.+-]+")
NATIVE = """```python
from transformers import AutoModel

model = AutoModel.from_pretrained("{repo}")
```

or, batches and streams of any lengths and rates included,

"""
TEMPLATE = """---
license: {license}
library_name: {library}
pipeline_tag: audio-to-audio
tags:
- audio
- speech
- codec
- xcodec2
---

# {title}

A speech codec: {input_rate} Hz speech → {frame_rate} codes a second from one codebook of
{codebook_size} → {sample_rate} Hz speech. {parameters:.1f} million parameters.

## Use

{native}```python
from xcodec2 import XCodec2Model

model = XCodec2Model.from_pretrained("{repo}")
codes = model.encode("speech.wav")
waveform = model.decode(codes)  # at {sample_rate} Hz
```

Weights hash of the encoder: `{weights_hash}`. Codes of models with the same hash are the same.
{evaluation}"""


def push(
    model: CodecNetwork,
    repo: str,
    *,
    license: str,
    weights_hash: str | None,
    evaluation: str | Path | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str = "Upload model",
) -> str:
    """Write a model to a repository; see `XCodec2Model.push_to_hub`.

    Raises:
        CheckpointError: It is not whole, the report is none, or the Hub refuses.
    """
    from huggingface_hub import HfApi

    if not LICENSE.fullmatch(license):
        raise CheckpointError(
            f"{license!r} is no identifier of a license, such as apache-2.0 or cc-by-nc-4.0"
        )
    table = evaluation_table(evaluation) if evaluation is not None else ""
    with tempfile.TemporaryDirectory() as folder:
        save_network(model, folder)
        card = model_card(model, repo, license=license, weights_hash=weights_hash, table=table)
        Path(folder, CARD).write_text(card, encoding="utf-8")
        with errors_of(repo, "upload"):
            api = HfApi()
            api.create_repo(repo, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo, folder_path=folder, commit_message=message, revision=revision
            )
    return str(commit.commit_url)


def model_card(
    model: CodecNetwork, repo: str, *, license: str, weights_hash: str | None, table: str = ""
) -> str:
    """README.md of a repository.

    Args:
        model: Which it describes.
        repo: OWNER/MODEL.
        license: Its identifier on the Hub.
        weights_hash: Of the encoder.
        table: Of the evaluation, in Markdown.
    """
    config: XCodec2Config = model.config
    native = not transformers.inexpressible(config)
    return TEMPLATE.format(
        license=license,
        library="transformers" if native else "open-xcodec2",
        title=repo.rpartition("/")[2],
        repo=repo,
        input_rate=config.input_rate,
        sample_rate=config.sample_rate,
        frame_rate=config.frame_rate,
        codebook_size=config.codebook_size,
        parameters=sum(p.numel() for p in model.parameters()) / 1e6,
        native=NATIVE.format(repo=repo) if native else "",
        weights_hash=weights_hash,
        evaluation=f"\n## Evaluation\n\n{table}" if table else "",
    )


def evaluation_table(report: str | Path) -> str:
    """The means of `xcodec2 evaluate`'s report as a table: a system a row, a measure a column.

    Args:
        report: The report's folder, or its summary.json.

    Raises:
        CheckpointError: It is no such report.
    """
    path = Path(report)
    path = path / "summary.json" if path.is_dir() else path
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        systems: Mapping[str, Mapping[str, Any]] = {
            name: system["metrics"] for name, system in summary["systems"].items()
        }
        columns = [
            name
            for name in dict.fromkeys(key for system in systems.values() for key in system)
            if any(mean_of(system.get(name)) is not None for system in systems.values())
        ]
        rows = [["system", *columns], ["---"] * (1 + len(columns))]
        for name, values in systems.items():
            means = [mean_of(values.get(column)) for column in columns]
            rows.append([name, *("" if mean is None else f"{mean:.4g}" for mean in means)])
        head = (
            f"Means over {int(summary['recordings'])} recordings, "
            f"with open-xcodec2 {summary['version']}.\n\n"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise CheckpointError(
            f"{path}: not a report of xcodec2 evaluate ({type(problem).__name__}: {problem})"
        ) from problem
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def mean_of(value: Any) -> float | None:
    """The mean in a measure's entry, if it is one."""
    mean = value.get("mean") if isinstance(value, Mapping) else None
    return float(mean) if isinstance(mean, (int, float)) else None
