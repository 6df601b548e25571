"""`xcodec2 export`: a data set of tokens in other forms."""

from __future__ import annotations

import click


@click.command()
@click.argument("tokens", metavar="TOKENS")
@click.argument("out")
@click.option("--to", type=click.Choice(["npy", "webdataset"]), required=True, help="What to write.")
def export(tokens: str, out: str, to: str) -> None:
    """Write a data set of tokens in another form.

    TOKENS is what `xcodec2 extract` wrote. npy: a tree of ID.npy files; webdataset: one tar for each shard. Rows with
    an error are left out. LLaSA's rows of text and tokens are made by `xcodec2 llasa prepare`.

    \b
    Examples:
      xcodec2 export tokens/ arrays/ --to npy
      xcodec2 export tokens/ tars/ --to webdataset
    """
    from xcodec2.extract.export import export

    counts = export(tokens, out, to)
    click.echo(f"{counts['rows']} rows written, {counts['left_out']} with an error left out")
