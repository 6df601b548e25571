"""`xcodec2 transcribe`: speech or its codes to text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xcodec2.cli.options import (
    INPUT_FILE,
    INPUT_FILE_OR_STDIN,
    check_device,
    device_option,
    load_model,
)
from xcodec2.cli.outputs import (
    STDIO,
    check_decoders,
    check_stdin,
    content_of,
    for_each_file,
    plan_outputs,
)
from xcodec2.printable import printable

if TYPE_CHECKING:
    from xcodec2.codes import Codes
    from xcodec2.llasa.transcription import LmTranscriber
    from xcodec2.transcribe import Transcriber


@click.command()
@click.argument(
    "inputs", nargs=-1, required=True, metavar="AUDIO_OR_CODES...", type=INPUT_FILE_OR_STDIN
)
@click.option(
    "--ctc",
    metavar="FILE",
    type=INPUT_FILE,
    help="A model that `xcodec2 llasa ctc` has trained.  [default: the one in the package]",
)
@click.option(
    "--lm",
    metavar="LM",
    help="Instead: a LLaSA that has learned the task asr; a folder or a Hugging Face id.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "srt", "vtt"]),
    default="text",
    show_default=True,
    help="json has words and phones with times (with --lm, segments); srt and vtt are subtitles.",
)
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    help="A file; a folder for several inputs.  [default: standard output]",
)
@click.option(
    "--model", "model_name", metavar="MODEL", help="The codec.  [default: the model's own]"
)
@device_option
def transcribe(
    inputs: tuple[Path, ...],
    ctc: Path | None,
    lm: str | None,
    form: str,
    out: str | None,
    model_name: str | None,
    device: str,
) -> None:
    """Transcribe audio, or the codes of audio without decoding them.

    The model in the package reads English of synthetic voices; it was never taught people, and gets
    nearly all of their words wrong.

    Codes (files of `xcodec2 encode`, .npy arrays, text of speech tokens) are read as they are;
    audio is encoded first, by the codec that the model was trained on; - is standard input.
    Several inputs give a line each, with the path before it. If OUT is a folder or ends in /, each
    input is written to OUT/NAME.txt (.json, .srt, .vtt). Existing files are overwritten.

    \b
    Examples:
      xcodec2 transcribe speech.npz
      xcodec2 transcribe speech.wav --format srt -o speech.srt
      xcodec2 transcribe *.wav --ctc runs/ctc/ctc.safetensors --format json -o transcripts/
      xcodec2 transcribe speech.wav --lm runs/mine/model
    """
    if ctc is not None and lm is not None:
        raise click.UsageError("give one of --ctc and --lm: what transcribes")
    pairs = plan_transcripts(inputs, form, None if out == str(STDIO) else out)
    check_device(device)
    from xcodec2.errors import TranscriptionError
    from xcodec2.files import replacing
    from xcodec2.transcribe.formats import format_transcript

    reader = Reader(load_transcriber(ctc, lm, device), model_name, device)

    def work(source: Path) -> Callable[[Path], None]:
        text = format_transcript(reader.transcriber.transcribe(reader.codes(source)), form)

        def save(target: Path) -> None:
            if target == STDIO:
                show(text, source if len(inputs) > 1 else None)
                return
            with replacing(target, TranscriptionError) as file:
                file.write(text.encode())

        return save

    for_each_file(pairs, work)


def load_transcriber(ctc: Path | None, lm: str | None, device: str) -> Any:
    """What reads codes: a CTC model, or a language model."""
    if lm is None:
        from xcodec2.transcribe import Transcriber

        return Transcriber.load(ctc, device=device)
    from xcodec2.llasa.extra import require_llasa

    require_llasa("transformers")
    from transformers.utils import logging

    from xcodec2.llasa.transcription import LmTranscriber

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return LmTranscriber.load(lm, device=device)


def plan_transcripts(
    inputs: tuple[Path, ...], form: str, out: str | None
) -> list[tuple[Path, Path]]:
    """Pairs of (source, target); what can be wrong with names is found before any work."""
    check_decoders(inputs)
    if out is not None:
        return plan_outputs(inputs, out, "txt" if form == "text" else form)
    if len(inputs) > 1 and form in ("srt", "vtt"):
        raise click.UsageError(f"several inputs as {form} need -o FOLDER")
    if STDIO in inputs:
        check_stdin()
        if len(inputs) > 1:
            raise click.UsageError("- is standard input, and the only input where it is one")
    return [(source, STDIO) for source in inputs]


def show(text: str, source: Path | None) -> None:
    """Print a transcript, behind the path where there are several."""
    from tqdm import tqdm

    before = "" if source is None else f"{printable(source)}\t"
    for line in text.splitlines():
        tqdm.write(f"{before}{printable(line)}")


class Reader:
    """Codes of files of both kinds; the codec is loaded when the first audio comes."""

    def __init__(
        self, transcriber: Transcriber | LmTranscriber, model_name: str | None, device: str
    ) -> None:
        self.transcriber, self.name, self.device = transcriber, model_name, device
        self.model: Any = None

    def codes(self, source: Path) -> Codes:
        """The codes of a codes file, known by its content, or of audio."""
        from xcodec2.codes import Codes, begins_like_codes
        from xcodec2.errors import AudioError
        from xcodec2.files import open_regular

        content = content_of(source)
        if source == STDIO:
            start = content[:64]
        else:
            with open_regular(source, AudioError) as file:
                start = file.read(64)
        if begins_like_codes(start):
            codec = self.transcriber.codec
            return Codes.load(
                content, frame_rate=codec.frame_rate, codebook_size=codec.codebook_size
            )
        if self.model is None:
            self.model = self.load()
        codes: Codes = self.model.encode(content)
        return codes

    def load(self) -> Any:
        """The codec that was named, or the model's own."""
        from xcodec2.errors import CheckpointError

        own = self.transcriber.codec.model or "nano"
        try:
            return load_model(self.name or own, self.device)
        except CheckpointError as problem:
            if self.name:
                raise
            raise CheckpointError(
                f"{problem}; the model reads codes of {own}: say with --model where it is"
            ) from problem
