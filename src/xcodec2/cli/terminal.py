"""What goes to the terminal: single lines, in which nothing of a stranger's commands it."""

from __future__ import annotations

import click

from xcodec2.printable import printable


def say(text: object, *, err: bool = False) -> None:
    """Print one line; `err`: on standard error."""
    click.echo(printable(text), err=err)


def say_lines(text: str) -> None:
    """Print lines of which the command itself knows where they break, such as JSON or TOML."""
    for line in text.splitlines():
        say(line)
