"""`xcodec2 evaluate`: how good codecs are, measured on a corpus, with a report."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import click

from xcodec2.cli.options import (
    READING,
    channel_option,
    check_device,
    corpus_options,
    device_option,
)
from xcodec2.cli.terminal import say
from xcodec2.extras import require

# Options of the release before: what they are called now, and their parameter in Python.
RENAMED = {
    "recogniser": ("--asr", "asr"),
    "speaker": ("--speaker-encoder", "speaker_encoder"),
    "judge_sample": ("--costly-sample", "costly_sample"),
}


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
    help="Model to evaluate; can be repeated, to compare several.  [default: nano]",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="NAME",
    help="Codec to compare with; can be repeated: original, mulaw, opus@6k, speex@4k, codec2@1600, "
    "hub:facebook/encodec_24khz@1.5k, two commands as cmd:ENCODE:DECODE with {in}, {code} and "
    "{out}, ...",
)
@click.option(
    "--metrics",
    metavar="LIST",
    help="Comma-separated names, custom ones as module:Class; or none.  [default: all built-in "
    "ones but unit-edit]",
)
@click.option(
    "--protocol",
    metavar="NAME|FILE",
    help="Follow a protocol: librispeech-test-clean, seed-tts-eval, codec-superb, dasb-asr, or a "
    "TOML file. What does not match it is refused.",
)
@click.option(
    "--asr",
    default="moonshine",
    show_default=True,
    help="Speech recognizer for WER: moonshine, pocketsphinx or a Hub id.",
)
@click.option(
    "--speaker-encoder",
    default="resemblyzer",
    show_default=True,
    help="For speaker similarity: resemblyzer or a Hub id.",
)
@click.option(
    "--group-by",
    multiple=True,
    metavar="COLUMN",
    help="Add a table per value of this column; can be repeated.",
)
@click.option(
    "--phones", metavar="PLACE", help="Column or folder of time-aligned phones (.lab, .TextGrid)."
)
@click.option(
    "--seconds", type=(float, float), metavar="MIN MAX", help="Only recordings of this duration."
)
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Only N recordings, selected by id."
)
@click.option(
    "--costly-sample",
    type=click.IntRange(1),
    metavar="N",
    help="Costly metrics (DNSMOS, DistillMOS, WER) on only N of them.",
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Number of worst files to show.",
)
@click.option(
    "--audio/--no-audio",
    default=True,
    show_default=True,
    help="Include audio players in the report.",
)
@click.option(
    "--cost/--no-cost",
    default=True,
    show_default=True,
    help="Measure speed and memory.",
)
@click.option(
    "--export",
    "exports",
    metavar="LIST",
    help="Comma-separated: csv, latex, codec-superb (JSON), versa (audio files, lists, YAML); in "
    "exports/ of the report's folder.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="In place of codecs, evaluate speech changed in known ways (a copy, a delay, noise, ...): "
    "what moves each metric, and by how much.",
)
@click.option(
    "--lm-minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Train the same small language model on each system's codes: as many tokens as the first "
    "one has in N minutes of speech. Reports bits a second, and WER and MOS of what it says.",
)
@click.option(
    "--lm-seeds", type=click.IntRange(1), default=3, show_default=True, help="Models per system."
)
@click.option(
    "--lm-sentences",
    metavar="N",
    type=click.IntRange(0),
    default=12,
    show_default=True,
    help="Held-out recordings that each model says: with --phones from its phones, without from "
    "its first second.",
)
@click.option(
    "--text-probe",
    "text_probe_steps",
    type=click.IntRange(1),
    metavar="STEPS",
    help="Train a CTC model on each tokenizer's codes for STEPS steps (4000 is usual), and read "
    "held-out ones: how much text is in the codes. English `text` needed.",
)
@click.option("--recogniser", hidden=True)
@click.option("--speaker", hidden=True)
@click.option("--judge-sample", hidden=True, type=click.IntRange(1))
@device_option
@corpus_options
@channel_option
def evaluate(
    source: str, out: Path, models: tuple[str, ...], metrics: str | None, **options: Any
) -> None:
    """Evaluate codecs on a corpus, and write a report.

    SOURCE is an audio file, a folder, a manifest (TSV, CSV, JSONL, Parquet), tars, or a data set.
    The report folder gets report.html (with plots and audio), summary.json and rows.parquet. An
    interrupted run resumes.

    Metrics: stoi, pesq, mel, si-sdr, f0, dnsmos, distillmos, speaker, wer, invariance, unit-edit,
    and custom classes. Evaluators without downloaded weights are reported as missing; `python -m
    xcodec2.evaluators.fetch` downloads them. Without a `text` column, the reference for WER is
    the transcript recognized in the original.

    \b
    Examples:
      xcodec2 evaluate recordings/ --out report/ --metrics stoi,pesq,mel
      xcodec2 evaluate test.tsv --out report/ --baseline opus@6k --baseline codec2@1600
      xcodec2 evaluate test.tsv --out report/ --group-by language --workers 8
      xcodec2 evaluate test.tsv --out report/ --model nano --model runs/mine/model
      xcodec2 evaluate test.tsv --out report/ --metrics stoi,my_metrics.py:Loudness
      xcodec2 evaluate wav/ --out report/ --metrics none --phones lab/
      xcodec2 evaluate test-clean/ --out report/ --protocol librispeech-test-clean
      xcodec2 evaluate wav/ -o report/ --baseline 'cmd:opusenc {in} {code}:opusdec {code} {out}'
    """
    require("pyarrow.parquet", "matplotlib", extra="evaluate", purpose="xcodec2 evaluate")
    from xcodec2.evaluate import evaluate as run
    from xcodec2.evaluate.metrics import DEFAULTS, NAMES
    from xcodec2.evaluate.report.text import summary_lines
    from xcodec2.evaluate.systems.changes import CHANGES

    for old, (option, name) in RENAMED.items():
        if (value := options.pop(old)) is not None:
            say(f"--{old.replace('_', '-')} is now {option}", err=True)
            options[name] = value
    named = () if metrics == "none" else DEFAULTS if metrics is None else tuple(metrics.split(","))
    if unknown := [name for name in named if name not in NAMES and ":" not in name]:
        raise click.BadParameter(
            f"{', '.join(unknown)}: there are {', '.join(NAMES)}, none, and your own as "
            "module:Class",
            param_hint="'--metrics'",
        )
    options["exports"] = tuple((options["exports"] or "").split(",")) if options["exports"] else ()
    models = models or ("nano",)
    if options.pop("robustness"):
        if models != ("nano",) or options["baselines"]:
            raise click.UsageError("--robustness evaluates no models and baselines: leave them out")
        models, options["baselines"] = (), tuple(f"change:{name}" for name in CHANGES)
        options["cost"] = False
    if models:
        check_device(options["device"])
    options["reading"] = {name: options.pop(name) for name in READING}
    summary = run(source, out, models=models, metrics=named, **options)
    for line in summary_lines(summary, shutil.get_terminal_size().columns):
        say(line)
    say(f"report: {out / 'report.html'}")
    if not any(found["recordings"] for found in summary["systems"].values()):
        reasons = Counter(row["error"] for row in summary["failed"])
        raise click.ClickException(f"nothing could be measured: {reasons.most_common(1)[0][0]}")
