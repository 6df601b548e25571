"""`xcodec2 convert`: a checkpoint from one set of names to another."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from xcodec2.cli.options import at_revision, revision_option
from xcodec2.cli.terminal import say


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option(
    "--to",
    type=click.Choice(["transformers", "original"]),
    required=True,
    help="Format to write.",
)
@revision_option
def convert(
    source: str, target: Path, to: Literal["transformers", "original"], revision: str | None
) -> None:
    """Convert a checkpoint to another format.

    SRC is a folder, a file or a Hugging Face id; its format is detected from its content. DST is a
    folder. The model card (README.md), which names the license, is copied unless DST has one.

    Formats: transformers, for `transformers.Xcodec2Model.from_pretrained`; a model that
    transformers cannot express, such as nano, is written in open-xcodec2's own form instead, with a
    warning. original, for the original XCodec2 package; a model that it cannot hold is refused.

    \b
    Examples:
      xcodec2 convert HKUSTAudio/xcodec2 converted --to transformers
      xcodec2 convert HKUSTAudio/xcodec2-hf original --to original --revision main
      xcodec2 convert converted back --to original
    """
    from xcodec2.convert import convert

    if str(target) == ".":
        raise click.UsageError("DST would be the current folder; name another")
    if target.exists() and not target.is_dir():
        raise click.UsageError(f"{target} is a file; name a folder")
    convert(at_revision(source, revision), target, to=to)
    size = sum(file.stat().st_size for file in target.glob("*.safetensors"))
    say(f"{target}  {size / 1e6:.1f} MB")
