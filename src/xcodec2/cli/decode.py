"""`xcodec2 decode`: codes files to speech."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from xcodec2.cli.options import INPUT_FILE_OR_STDIN, device_option, load_model, model_option
from xcodec2.cli.outputs import (
    STDIO,
    check_audio_suffix,
    content_of,
    for_each_file,
    frames_bar,
    plan_outputs,
    write_stdout,
)


@click.command()
@click.argument("codes", nargs=-1, required=True, type=INPUT_FILE_OR_STDIN)
@click.option(
    "-o",
    "--out",
    required=True,
    metavar="OUT",
    help="Audio file, - for standard output; a folder for several inputs.",
)
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "flac", "ogg", "mp3"]),
    help="What to write into a folder or standard output; wav when not given. "
    "A single file's suffix says its own.",
)
@model_option
@device_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="How exactly it is computed. bfloat16 and int8 (CPUs only) are faster and about "
    "40 and 30 dB from float32.",
)
def decode(
    codes: tuple[Path, ...],
    out: str,
    audio_format: str | None,
    model_name: str,
    device: str,
    dtype: str,
) -> None:
    """Decode codes files into speech.

    CODES are files written by `xcodec2 encode`, .npy arrays, or text of speech tokens as language
    models write them (<|s_17|><|s_60001|>...); - is standard input. The suffix of OUT chooses the
    format: .wav, .flac, .ogg or .mp3. With several inputs, or when OUT is a folder or ends in /,
    each input gets OUT/NAME.wav. Results of an earlier run are replaced.

    \b
    Examples:
      xcodec2 decode speech.npz -o speech.wav
      xcodec2 decode codes/*.npz -o decoded/ --format flac
      xcodec2 decode codes/*.npz -o decoded/ --dtype int8
      xcodec2 encode - -o - < speech.wav | xcodec2 decode - -o - > again.wav
    """
    from xcodec2.audio.io import save_audio
    from xcodec2.codes import Codes

    pairs = plan_outputs(codes, out, audio_format or "wav")
    for _, target in pairs:
        if target == STDIO:
            continue
        check_audio_suffix(target)
        if audio_format and target.suffix.lower() != f".{audio_format}":
            raise click.UsageError(f"{target} and --format {audio_format} contradict each other")
    model = load_model(model_name, device, dtype=dtype, decoder_only=True)

    def work(source: Path) -> Callable[[Path], None]:
        item: Path | Codes = source
        if source == STDIO:
            item = Codes.load(
                content_of(source), frame_rate=model.frame_rate, codebook_size=model.codebook_size
            )
        with frames_bar() as progress:
            waveform = model.decode(item, progress=progress)

        def save(target: Path) -> None:
            if target != STDIO:
                save_audio(target, waveform, model.sample_rate)
                return
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, f"speech.{audio_format or 'wav'}")
                save_audio(file, waveform, model.sample_rate)
                write_stdout(file.read_bytes())

        return save

    for_each_file(pairs, work)
