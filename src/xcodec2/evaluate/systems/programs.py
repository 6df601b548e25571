"""Programs of others: finding them, running them, and saying which ones they are."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from xcodec2.errors import XCodec2Error

TIMEOUT = 600.0


def program(name: str, package: str) -> str:
    """Find a program.

    Args:
        name: Of the program.
        package: Of Debian, which has it.

    Returns:
        Its path.

    Raises:
        XCodec2Error: It is not installed.
    """
    found = shutil.which(name)
    if not found:
        raise XCodec2Error(
            f"{name} is not installed (Debian and Ubuntu: apt-get install {package})"
        )
    return found


def run_program(*command: str | Path) -> None:
    """Run a program to its end.

    Args:
        command: Its path and arguments.

    Raises:
        XCodec2Error: It fails, with its last words, or takes more than ten minutes.
    """
    name = Path(command[0]).name
    try:
        # A group of its own, so that what it started ends with it.
        running = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as problem:
        raise XCodec2Error(f"{name} cannot be run: {problem.strerror}") from problem
    try:
        _, said = running.communicate(timeout=TIMEOUT)
    except BaseException as problem:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
        if isinstance(problem, subprocess.TimeoutExpired):
            raise XCodec2Error(f"{name} took more than {TIMEOUT:g} s") from problem
        raise
    if running.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"exit status {running.returncode}, and no reason given"
        for place in (part for part in command[1:] if isinstance(part, Path)):
            last = last.replace(str(place), place.name)  # its folder has another name each time
        raise XCodec2Error(f"{name} failed: {last}")


def program_version(path: str, argument: str) -> str:
    """The first line of what a program says of itself."""
    said = subprocess.run([path, argument], capture_output=True, text=True, check=False)
    return (said.stdout.strip() or said.stderr.strip()).splitlines()[0]


def digest_of(path: str) -> str:
    """For programs that do not say their version."""
    return f"program {short_digest(Path(path))}"


def short_digest(path: Path) -> str:
    """The beginning of a file's SHA-256, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()[:12]
