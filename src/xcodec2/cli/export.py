"""`xcodec2 export`: a data set of tokens, or a model, in other forms."""

from __future__ import annotations

import os
from pathlib import Path

import click

from xcodec2.cli.terminal import say
from xcodec2.extras import require


@click.command()
@click.argument("source", metavar="TOKENS_OR_MODEL")
@click.argument("out")
@click.option(
    "--to",
    type=click.Choice(["npy", "webdataset", "onnx", "executorch", "gguf"]),
    required=True,
    help="Format to write.",
)
@click.option("--full", is_flag=True, help="gguf: write float32 weights instead of float16.")
def export(source: str, out: str, to: str, full: bool) -> None:
    """Export a data set of tokens, or a model, to another format.

    TOKENS is the output of `xcodec2 extract`, on disk or at a URL. npy: a tree of ID.npy files;
    webdataset: one tar per shard. Rows with an error are left out. An id that is not a valid file
    name (../x, CON, ...) is mapped to a similar one, listed in OUT/renamed.jsonl. For LLaSA's rows
    of text and tokens, see `xcodec2 llasa prepare`.

    MODEL is nano, a folder, a checkpoint file or a Hugging Face id. onnx: encoder.onnx and
    decoder.onnx, which run without PyTorch; needs the extra `onnx`. executorch: encoder.pte and
    decoder.pte for phones, of models with a finite receptive field; needs the extra `executorch`.
    gguf: one file in the layout of codec.cpp, which runs XCodec2 in C++; needs the extra `llasa`.
    Its weights are float16, by which some codes differ from the model's, or float32 with --full.

    \b
    Examples:
      xcodec2 export tokens/ arrays/ --to npy
      xcodec2 export tokens/ tars/ --to webdataset
      xcodec2 export nano onnx/ --to onnx
      xcodec2 export runs/nano-3/model phone/ --to executorch
      xcodec2 export HKUSTAudio/xcodec2 xcodec2.gguf --to gguf --full
    """
    if not out:
        raise click.UsageError("OUT is empty; name a folder, or for gguf a file")
    if full and to != "gguf":
        raise click.UsageError(f"--full is for --to gguf, not {to}")
    if to == "gguf":
        check_names_a_file(out)
        from xcodec2.cli.options import load_model
        from xcodec2.codec.checkpoints.gguf import write_codec_gguf

        write_codec_gguf(load_model(source, "cpu"), out, full=full)
        say(f"{out}  {Path(out).stat().st_size / 1e6:.1f} MB")
        return
    if to == "onnx":
        from xcodec2.onnx.export import export as export_model

        for path in export_model(source, out):
            say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
        return
    if to == "executorch":
        from xcodec2.mobile.export import export_steps

        for path in export_steps(source, out):
            say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
        return
    require("pyarrow.parquet", extra="extract", purpose="xcodec2 export")
    from xcodec2.extract.export import export_rows as export_tokens

    counts = export_tokens(source, out, to)
    refused = f", {counts['refused']} refused" if counts["refused"] else ""
    say(f"{counts['rows']} rows written, {counts['left_out']} with an error left out{refused}")


def check_names_a_file(out: str) -> None:
    """Raise UsageError for a folder, be it there or not: a path without its last slash is a
    file's.
    """
    if os.path.isdir(out) or out.endswith(tuple(filter(None, (os.sep, os.altsep)))):
        raise click.UsageError(f"{out} is a folder; gguf is a file, such as {Path(out, 'x.gguf')}")
