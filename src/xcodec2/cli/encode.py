"""`xcodec2 encode`: speech to codes files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from xcodec2.cli.options import (
    INPUT_FILE_OR_STDIN,
    channel_option,
    device_option,
    load_for_few,
    load_for_stream,
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
from xcodec2.cli.pipes import check_pipe, encode_pipe


@click.command()
@click.argument("speech", nargs=-1, required=True, type=INPUT_FILE_OR_STDIN)
@click.option(
    "-o",
    "--out",
    metavar="OUT",
    help="Codes file, or - for standard output; a folder for several inputs. Required "
    "without --stream.",
)
@model_option
@device_option
@channel_option
@click.option(
    "--stream",
    is_flag=True,
    help="Encode standard input as it comes: raw samples in (16-bit little-endian, mono), speech "
    "tokens out.",
)
@click.option(
    "--sample-rate",
    type=click.IntRange(1_000, 1_000_000),
    metavar="HZ",
    help="Of the raw samples of --stream.  [default: 16000]",
)
def encode(
    speech: tuple[Path, ...],
    out: str | None,
    model_name: str,
    device: str,
    channel: int | None,
    stream: bool,
    sample_rate: int | None,
) -> None:
    """Encode speech into codes files.

    SPEECH can have any format, sample rate and number of channels, which are averaged; - is
    standard input. A codes file holds the codes, the length and sample rate of the speech, and the
    identity of the model; NumPy alone can read it (`numpy.load`). With several inputs, or if OUT is
    a folder or ends in /, each input is written to OUT/NAME.npz. Existing files are overwritten.
    Prints one line per file.

    With --stream, SPEECH is - and has no header: raw 16-bit little-endian mono samples at
    --sample-rate. Tokens (<|s_17|><|s_60001|>...) are written to standard output as soon as they
    are final, a line at a time: those of the whole where the model's receptive field is finite,
    nearly those elsewhere.

    \b
    Examples:
      xcodec2 encode speech.wav -o speech.npz
      xcodec2 encode recordings/*.mp3 -o codes/
      xcodec2 encode interview.wav -o left.npz --channel 0
      xcodec2 encode speech.wav -o speech.npz --model HKUSTAudio/xcodec2 --device cuda
      ffmpeg -i film.mkv -f wav - | xcodec2 encode - -o film.npz
      arecord -f S16_LE -r 16000 -t raw | xcodec2 encode - --stream
      ffmpeg -i film.mkv -f s16le -ac 1 -ar 48000 - | xcodec2 encode - --stream --sample-rate 48000
    """
    if stream:
        if channel is not None:
            raise click.UsageError("--stream takes one channel, and --channel chooses among more")
        check_pipe(speech[0], out, binary=False)
        if len(speech) > 1:
            raise click.UsageError("- is standard input, and the only input where it is one")
        encode_pipe(load_for_stream(model_name, device), sample_rate or 16_000)
        return
    if sample_rate is not None:
        raise click.UsageError("--sample-rate is for --stream: other audio says its own")
    if out is None:
        raise click.UsageError("Missing option '-o' / '--out'.")
    pairs = plan_outputs(speech, out, "npz")
    check_decoders(speech)
    model = load_for_few(model_name, device, len(pairs))

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
