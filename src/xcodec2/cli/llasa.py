"""`xcodec2 llasa`: speaking language models are made here; `xcodec2 speak` uses them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click

from xcodec2.cli.outputs import progress_bar


@click.group()
def llasa() -> None:
    """Train language models that speak: text and codes to rows, rows to a model.

    \b
    Examples:
      xcodec2 llasa prepare codes/ rows/ --tokenizer meta-llama/Llama-3.2-1B-Instruct
      xcodec2 llasa train small rows='["rows"]' out=runs/mine
      xcodec2 llasa gguf runs/mine/model mine.gguf
      xcodec2 llasa ctc codes/ runs/ctc
    """


@llasa.command()
@click.argument("codes")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--text",
    default="text",
    show_default=True,
    metavar="COLUMN",
    help="Column with the transcripts.",
)
@click.option(
    "--tokenizer",
    required=True,
    metavar="T",
    help="A folder, a Hugging Face id, bundled (the bundled model's), or phonemes (a token each). "
    "Speech tokens are added.",
)
@click.option(
    "--length", default=2048, show_default=True, type=click.IntRange(min=8), help="Tokens per row."
)
@click.option(
    "--validation",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0, 1, max_open=True),
    help="Fraction of recordings held out for validation, selected by id.",
)
@click.option(
    "--phonemes",
    is_flag=True,
    help="Prompt with English phonemes instead of text; a column of phonemes stays as it is.",
)
@click.option(
    "--track",
    is_flag=True,
    help="Speech says each phoneme and its duration before its codes, as the columns phonemes and "
    "durations have them.",
)
@click.option(
    "--ctc",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --track: a CTC model over the same codes says the durations of recordings that have "
    "none, so that a text is enough.",
)
@click.option(
    "--voices",
    is_flag=True,
    help="With --track: rows begin with a clip of the voice that the column voice names, and the "
    "model learns to speak in the voice of any clip.",
)
@click.option(
    "--task",
    "tasks",
    default="tts",
    show_default=True,
    metavar="TASK,...",
    callback=lambda context, option, value: tasks_of(value),
    help="What is learned, a row each: tts (text to speech), asr (speech to text), continue "
    "(speech to speech), interleave (recordings as text and speech in turn).",
)
def prepare(
    codes: str,
    out: Path,
    text: str,
    tokenizer: str,
    length: int,
    validation: float,
    phonemes: bool,
    track: bool,
    ctc: Path | None,
    voices: bool,
    tasks: list[Any],
) -> None:
    """Turn extracted codes with transcripts into rows of token ids.

    CODES is the output folder of `xcodec2 extract`, or one of its shards; on disk or on s3://,
    gs://, hf://, ... OUT gets train and val rows in the format of the published LLaSA corpus (int32
    memmaps), the tokenizer, rows.json with counts, and refused.tsv with every recording that was
    left out and why: no text, too long, failed extraction, codes out of range.

    Use the tokenizer of the base model, or any for a model from scratch. `--tokenizer bundled`
    needs no download and covers all characters, byte by byte.

    \b
    Examples:
      xcodec2 llasa prepare codes/ rows/ --tokenizer bundled
      xcodec2 llasa prepare codes/ rows/ --tokenizer meta-llama/Llama-3.2-1B-Instruct
      xcodec2 llasa prepare codes/ rows/ --tokenizer bundled --phonemes
      xcodec2 llasa prepare codes/ rows/ --tokenizer bundled --task tts,asr,continue,interleave
      xcodec2 llasa prepare data/llasa/hibari/train rows/ --tokenizer phonemes --track
      xcodec2 llasa prepare data/llasa/pseudo/train more/ --tokenizer phonemes --track --voices
      xcodec2 llasa prepare codes/ rows/ --tokenizer runs/base/model --track --ctc ctc.safetensors
      xcodec2 llasa prepare s3://tokens/run1 rows/ --text transcript --tokenizer ./my-tokenizer
    """
    from xcodec2.llasa.extra import require_llasa

    require_llasa("transformers", "pyarrow", *(["hibari"] if phonemes else []))
    from xcodec2.llasa.lm import load_tokenizer
    from xcodec2.llasa.training.prepare import prepare

    with progress_bar("recordings") as progress:
        made = prepare(
            codes,
            out,
            load_tokenizer(tokenizer),
            text=text,
            length=length,
            validation=validation,
            phonemes=phonemes,
            track=track,
            tasks=tasks,
            voices=voices,
            aligner=aligner_of(codes, ctc) if ctc else None,
            progress=progress,
        )
    for split, count in made.rows.items():
        click.echo(f"{split:<10}{count} rows, {made.tokens[split]} tokens")
    refused = ", ".join(f"{count} × {reason}" for reason, count in made.refused.items())
    click.echo(f"{'refused':<10}{sum(made.refused.values())}{f': {refused}' if refused else ''}")


def aligner_of(codes: str, ctc: Path) -> Any:
    """What says durations, once it is clear that it reads these codes."""
    from xcodec2.corpus.extraction import open_extraction
    from xcodec2.llasa.training.prepare import shard_codec
    from xcodec2.transcribe import Transcriber

    transcriber = Transcriber.load(ctc)
    transcriber.codec.check(shard_codec(open_extraction(codes).facts), str(ctc), codes)
    return transcriber.durations


def tasks_of(text: str) -> list[str]:
    """`tts,asr` → tasks; a usage error for another."""
    from xcodec2.llasa.prompts import TASKS

    tasks = [task.strip() for task in text.split(",")]
    if unknown := [task for task in tasks if task not in TASKS]:
        raise click.BadParameter(
            f"{unknown[0] or 'nothing'} is none; give some of {', '.join(TASKS)}",
            param_hint="'--task'",
        )
    return tasks


@llasa.command()
@click.argument("recipe")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--resume",
    is_flag=True,
    help="Resume from the newest checkpoint in the recipe's output folder.",
)
def train(recipe: str, changes: tuple[str, ...], resume: bool) -> None:
    """Train a language model on rows.

    RECIPE is a TOML file, or a bundled recipe: paper (full fine-tuning of a published Llama), lora
    (of a published LLaSA), small (from scratch), phonemes (from scratch on CPUs, on a phoneme
    track), few (memorizes a few sentences in minutes). KEY=VALUE overrides a value. The trained
    model is written to OUT/model, for `xcodec2 speak --lm`; samples of each validation are in
    OUT/samples. For several GPUs, use accelerate's launcher; FSDP is set in the recipe. Without a
    GPU, training runs in float32: small models only.

    \b
    Examples:
      xcodec2 llasa train small rows='["rows"]' out=runs/mine
      xcodec2 llasa train small out=runs/mine --resume
      accelerate launch -m xcodec2.cli llasa train paper rows='["rows"]' out=runs/llasa
    """
    from xcodec2.llasa.extra import require_llasa
    from xcodec2.llasa.training.recipe import read_llasa_recipe

    warnings.filterwarnings("default", "recipe:", DeprecationWarning)  # old names are told
    resolved = read_llasa_recipe(recipe, changes)
    require_llasa("transformers", "accelerate", *(["peft"] if resolved.lora else []))
    from xcodec2.llasa.training.train import train

    click.echo(f"model: {train(resolved, resume=resume)}")


@llasa.command()
@click.argument("codes", nargs=-1, required=True)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--heldout", metavar="CODES", help="Another extraction, on which error rates are measured."
)
@click.option("--steps", default=4000, show_default=True, type=click.IntRange(min=1))
@click.option("--width", default=256, show_default=True, type=click.IntRange(min=1))
@click.option("--blocks", default=10, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--batch",
    default=8000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Codes in a batch.",
)
@click.option("--learning-rate", default=2e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of matrix products; bfloat16 is faster where the CPU has it.",
)
def ctc(codes: tuple[str, ...], out: Path, heldout: str | None, **numbers: Any) -> None:
    """Train a small CTC model that reads codes: phones and characters, with times.

    CODES is an extraction with the columns phonemes and words, or several of one codec. OUT gets a
    checkpoint, from which the same command resumes, and ctc.safetensors, for `xcodec2 transcribe
    --ctc` and for `xcodec2 speak --verifier ctc-FILE`, which chooses without decoding.

    \b
    Examples:
      xcodec2 llasa ctc data/llasa/hibari/train runs/ctc --heldout data/llasa/hibari/heldout
      xcodec2 llasa ctc data/llasa/hibari/train data/llasa/kokoro/train runs/ctc
      xcodec2 llasa ctc codes/ runs/ctc --steps 20000
    """
    from tqdm import tqdm

    from xcodec2.llasa.extra import require_llasa

    require_llasa("pyarrow", *(["rapidfuzz"] if heldout else []))
    from xcodec2.transcribe import CtcRecipe, text_in_codes, train_ctc
    from xcodec2.transcribe.training import MODEL

    with tqdm(total=numbers["steps"], unit=" steps", disable=None, delay=2, leave=False) as bar:

        def report(step: int, loss: float) -> None:
            bar.update(step + 1 - bar.n)
            bar.set_postfix_str(f"loss {loss:.2f}", refresh=False)
            if bar.disable and (step + 1) % 100 == 0:  # a log, not a terminal
                click.echo(f"step {step + 1} of {numbers['steps']}, loss {loss:.2f}", err=True)

        made = train_ctc(codes, out, CtcRecipe(**numbers), report=report)
    count = sum(weight.numel() for weight in made.network.parameters())
    click.echo(f"model: {out / MODEL}, {count / 1e6:.1f} M parameters")
    if heldout:
        found = text_in_codes(made, heldout)
        click.echo(f"on {found.rows} rows of {heldout}, with 95 % intervals:")
        for name in ("phone_error_rate", "character_error_rate", "word_error_rate"):
            click.echo(f"  {name.replace('_', ' '):<22}{getattr(found, name)}")


@llasa.command()
@click.argument("lm")
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--full", is_flag=True, help="Write float32 weights instead of float16.")
@click.option("--q8", is_flag=True, help="Write 8-bit weights (Q8_0) instead of float16.")
def gguf(lm: str, out: Path, full: bool, q8: bool) -> None:
    """Write a language model as GGUF, for llama.cpp's server.

    \b
    Examples:
      xcodec2 llasa gguf runs/mine/model mine.gguf
      xcodec2 llasa gguf HKUSTAudio/Llasa-1B llasa-1b.gguf --q8
    """
    from xcodec2.llasa.extra import require_llasa

    require_llasa("transformers", "gguf")
    from xcodec2.llasa.export.gguf import write_gguf
    from xcodec2.llasa.lm import load_lm

    write_gguf(load_lm(lm), out, full=full, q8=q8)
