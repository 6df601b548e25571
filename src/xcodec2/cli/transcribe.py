"""`xcodec2 transcribe`: speech or its codes to text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xcodec2.cli.options import check_device, device_option
from xcodec2.cli.outputs import check_parents


@click.command()
@click.argument(
    "inputs",
    nargs=-1,
    required=True,
    metavar="AUDIO_OR_CODES...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--ctc",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A model that `xcodec2 llasa ctc` has trained.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "srt", "vtt"]),
    default="text",
    show_default=True,
    help="json has words and phones with times; srt and vtt are subtitles.",
)
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="A file; a folder for several inputs.  [default: standard output]",
)
@click.option("--model", "model_name", metavar="MODEL", help="The codec.  [default: the CTC's own]")
@device_option
def transcribe(
    inputs: tuple[Path, ...],
    ctc: Path,
    form: str,
    out: Path | None,
    model_name: str | None,
    device: str,
) -> None:
    """Transcribe audio, or the codes of audio without decoding them.

    Codes files are read as they are; audio is encoded first, by the codec that the CTC model was
    trained on. Several inputs give a line each, with the path before it.

    \b
    Examples:
      xcodec2 transcribe speech.npz --ctc runs/ctc/ctc.safetensors
      xcodec2 transcribe speech.wav --ctc runs/ctc/ctc.safetensors --format srt -o speech.srt
      xcodec2 transcribe *.wav --ctc runs/ctc/ctc.safetensors --format json -o transcripts/
    """
    several = len(inputs) > 1
    names = [f"{path.stem}.{'txt' if form == 'text' else form}" for path in inputs]
    check_outputs(several, names, form, out)
    check_device(device)
    from xcodec2.errors import TranscriptionError
    from xcodec2.files import replacing
    from xcodec2.transcribe import Transcriber
    from xcodec2.transcribe.formats import format_transcript

    reader = Reader(Transcriber.load(ctc, device=device), model_name, device)
    for path, name in zip(inputs, names, strict=True):
        text = format_transcript(reader.transcriber.transcribe(reader.codes(path)), form)
        if out is None:
            click.echo(f"{path}\t{text}" if several else text, nl=False)
            continue
        if several:
            out.mkdir(parents=True, exist_ok=True)
        with replacing(out / name if several else out, TranscriptionError) as file:
            file.write(text.encode())


def check_outputs(several: bool, names: list[str], form: str, out: Path | None) -> None:
    """Options that contradict each other are a usage error."""
    if several and out is None and form in ("srt", "vtt"):
        raise click.UsageError(f"several inputs as {form} need -o FOLDER")
    if several and out is not None and len(set(names)) < len(names):
        raise click.UsageError("two inputs would write the same file; give them other names")
    if out is not None and not several:
        check_parents([out])


class Reader:
    """Codes of files of both kinds; the codec is loaded when the first audio comes."""

    def __init__(self, transcriber: Any, model_name: str | None, device: str) -> None:
        self.transcriber, self.device = transcriber, device
        self.name = model_name or transcriber.codec.model or "nano"
        self.model: Any = None

    def codes(self, path: Path) -> Any:
        """The codes of a codes file, or of audio."""
        from xcodec2 import Codes, XCodec2Model

        if path.suffix.lower() == ".npz":
            return Codes.load(path)
        if self.model is None:
            self.model = XCodec2Model.from_pretrained(self.name, device=self.device).eval()
        return self.model.encode(path)
