"""`xcodec2 leaderboard`: one page of many reports."""

from __future__ import annotations

from pathlib import Path

import click

from xcodec2.cli.terminal import say


@click.command()
@click.argument(
    "reports", metavar="REPORT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--out", "-o", required=True, type=click.Path(dir_okay=False, path_type=Path), help="HTML file."
)
def leaderboard(reports: tuple[Path, ...], out: Path) -> None:
    """Write one page of many reports, to sort and to filter.

    REPORT is a folder that `xcodec2 evaluate` wrote, or its summary.json. The page needs no server
    and fetches nothing. Made with `--group-by language`, reports can be filtered by language; other
    columns are conditions.

    \b
    Examples:
      xcodec2 leaderboard reports/* -o leaderboard.html
      xcodec2 leaderboard nano/ mine/summary.json -o leaderboard.html
    """
    from xcodec2.evaluate.leaderboard import leaderboard as write

    rows = write(reports, out)
    say(f"{out}: {rows} rows of {len(reports)} report{'' if len(reports) == 1 else 's'}")
