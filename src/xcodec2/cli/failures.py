"""How a failure is told at the command line: one line, and an exit code that says whose fault it
is.
"""

from __future__ import annotations

from typing import Any

import click

from xcodec2.cli.terminal import say
from xcodec2.errors import XCodec2Error
from xcodec2.extras import DISTRIBUTIONS
from xcodec2.printable import printable

#: What can go wrong with one file without saying anything about the next.
FILE_FAILURES = (XCodec2Error, OSError)


def exit_code(error: BaseException) -> int:
    """2 for a usage error, 1 for failure, 130 for an interrupt (128 + SIGINT, as shells count)."""
    if isinstance(error, click.Abort):
        return 130
    return error.exit_code if isinstance(error, click.ClickException) else 1


def explain(error: BaseException) -> str:
    """What went wrong, in one line that is safe to print."""
    return printable(" ".join(_explanation(error).split()))


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Stands in for `warnings.showwarning`: one line, without the place in the code."""
    say(f"xcodec2: warning: {' '.join(str(message).split())}", err=True)


def _explanation(error: BaseException) -> str:
    if isinstance(error, click.Abort):
        return "interrupted"
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "xcodec2"
        return f"{error.format_message()} (see `{command} --help`)"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, XCodec2Error):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        return f"this needs {module}: run `pip install {DISTRIBUTIONS.get(module, module)}`"
    if isinstance(error, ImportError):  # fsspec's says what to install for an address
        return str(error)
    return f"{type(error).__name__}: {error} (unexpected: `xcodec2 --debug ...` shows where)"
