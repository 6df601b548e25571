"""`xcodec2 evaluate`: how good codecs are, measured on a corpus, with a report."""

from __future__ import annotations

from pathlib import Path

import click

from xcodec2.cli.options import channel_option, device_option


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Report folder.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="What to evaluate; several are compared. [default: nano]",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="NAME",
    help="original, mulaw, opus@6k, speex@4k, codec2@1600, hub:facebook/encodec_24khz@1.5k, ...",
)
@click.option(
    "--metrics", "measures", metavar="LIST", help="Comma-separated; or `none`. [default: all]"
)
@click.option(
    "--recogniser",
    default="moonshine",
    show_default=True,
    help="moonshine, pocketsphinx or a Hub id.",
)
@click.option(
    "--speaker", default="resemblyzer", show_default=True, help="resemblyzer or a Hub id."
)
@click.option(
    "--group-by",
    multiple=True,
    metavar="COLUMN",
    help="Also a table for each value of this column.",
)
@click.option(
    "--phones", metavar="PLACE", help="Column or folder with time-aligned phones (.lab, .TextGrid)."
)
@click.option(
    "--seconds", type=(float, float), metavar="MIN MAX", help="Only recordings as long as this."
)
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Only N recordings, picked by their ids."
)
@click.option(
    "--judge-sample",
    type=click.IntRange(1),
    metavar="N",
    help="DNSMOS, DistillMOS and WER on N of them only.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--worst", type=click.IntRange(0), default=10, show_default=True, help="Worst files to show."
)
@click.option(
    "--audio/--no-audio", default=True, show_default=True, help="Whether the report has players."
)
@click.option(
    "--cost/--no-cost",
    default=True,
    show_default=True,
    help="Whether speed and memory are measured.",
)
@device_option
@channel_option
def evaluate(
    source: str,
    out: Path,
    models: tuple[str, ...],
    baselines: tuple[str, ...],
    measures: str | None,
    recogniser: str,
    speaker: str,
    group_by: tuple[str, ...],
    phones: str | None,
    seconds: tuple[float, float] | None,
    sample: int | None,
    judge_sample: int | None,
    workers: int,
    worst: int,
    audio: bool,
    cost: bool,
    device: str,
    channel: int | None,
) -> None:
    """Measure how good codecs are, and write a report.

    SOURCE is an audio file, a folder, a manifest (TSV, CSV, JSONL, Parquet), tars, or a data set.
    The report folder gets report.html (to look at and to hear), summary.json and rows.parquet; an
    interrupted run goes on where it was.

    Metrics: stoi, pesq, mel, si-sdr, f0, dnsmos, distillmos, speaker, wer, invariance. Judges whose
    weights are not here are reported as missing; `python -m xcodec2.evaluate.judges.fetch` gets
    them. Without a `text` column WER is against what the recogniser hears in the original.

    \b
    Examples:
      xcodec2 evaluate recordings/ --out report/ --metrics stoi,pesq,mel
      xcodec2 evaluate test.tsv --out report/ --baseline opus@6k --baseline codec2@1600 --group-by language
      xcodec2 evaluate test.tsv --out report/ --model nano --model runs/mine --workers 8
      xcodec2 evaluate wav/ --out report/ --metrics none --phones lab/
    """
    from xcodec2.evaluate import evaluate as run
    from xcodec2.evaluate.metrics import MEASURES

    named = (
        () if measures == "none" else MEASURES if measures is None else tuple(measures.split(","))
    )
    if unknown := [name for name in named if name not in MEASURES]:
        raise click.BadParameter(
            f"{', '.join(unknown)}: there are {', '.join(MEASURES)}, and none",
            param_hint="'--metrics'",
        )
    summary = run(
        source,
        out,
        models=models or ("nano",),
        baselines=baselines,
        measures=named,
        recogniser=recogniser,
        speaker=speaker,
        group_by=group_by,
        phones=phones,
        seconds=seconds,
        sample=sample,
        judge_sample=judge_sample,
        workers=workers,
        device=device,
        channel=channel,
        cost=cost,
        worst=worst,
        audio=audio,
    )
    from xcodec2.evaluate.text_table import lines

    for line in lines(summary):
        click.echo(line)
    click.echo(f"report: {out / 'report.html'}")
