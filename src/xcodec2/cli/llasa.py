"""`xcodec2 llasa`: speaking language models are made here; `xcodec2 speak` uses them."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def llasa() -> None:
    """Make language models that speak: text and codes to rows, rows to a model.

    \b
    Examples:
      xcodec2 llasa prepare codes/ rows/ --text text --tokenizer meta-llama/Llama-3.2-1B-Instruct
      xcodec2 llasa prepare codes/ rows/ --tokenizer rows/tokenizer --length 1024 --validation 0.05
    """


@llasa.command()
@click.argument("codes", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--text", default="text", show_default=True, metavar="COLUMN", help="Column with the transcripts.")
@click.option("--tokenizer", required=True, metavar="T", help="A folder or a Hugging Face id; speech tokens are added.")
@click.option("--length", default=2048, show_default=True, type=click.IntRange(min=8), help="Tokens in a row.")
@click.option(
    "--validation",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the recordings, chosen by their id, that is kept for validation.",
)
def prepare(codes: Path, out: Path, text: str, tokenizer: str, length: int, validation: float) -> None:
    """Turn extracted codes with transcripts into rows of token ids.

    CODES is Parquet from `xcodec2 extract`, a file or a folder of shards. OUT gets train and val rows in the form of
    the published LLaSA corpus (int32 memmaps), the tokenizer they need, rows.json with counts, and refused.tsv with
    every recording that was not used and why: no text, too long, a failed extraction, codes out of range.

    \b
    Examples:
      xcodec2 llasa prepare codes/ rows/ --tokenizer meta-llama/Llama-3.2-1B-Instruct
      xcodec2 llasa prepare codes.parquet rows/ --text transcript --tokenizer ./my-tokenizer --validation 0.05
    """
    from tqdm import tqdm

    from xcodec2.llasa.extra import require

    require("transformers", "pyarrow")
    from xcodec2.llasa.lm import load_tokenizer
    from xcodec2.llasa.prepare import prepare

    with tqdm(unit=" recordings", disable=None, delay=2, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        made = prepare(
            codes, out, load_tokenizer(tokenizer), text=text, length=length, validation=validation, progress=progress
        )
    for split, count in made.rows.items():
        click.echo(f"{split:<10}{count} rows, {made.tokens[split]} tokens")
    refused = ", ".join(f"{count} × {reason}" for reason, count in made.refused.items())
    click.echo(f"{'refused':<10}{sum(made.refused.values())}{f': {refused}' if refused else ''}")
