"""The command `xcodec2`: one verb per module. Whatever is slow to import is imported inside the
command bodies, so that help costs no torch.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from xcodec2 import __version__
from xcodec2.cli.convert import convert
from xcodec2.cli.decode import decode
from xcodec2.cli.encode import encode
from xcodec2.cli.ending import ProcessEnd
from xcodec2.cli.evaluate import evaluate
from xcodec2.cli.export import export
from xcodec2.cli.extract import extract
from xcodec2.cli.failures import exit_code, explain, show_warning
from xcodec2.cli.info import info
from xcodec2.cli.leaderboard import leaderboard
from xcodec2.cli.llasa import llasa
from xcodec2.cli.reconstruct import reconstruct
from xcodec2.cli.serve import serve
from xcodec2.cli.speak import speak
from xcodec2.cli.terminal import say
from xcodec2.cli.threads import settle_threads
from xcodec2.cli.train import train
from xcodec2.cli.transcribe import transcribe
from xcodec2.cli.voices import voices


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="On failure, show the full Python traceback.")
@click.version_option(__version__, message="xcodec2 %(version)s")
def xcodec2(debug: bool) -> None:
    """A speech tokenizer: 16 kHz speech to 50 tokens a second, and back.

    \b
    Examples:
      xcodec2 encode speech.wav -o speech.npz
      xcodec2 decode speech.npz -o again.wav
      xcodec2 reconstruct speech.wav -o again.wav
      xcodec2 speak "Weasels have eaten our phone system" -o weasels.wav
    """


for command in (
    encode,
    decode,
    reconstruct,
    info,
    convert,
    evaluate,
    leaderboard,
    train,
    llasa,
    speak,
    serve,
    transcribe,
    voices,
    extract,
    export,
):
    xcodec2.add_command(command)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0, 2 for a usage error, 1 for failure, 130 when interrupted,
    with one line why. Without `args` the process is the command's own, and ends as `ProcessEnd`
    says.
    """
    end = ProcessEnd() if args is None else None
    try:
        run_command(args)
    except SystemExit as leaving:
        if end:
            end.code = leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
        raise


def run_command(args: Sequence[str] | None) -> NoReturn:
    """Run one command, and turn its failure into one line and an exit code.

    Args:
        args: What stands behind `xcodec2`; those of the process without.
    """
    args = list(sys.argv[1:] if args is None else args) or ["--help"]
    os.environ.setdefault(
        "HF_HUB_VERBOSITY", "error"
    )  # its retries would be many lines; their end is one
    settle_threads(next((arg for arg in args if not arg.startswith("-")), ""))
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            sys.exit(xcodec2.main(args, prog_name="xcodec2", standalone_mode=False))
        except Exception as error:
            if args[0] == "--debug":
                raise
            say(f"xcodec2: error: {explain(error)}", err=True)
            sys.exit(exit_code(error))
