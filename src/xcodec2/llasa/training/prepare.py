"""From extraction's Parquet to rows: text and codes of each recording as one example of token ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.files import replacing
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.rows import LENGTH, Codec, Refused, row_writer
from xcodec2.llasa.vocabulary import LlasaError, extend_tokenizer

if TYPE_CHECKING:
    import pyarrow.dataset
    from transformers import PreTrainedTokenizerBase

BATCH_ROWS = 256  # Parquet rows in memory at once
METADATA = "rows.json"  # written last: with it, the rows are whole
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Prepared:
    """What a run made. refused: reasons with their counts."""

    codec: Codec
    length: int
    padding: int
    rows: dict[str, int]
    tokens: dict[str, int]
    refused: dict[str, int]

    @classmethod
    def load(cls, folder: Path) -> Prepared | None:
        """What a folder says of itself; None for rows of other origin, such as the published
        corpus.
        """
        path = folder / METADATA
        if not path.is_file():
            return None
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return cls(**facts | {"codec": Codec(**facts["codec"])})
        except (ValueError, TypeError, KeyError) as problem:
            raise LlasaError(
                f"{path}: not what `xcodec2 llasa prepare` writes ({problem})"
            ) from problem


def prepare(
    source: str | Path,
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    text: str = "text",
    length: int = LENGTH,
    validation: float = 0.01,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write the rows of `source`, a Parquet file or a folder of them, with the tokenizer they need,
    into `folder`.

    text: the column with the transcripts. length: tokens in a row, without the chat around it;
    longer examples are refused. validation: the share of recordings, chosen by their id, that goes
    to the split `val`. Whatever is not used is listed in refused.tsv with the reason. A tokenizer
    without speech tokens gets them.
    """
    folder = Path(folder)
    dataset = open_codes(source, text)
    codec = codec_of(dataset)
    if "<|s_0|>" not in tokenizer.get_vocab():
        extend_tokenizer(tokenizer, codec.codebook_size)
    prompts = Prompts.of(tokenizer)
    codec.check(
        replace(codec, codebook_size=prompts.vocabulary.codebook_size),
        "the corpus",
        "the tokenizer",
    )
    padding = (
        tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    )
    if padding is None:
        raise LlasaError("the tokenizer has neither a padding nor an end token; give it one")

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder / "tokenizer")
    total, done, refused = dataset.count_rows(), 0, Refused()
    rows, tokens = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        write = {
            split: stack.enter_context(row_writer(folder, split, length, padding))
            for split in SPLITS
        }
        listed = stack.enter_context(replacing(folder / "refused.tsv", LlasaError))
        listed.write(b"id\treason\n")
        for record in records(dataset, text, codec):
            try:
                row = to_row(record, text, prompts, length)
            except LlasaError as problem:
                refused.add(reason_class(str(problem)))
                listed.write(f"{record['id']}\t{' '.join(str(problem).split())}\n".encode())
            else:
                split = "val" if share(str(record["id"])) < validation else "train"
                write[split](row)
                rows[split] += 1
                tokens[split] += len(row)
            done += 1
            progress(done, total)
    result = Prepared(codec, length, padding, rows, tokens, dict(refused.reasons))
    with replacing(folder / METADATA, LlasaError) as file:
        file.write(json.dumps(asdict(result), indent=2).encode())
    return result


def open_codes(source: str | Path, text: str) -> pyarrow.dataset.Dataset:
    """The Parquet behind `source`; LlasaError when it is missing or lacks a column."""
    import pyarrow
    import pyarrow.dataset

    try:
        dataset = pyarrow.dataset.dataset(str(source), format="parquet")
    except (OSError, pyarrow.ArrowException) as problem:
        raise LlasaError(
            f"{source}: no Parquet that `xcodec2 extract` writes ({problem})"
        ) from problem
    for column in ("id", "codes", text):
        if column not in dataset.schema.names:
            there = ", ".join(dataset.schema.names) or "none"
            raise LlasaError(f"{source}: has no column {column!r}; it has {there}")
    return dataset


def codec_of(dataset: pyarrow.dataset.Dataset) -> Codec:
    """What the first shard says of the codec."""
    fragment = next(iter(dataset.get_fragments()), None)
    return codec_in(fragment.physical_schema.metadata if fragment else None)


def codec_in(metadata: dict[bytes, bytes] | None) -> Codec:
    said = {
        key.decode(): value.decode()
        for key, value in (metadata or {}).items()
        if key.startswith(b"xcodec2.")
    }
    return Codec(
        model=said.get("xcodec2.model"),
        weights_hash=said.get("xcodec2.weights_hash"),
        codebook_size=int(said.get("xcodec2.codebook_size", Codec.codebook_size)),
        frame_rate=int(float(said.get("xcodec2.frame_rate", Codec.frame_rate))),
    )


def records(dataset: pyarrow.dataset.Dataset, text: str, codec: Codec) -> Iterator[dict[str, Any]]:
    """The rows, shard by shard in the order of their names; LlasaError for a shard of another
    codec.
    """
    columns = [name for name in ("id", "codes", "error", text) if name in dataset.schema.names]
    for fragment in sorted(dataset.get_fragments(), key=lambda fragment: fragment.path):
        codec.check(codec_in(fragment.physical_schema.metadata), "the first shard", fragment.path)
        for batch in fragment.to_batches(
            schema=dataset.schema,
            columns=columns,
            batch_size=BATCH_ROWS,
            batch_readahead=1,
            fragment_readahead=1,
        ):
            yield from batch.to_pylist()


def to_row(record: dict[str, Any], text: str, prompts: Prompts, length: int) -> np.ndarray:
    """(L,) int64 ids of one recording; LlasaError, with the reason, when it cannot be an example."""
    vocabulary = prompts.vocabulary
    if record.get("error"):
        raise LlasaError(f"extraction failed: {record['error']}")
    if not record[text]:
        raise LlasaError("no text")
    if not record["codes"]:
        raise LlasaError("no codes")
    row = [
        vocabulary.text_start,
        *prompts.text_ids(str(record[text])),
        vocabulary.text_end,
        vocabulary.speech_start,
        *vocabulary.to_ids(record["codes"]),
        vocabulary.speech_end,
    ]
    if len(row) > length:
        raise LlasaError(f"too long: {len(row)} tokens, a row has {length}")
    return np.array(row, np.int64)


def reason_class(reason: str) -> str:
    """A reason without what differs from case to case, for counting."""
    for start in (
        "extraction failed",
        "too long",
        "no speakable characters",
        "the text holds",
        "codes ",
    ):
        if reason.startswith(start):
            return "codes out of range" if start == "codes " else start
    return reason


def share(id: str) -> float:
    """A number in [0, 1) that depends on the id alone."""
    return (
        int.from_bytes(hashlib.sha256(id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
        / 2**64
    )
