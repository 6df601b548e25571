"""`xcodec2 extract`: a corpus to a data set of tokens."""

from __future__ import annotations

import json

import click

from xcodec2.cli.options import channel_option, check_device, device_option, model_option
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
    help="What runs it.",
)
@click.option(
    "--address", metavar="ADDRESS", help="Of a running Ray cluster: auto, or ray://head:10001."
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Encoding processes; one a core or a GPU when not given.",
)
@click.option("--readers", type=click.IntRange(1), help="Reading processes beside each of them.")
@click.option(
    "--batch-seconds",
    type=click.FloatRange(0),
    default=40.0,
    show_default=True,
    help="Padded audio in one batch; 0: each recording alone. The codes stay the same.",
)
@click.option(
    "--rows",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="In one shard, on average.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0.1),
    default=120.0,
    show_default=True,
    help="Seconds to read one recording.",
)
@click.option(
    "--audio-column",
    metavar="NAME",
    help="Of the manifest or data set; found by its name when not given.",
)
@click.option(
    "--id-column", metavar="NAME", help="Whose values name the rows; each must be there once."
)
@click.option("--subset", metavar="NAME", help="Of a Hugging Face data set.")
@click.option("--split", metavar="NAME", help="Of a Hugging Face data set.")
@click.option(
    "--segments",
    type=click.Choice(["auto", "seconds", "milliseconds", "samples", "none"]),
    default="auto",
    show_default=True,
    help="Unit of columns such as start and end; none: whole files, whatever the columns say.",
)
@click.option(
    "--encoding",
    metavar="NAME",
    help="Of text manifests: utf-16, latin-1, ...; UTF-8 if not given.",
)
@click.option(
    "--remote/--no-remote",
    default=True,
    help="Whether a manifest may name addresses (http://, s3://, file://, ...).",
)
@channel_option
@click.option("--retry-errors", is_flag=True, help="Do shards that have errors again.")
def extract(
    source: str,
    out: str,
    model_name: str,
    device: str,
    engine: str,
    address: str | None,
    **options: object,
) -> None:
    """Turn a corpus into a Parquet data set of tokens.

    SOURCE is a folder or glob of audio, a manifest (.tsv, .csv, .jsonl, .parquet, .txt), a data
    folder of Kaldi, a manifest of lhotse or NeMo, WebDataset tars, or a Hugging Face data set; on
    disk or on s3://, gs://, hf://, ... OUT is a folder on any of these. A row that says where its
    part of a file starts is that part. The same command again goes on where it was stopped. A
    recording that cannot be read becomes a row that says why. Prints a summary as JSON.

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
        reason = next(iter(summary["errors_by_reason"]))
        raise click.ClickException(
            f"none of {summary['rows']} recordings could be encoded: {reason}"
        )
