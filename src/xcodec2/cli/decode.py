"""`xcodec2 decode`: codes files to speech."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from xcodec2.cli.options import INPUT_FILE, device_option, load_model, model_option
from xcodec2.cli.outputs import check_audio_suffix, for_each_file, frames_bar, plan_outputs


@click.command()
@click.argument("codes", nargs=-1, required=True, type=INPUT_FILE)
@click.option(
    "-o", "--out", required=True, metavar="OUT", help="Audio file; a folder for several inputs."
)
@click.option(
    "--format",
    "audio_format",
    type=click.Choice(["wav", "flac", "ogg", "mp3"]),
    help="What to write into a folder; wav when not given. A single file's suffix says its own.",
)
@model_option
@device_option
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "int8"]),
    default="float32",
    show_default=True,
    help="How exactly it is computed. bfloat16 and int8 (CPUs only) are faster and about 40 and 30 dB from float32.",
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

    CODES are files written by `xcodec2 encode`. The suffix of OUT chooses the format: .wav, .flac,
    .ogg or .mp3. With several inputs, or when OUT is a folder or ends in /, each input gets
    OUT/NAME.wav. Results of an earlier run are replaced.

    \b
    Examples:
      xcodec2 decode speech.npz -o speech.wav
      xcodec2 decode codes/*.npz -o decoded/ --format flac
      xcodec2 decode codes/*.npz -o decoded/ --dtype int8
    """
    from xcodec2.audio.io import save_audio
    from xcodec2.codes import Codes

    pairs = plan_outputs(codes, out, audio_format or "wav")
    for _, target in pairs:
        check_audio_suffix(target)
        if audio_format and target.suffix.lower() != f".{audio_format}":
            raise click.UsageError(f"{target} and --format {audio_format} contradict each other")
    model = load_model(model_name, device, dtype=dtype, decoder_only=True)

    def work(source: Path, target: Path) -> None:
        item = Codes.load(source)
        if item.model not in (None, model.model_id):  # it may be meant: fine-tuned decoders exist
            warnings.warn(
                f"{source} was encoded with {item.model}, not {model.model_id}: noise, unless the two share codes",
                stacklevel=1,
            )
        with frames_bar() as progress:
            save_audio(target, model.decode(item, progress=progress), model.sample_rate)

    for_each_file(pairs, work)
