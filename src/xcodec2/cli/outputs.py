"""Where results go, and how a run over several files goes on after a bad one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from xcodec2.cli.failures import FILE_FAILURES, explain
from xcodec2.cli.terminal import say
from xcodec2.extras import require
from xcodec2.printable import printable

STDIO = Path("-")  # standard input or output


def plan_outputs(sources: Sequence[Path], out: str, suffix: str) -> list[tuple[Path, Path]]:
    """Pairs of (source, target): `out` itself for one source, else `out/STEM.suffix`.

    `out` means a folder when it is one, when it ends in a slash and when there are several sources.
    Everything that can be wrong with names is found here, before any work.
    """
    if not out:
        raise click.UsageError("-o needs a name")
    folder = Path(out)
    if STDIO in sources and len(sources) > 1:
        raise click.UsageError("- is standard input, and the only input where it is one")
    if STDIO in sources:
        check_stdin()
    if folder == STDIO:
        if len(sources) > 1:
            raise click.UsageError("several results need a folder, and - is standard output")
        check_stdout()
        return [(sources[0], STDIO)]
    if STDIO in sources and (folder.is_dir() or out.endswith(("/", os.sep))):
        raise click.UsageError("what comes from standard input has no name: -o must name a file")
    if len(sources) == 1 and not folder.is_dir() and not out.endswith(("/", os.sep)):
        check_parents([folder])
        targets = [folder]
    elif folder.exists() and not folder.is_dir():
        raise click.UsageError(f"several results need a folder, and {out} is a file")
    else:
        targets = [folder / f"{source.stem}.{suffix}" for source in sources]
    check_targets(targets, sources)
    return list(zip(sources, targets, strict=True))


def check_parents(targets: Sequence[Path]) -> None:
    """Refuses single files in folders that do not exist: more likely a slip than a wish."""
    for target in targets:
        if not target.parent.is_dir():
            raise click.UsageError(f"the folder {target.parent} does not exist")


def check_targets(targets: Sequence[Path], sources: Sequence[Path]) -> None:
    """Refuses targets that are folders, would be written twice, or would overwrite one of the
    sources.
    """
    inputs = {source.resolve() for source in sources}
    seen: set[Path] = set()
    for target in targets:
        if target.is_dir():
            raise click.UsageError(f"{target} is a folder; name a file")
        if target.resolve() in inputs:
            raise click.UsageError(f"{target} is an input, and would be overwritten")
        if target.resolve() in seen:
            raise click.UsageError(f"{target} would be written twice, for two inputs or options")
        seen.add(target.resolve())


def check_audio_suffix(target: Path) -> None:
    """Refuses a target whose suffix names no audio format that can be written."""
    from xcodec2.audio.io import SAVE_FORMATS

    if target.suffix.lower() not in SAVE_FORMATS:
        raise click.UsageError(f"{target} must end in one of {', '.join(SAVE_FORMATS)}")


def check_decoders(sources: Sequence[Path]) -> None:
    """Asks for FFmpeg where a name says that nothing else reads the file, before any work."""
    from xcodec2.audio.suffixes import FFMPEG_SUFFIXES

    if any(source.suffix.lower() in FFMPEG_SUFFIXES for source in sources):
        require("av", extra="media", purpose="reading mp4, m4a, aac and the like")


def check_stdin() -> None:
    """Refuses to read where there is nothing."""
    if sys.stdin is None:  # as in a service
        raise click.ClickException("standard input is closed: name a file")


def check_stdout() -> None:
    """Refuses to fill a terminal with binary data, and to write where there is nothing."""
    if sys.stdout is None:  # as in a service
        raise click.ClickException("standard output is closed: name a file with -o")
    if sys.stdout.isatty():
        raise click.UsageError("-o - writes binary data, and standard output is a terminal")


def content_of(source: Path) -> Any:
    """What a model or a reader of codes takes for `source`: its path, or all of standard input."""
    if source != STDIO:
        return source
    check_stdin()
    if not (content := sys.stdin.buffer.read()):
        raise click.ClickException(
            "standard input is empty; what comes before the pipe may say why"
        )
    return content


def write_stdout(content: bytes) -> None:
    """Write all of it and flush, so that a failure is one of this command."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def for_each_file(
    pairs: Sequence[tuple[Path, Path]], work: Callable[[Path], Callable[[Path], str | None]]
) -> None:
    """Calls `work(source)` for every pair, and what that returns with the target.

    The folder of the targets is made when there is something to be put in it. What saving returns
    is printed, on standard error where standard output is the target. Among several, a bad file
    costs one line and not the run.
    """

    def do(source: Path, target: Path, tell: Callable[[str, TextIO], object]) -> None:
        save = work(source)
        if target != STDIO:
            target.parent.mkdir(parents=True, exist_ok=True)
        if said := save(target):
            tell(said, sys.stderr if target == STDIO else sys.stdout)

    if len(pairs) == 1:
        do(*pairs[0], lambda text, file: say(text, err=file is sys.stderr))
        return
    from tqdm import tqdm

    def above_the_bar(text: str, file: TextIO) -> None:
        tqdm.write(printable(text), file=file)

    failed = 0
    for source, target in tqdm(pairs, unit="file", disable=None):  # None: shown on a terminal only
        try:
            do(source, target, above_the_bar)
        except FILE_FAILURES as error:
            failed += 1
            why, name = explain(error), printable(source)
            why = why if name in why else f"{name}: {why}"
            tqdm.write(f"xcodec2: error: {why}", file=sys.stderr)
    if failed:
        raise click.ClickException(f"{failed} of {len(pairs)} files failed")


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a `progress(done, total)` that shows a bar on a terminal, for work that takes longer
    than a moment.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", disable=None, delay=2, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
