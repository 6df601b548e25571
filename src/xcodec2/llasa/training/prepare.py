"""From an extraction to rows: text and codes of each recording as one example of token ids."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcodec2.corpus.extraction import Extraction, open_extraction
from xcodec2.errors import LlasaError
from xcodec2.files import replacing
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.prompts import Prompts, Task
from xcodec2.llasa.track import Track
from xcodec2.llasa.training.row_maker import Aligner, RowMaker, share
from xcodec2.llasa.training.rows import Refused, row_writer
from xcodec2.llasa.vocabulary import LENGTH, extend_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METADATA = "rows.json"  # written last: with it, the rows are whole
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Prepared:
    """What a run made.

    Attributes:
        codec: Whose codes the rows hold.
        length: Tokens in a row.
        padding: The id that fills rows up.
        rows: How many each split has.
        tokens: How many of those are no padding.
        refused: Reasons with their counts.
        phonemes: Whether the rows hold phonemes instead of text.
        track: Whether their speech is a phoneme track.
        tasks: What can be learned from them.
        voices: Whether clips of their voices stand before the texts.
    """

    codec: CodecIdentity
    length: int
    padding: int
    rows: dict[str, int]
    tokens: dict[str, int]
    refused: dict[str, int]
    phonemes: bool = False
    track: bool = False
    tasks: tuple[Task, ...] = ("tts",)
    voices: bool = False

    @classmethod
    def load(cls, folder: Path) -> Prepared | None:
        """What a folder says of itself; None for rows of other origin, such as the published
        corpus.

        Raises:
            LlasaError: The file is damaged.
        """
        path = folder / METADATA
        if not path.is_file():
            return None
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            tasks = tuple(facts.get("tasks", ("tts",)))
            return cls(**facts | {"codec": CodecIdentity(**facts["codec"]), "tasks": tasks})
        except (ValueError, TypeError, KeyError) as problem:
            raise LlasaError(
                f"{path}: not what `xcodec2 llasa prepare` writes ({problem})"
            ) from problem


def prepare(
    source: str | os.PathLike[str],
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    text: str = "text",
    length: int = LENGTH,
    validation: float = 0.01,
    phonemes: bool = False,
    track: bool = False,
    tasks: Sequence[Task] = ("tts",),
    voices: bool = False,
    aligner: Aligner | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write the rows of an extraction, with the tokenizer they need.

    Whatever is not used is listed in refused.tsv with the reason.

    Args:
        source: What `xcodec2 extract` wrote, or one shard of it: a path, or a URL on any fsspec
            file system.
        folder: Where the rows go, on this machine.
        tokenizer: One without speech tokens gets them.
        text: The column with the transcripts.
        length: Tokens in a row, without the chat around it; longer examples are refused.
        validation: The share of recordings, chosen by their id, that goes to the split `val`.
        phonemes: Rows hold the phonemes of the text; a column of phonemes stays as it is.
        track: Speech says its phonemes and their durations, which columns of these names hold.
        tasks: tts (text to speech), asr (speech to text), continue (speech to speech), interleave
            (recordings after one another, as text and speech in turn); a row each.
        voices: Rows of a track begin with a clip of their voice, which the column `voice` names,
            so that the model learns to speak in the voice of any clip.
        aligner: Says the durations of a track where the extraction has none, and phonemes are those
            of the text where it has none of these, such as `Transcriber.durations` of
            `xcodec2.transcribe`.
        progress: Is called with the rows done and the rows in all.

    Returns:
        What was made.

    Raises:
        XCodec2Error: For a source or a tokenizer that cannot be used.
        LlasaError: The tokenizer has no token to pad with.
    """
    folder, tasks = Path(folder), tuple(dict.fromkeys(tasks))
    said = ("phonemes", "durations") if track else ()
    needed, optional = (said, ()) if aligner is None else ((), said)
    named = ("voice",) if voices else ()
    columns = tuple(dict.fromkeys(("id", "codes", text, *needed, *named)))
    extraction = open_extraction(source, columns=columns)
    codec = shard_codec(extraction.facts)
    if "<|s_0|>" not in tokenizer.get_vocab():
        extend_tokenizer(tokenizer, codec.codebook_size)
    prompts = Prompts.of(tokenizer)
    own_track = Track.of(prompts) if track else None
    maker = RowMaker(prompts, text, length, phonemes, own_track, tasks, voices, aligner)
    tokens_for = replace(codec, codebook_size=prompts.vocabulary.codebook_size)
    codec.check(tokens_for, "the corpus", "the tokenizer")
    padding = tokenizer.pad_token_id
    padding = tokenizer.eos_token_id if padding is None else padding
    if padding is None:
        raise LlasaError("the tokenizer has neither a padding nor an end token; give it one")

    total, done, refused = extraction.count_rows(), 0, Refused()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder / "tokenizer")
    rows, tokens = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    with ExitStack() as stack:
        write = {
            split: stack.enter_context(row_writer(folder, split, length, padding))
            for split in SPLITS
        }
        listed = stack.enter_context(replacing(folder / "refused.tsv", LlasaError))
        listed.write(b"id\treason\n")

        def add(id: Any, split: str, made: np.ndarray | LlasaError) -> None:
            if isinstance(made, LlasaError):
                refused.add(reason_class(str(made)))
                listed.write(f"{one_line(id)}\t{one_line(made)}\n".encode())
            else:
                write[split](made)
                rows[split] += 1
                tokens[split] += len(made)

        for record in records(extraction, columns, codec, optional):
            split = "val" if share(str(record["id"])) < validation else "train"
            for made in maker.rows(record, split):
                add(record["id"], split, made)
            done += 1
            progress(done, total)
        for split in SPLITS:
            for made in maker.rest(split):
                add(f"the last of {split}", split, made)
    result = Prepared(
        codec,
        length,
        padding,
        rows,
        tokens,
        dict(refused.reasons),
        phonemes or track,
        track,
        tasks,
        voices,
    )
    with replacing(folder / METADATA, LlasaError) as file:
        file.write(json.dumps(asdict(result), indent=2).encode())
    return result


def shard_codec(facts: dict[str, str]) -> CodecIdentity:
    """What a shard says of the codec."""
    return CodecIdentity(
        model=facts.get("model"),
        weights_hash=facts.get("weights_hash"),
        codebook_size=int(facts.get("codebook_size", CodecIdentity.codebook_size)),
        frame_rate=int(float(facts.get("frame_rate", CodecIdentity.frame_rate))),
    )


def records(
    extraction: Extraction,
    columns: Sequence[str],
    codec: CodecIdentity,
    optional: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """The rows, shard by shard in the order of their names, with the optional columns that are
    there; LlasaError for a shard of another codec.
    """
    for shard in extraction.shards():
        codec.check(shard_codec(shard.facts), "the first shard", shard.name)
        more = [name for name in (*optional, "error") if name in shard.columns]
        yield from shard.rows(list(dict.fromkeys([*columns, *more])))


def reason_class(reason: str) -> str:
    """A reason without what differs from case to case, for counting."""
    classes = {
        "extraction failed": "extraction failed",
        "too long": "too long",
        "no speakable characters": "no speakable characters",
        "the text holds": "the text holds",
        "the front end reads English": "not English",
        "the tokenizer does not know": "unknown character",
        "codes ": "codes out of range",
        "no durations": "no durations",
    }
    return next((kind for start, kind in classes.items() if reason.startswith(start)), reason)


def one_line(value: object) -> str:
    """A cell of a table: neither tabs nor line breaks nor other control characters."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return " ".join(text.encode(errors="replace").decode().split())
