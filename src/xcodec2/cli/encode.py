"""`xcodec2 encode`: speech to codes files."""

from __future__ import annotations

from pathlib import Path

import click

from xcodec2.cli.options import (
    INPUT_FILE,
    channel_option,
    device_option,
    load_model,
    model_option,
)
from xcodec2.cli.outputs import for_each_file, frames_bar, plan_outputs


@click.command()
@click.argument("speech", nargs=-1, required=True, type=INPUT_FILE)
@click.option(
    "-o", "--out", required=True, metavar="OUT", help="Codes file; a folder for several inputs."
)
@model_option
@device_option
@channel_option
def encode(
    speech: tuple[Path, ...], out: str, model_name: str, device: str, channel: int | None
) -> None:
    """Encode speech into codes files.

    SPEECH may have any format, rate and number of channels, which are averaged. A codes file holds the codes, the
    length and rate of the speech and the model they come from; NumPy alone reads it (`numpy.load`).
    With several inputs, or when OUT is a folder or ends in /, each input gets OUT/NAME.npz. Results
    of an earlier run are replaced.

    \b
    Examples:
      xcodec2 encode speech.wav -o speech.npz
      xcodec2 encode recordings/*.mp3 -o codes/
      xcodec2 encode interview.wav -o left.npz --channel 0
      xcodec2 encode speech.wav -o speech.npz --model HKUSTAudio/xcodec2 --device cuda
    """
    pairs = plan_outputs(speech, out, "npz")
    model = load_model(model_name, device)

    def work(source: Path, target: Path) -> None:
        with frames_bar() as progress:
            model.encode(source, channel=channel, progress=progress).save(target)

    for_each_file(pairs, work)
