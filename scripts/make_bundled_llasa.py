"""Makes the LLaSA bundled with the package: a small language model that has learned six sentences
in nano's codes.

    python scripts/prepare_nano_data.py          # the recordings, from Debian packages
    python scripts/make_bundled_llasa.py                # two minutes of a CPU core; resumable
    python scripts/make_bundled_llasa.py --only-export  # again from a finished run

It encodes the recordings with nano, and runs `xcodec2 llasa prepare` and `xcodec2 llasa train
bundled`. The same recordings and codec give the same rows. Run it again whenever nano's codes
change: `speak` refuses the old model then.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path

import pyarrow
import pyarrow.parquet
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from xcodec2 import XCodec2Model, __version__
from xcodec2.llasa.lm import BUNDLED
from xcodec2.llasa.prompts import INSTRUCTION, LLAMA_TEMPLATE
from xcodec2.llasa.training.prepare import prepare
from xcodec2.llasa.training.recipe import read_llasa_recipe
from xcodec2.llasa.training.train import train
from xcodec2.llasa.vocabulary import MARKS, code_token

MANIFEST = Path("data/nano/train/manifest.tsv")
SOURCE = "asterisk-en"
#: Whole sentences, chosen by reading, not by how well they come out.
SENTENCES = (
    "cannot-complete-as-dialed",
    "conf-leaderhasleft",
    "pls-hold-while-try",
    "tt-monkeysintro",
    "tt-weasels",
    "vm-passchanged",
)
HEADERS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
TEXT_TOKENS = 512
CODES = 65_536


def sentences() -> list[dict[str, str]]:
    """The rows of the manifest, in the order of the list."""
    with open(MANIFEST, encoding="utf-8", newline="") as file:
        rows = {
            row["id"]: row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        }
    return [rows[f"{SOURCE}/{name}"] for name in SENTENCES]


def write_codes(path: Path, codec: XCodec2Model, rows: list[dict[str, str]]) -> None:
    """Parquet as extraction writes it."""
    encoded = codec.encode([str(MANIFEST.parent / row["path"]) for row in rows])
    metadata = {
        "xcodec2.model": codec.model_id,
        "xcodec2.weights_hash": str(codec.weights_hash),
        "xcodec2.version": __version__,
        "xcodec2.frame_rate": str(codec.frame_rate),
        "xcodec2.codebook_size": str(codec.codebook_size),
    }
    fields = [
        ("id", pyarrow.string()),
        ("codes", pyarrow.list_(pyarrow.uint16())),
        ("text", pyarrow.string()),
    ]
    table = [
        {"id": row["id"], "codes": item.codes.tolist(), "text": row["text"].strip()}
        for row, item in zip(rows, encoded, strict=True)
    ]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(table, pyarrow.schema(fields, metadata)), path
    )


def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE with Llama 3's special tokens. The codes are entries of the vocabulary itself:
    one of 65536 added tokens would be ten times as large on disk."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe_trainer = trainers.BpeTrainer(
        vocab_size=TEXT_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(
        [*texts, *[INSTRUCTION] * 10, *["user", "assistant", "\n\n"] * 10], bpe_trainer
    )
    facts = json.loads(bpe.to_str())["model"]
    vocabulary, merges = facts["vocab"], [tuple(merge) for merge in facts["merges"]]
    for name in (*HEADERS, *MARKS, *map(code_token, range(CODES))):
        vocabulary[name] = len(vocabulary)
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    made.pre_tokenizer, made.decoder = bpe.pre_tokenizer, decoders.ByteLevel()
    made.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in (*HEADERS, *MARKS)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=HEADERS[0], eos_token=HEADERS[-1]
    )
    fast.chat_template = LLAMA_TEMPLATE
    return fast


def export(model: Path) -> None:
    """The finished model into the package; its card and attribution stay."""
    BUNDLED.mkdir(exist_ok=True)
    for file in model.iterdir():
        shutil.copy(file, BUNDLED / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only-export", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("changes", nargs="*", help="KEY=VALUE changes of the recipe `bundled`")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = read_llasa_recipe("bundled", args.changes)
    out = Path(recipe.out)
    if not args.only_export:
        out.mkdir(parents=True, exist_ok=True)
        rows = sentences()
        write_codes(out / "codes.parquet", XCodec2Model.from_pretrained("nano"), rows)
        made = prepare(
            out / "codes.parquet",
            out / "rows",
            tokenizer([row["text"] for row in rows]),
            length=400,
            validation=0,
        )
        print(made)
        train(recipe, resume=any(out.glob("checkpoint-*")))
    export(out / "model")


if __name__ == "__main__":
    main()
