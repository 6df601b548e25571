"""Write docs/reference/cli.md from the commands' own --help, so that it cannot differ.

    python scripts/make_cli_docs.py

A test fails when the page on disk is not what this would write.
"""

from __future__ import annotations

from pathlib import Path

import click

from xcodec2.cli import xcodec2

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"


def cli_page() -> str:
    """The whole page, as Markdown."""
    context = click.Context(
        xcodec2, info_name="xcodec2", terminal_width=100, **xcodec2.context_settings
    )
    parts = [
        "# The command line\n",
        "Generated from the commands' own `--help` by `make docs`; edit the commands, not this "
        "page.\n",
        "Exit codes: 0 success, 1 failure, 2 usage error, 130 interrupted. A failure is one line "
        "on stderr.\n",
        section("xcodec2", xcodec2.get_help(context)),
    ]
    for name in xcodec2.list_commands(context):
        parts.extend(
            sections(xcodec2.commands[name], click.Context(xcodec2.commands[name], context, name))
        )
    return "\n".join(parts)


def sections(command: click.Command, context: click.Context) -> list[str]:
    """The command's help, and after it that of each command below it."""
    parts = [section(context.command_path, command.get_help(context))]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            parts.extend(
                sections(
                    command.commands[name], click.Context(command.commands[name], context, name)
                )
            )
    return parts


def section(title: str, text: str) -> str:
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
