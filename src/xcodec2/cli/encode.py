"""`xcodec2 encode`: speech to codes files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from xcodec2.cli.options import (
    INPUT_FILE_OR_STDIN,
    channel_option,
    device_option,
    load_model,
    model_option,
)
from xcodec2.cli.outputs import (
    STDIO,
    check_decoders,
    content_of,
    for_each_file,
    plan_outputs,
    progress_bar,
    write_stdout,
)


@click.command()
@click.argument("speech", nargs=-1, required=True, type=INPUT_FILE_OR_STDIN)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="OUT",
    help="Codes file, or - for standard output; a folder for several inputs.",
)
@model_option
@device_option
@channel_option
def encode(
    speech: tuple[Path, ...], out: str, model_name: str, device: str, channel: int | None
) -> None:
    """Encode speech into codes files.

    SPEECH can have any format, sample rate and number of channels, which are averaged; - is
    standard input. A codes file holds the codes, the length and sample rate of the speech, and the
    identity of the model; NumPy alone can read it (`numpy.load`). With several inputs, or if OUT is
    a folder or ends in /, each input is written to OUT/NAME.npz. Existing files are overwritten.
    Prints one line per file.

    \b
    Examples:
      xcodec2 encode speech.wav -o speech.npz
      xcodec2 encode recordings/*.mp3 -o codes/
      xcodec2 encode interview.wav -o left.npz --channel 0
      xcodec2 encode speech.wav -o speech.npz --model HKUSTAudio/xcodec2 --device cuda
      ffmpeg -i film.mkv -f wav - | xcodec2 encode - -o film.npz
    """
    pairs = plan_outputs(speech, out, "npz")
    check_decoders(speech)
    model = load_model(model_name, device)

    def work(source: Path) -> Callable[[Path], str]:
        with progress_bar("frames") as progress:
            codes = model.encode(content_of(source), channel=channel, progress=progress)

        def save(target: Path) -> str:
            if target == STDIO:
                write_stdout(codes.to_bytes())
            else:
                codes.save(target)
            written = "standard output" if target == STDIO else target
            return f"{written}: {len(codes)} codes, {codes.duration:.2f} s, model {codes.model}"

        return save

    for_each_file(pairs, work)
