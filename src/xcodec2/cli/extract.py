"""`xcodec2 extract`: a corpus to a data set of tokens."""

from __future__ import annotations

import json

import click

from xcodec2.cli.options import (
    channel_option,
    check_device,
    corpus_options,
    device_option,
    model_option,
)
from xcodec2.cli.terminal import say_lines
from xcodec2.extras import require


@click.command()
@click.argument("source")
@click.argument("out")
@model_option
@device_option
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Local processes, or a Ray cluster.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="Address of a running Ray cluster: auto, or ray://head:10001.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Encoding processes.  [default: one per core or GPU]",
)
@click.option("--readers", type=click.IntRange(1), help="Reading processes per worker.")
@click.option(
    "--batch-seconds",
    type=click.FloatRange(0),
    default=40.0,
    show_default=True,
    help="Padded audio per batch; 0: each recording alone. Does not change the codes.",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Rows per shard, on average.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0.1),
    default=120.0,
    show_default=True,
    help="Seconds allowed for reading one recording.",
)
@corpus_options
@channel_option
@click.option("--retry-errors", is_flag=True, help="Process shards with errors again.")
def extract(
    source: str,
    out: str,
    model_name: str,
    device: str,
    engine: str,
    address: str | None,
    **options: object,
) -> None:
    """Tokenize a corpus into a Parquet data set.

    SOURCE is a folder or glob of audio, a manifest (.tsv, .csv, .jsonl, .parquet, .txt), a Kaldi
    data folder, a lhotse or NeMo manifest, WebDataset tars, or a Hugging Face data set; on disk or
    on s3://, gs://, hf://, ... OUT is a folder on any of these. A manifest row with a start time
    is a segment of its file. If interrupted, the same command resumes. A recording that cannot be
    read becomes a row with the error. Prints a summary as JSON.

    \b
    Examples:
      xcodec2 extract recordings/ tokens/
      xcodec2 extract manifest.tsv tokens/ --workers 8
      xcodec2 extract segments.csv tokens/ --segments milliseconds
      xcodec2 extract 's3://speech/*.tar' s3://tokens/run1 --engine ray --workers 16
    """
    if address and engine != "ray":
        raise click.UsageError("--address is for --engine ray")
    require("pyarrow.parquet", extra="extract", purpose="xcodec2 extract")
    if engine == "ray":
        require("ray", "pandas", extra="ray", purpose="--engine ray")
    from xcodec2.extract import extract

    if engine == "local":
        check_device(device)
    summary = extract(
        source,
        out,
        model=model_name,
        device=device,
        engine=engine,
        address=address,
        **options,  # type: ignore[arg-type]
    )
    say_lines(json.dumps(summary, indent=2, ensure_ascii=False))
    if summary["errors"] == summary["rows"]:
        reason = next(iter(summary["errors_by_reason"]))  # the most frequent one
        raise click.ClickException(
            f"none of {summary['rows']} recordings could be encoded: "
            f"{summary.get('error_examples', {}).get(reason, reason)}"
        )
