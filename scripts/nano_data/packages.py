"""Fetching and unpacking packages without root: from Debian, and from npm."""

import shutil
import subprocess
import tarfile
from pathlib import Path


class PackageError(RuntimeError):
    """A package cannot be had; the message is one line."""


def fetch_package(name: str, cache: Path) -> Path:
    """Folder that holds the unpacked package: downloaded with apt-get unless it is there
    already.
    """
    folder = cache / name
    if not folder.is_dir():
        partial = cache / f"{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _run("apt-get", "download", name, cwd=partial)
        [archive] = partial.glob("*.deb")
        _run("dpkg-deb", "-x", archive.name, "unpacked", cwd=partial)
        (partial / "unpacked").rename(folder)
        shutil.rmtree(partial)
    return folder


def fetch_npm(name: str, cache: Path) -> Path:
    """Folder that holds the unpacked npm package NAME@VERSION; nothing of it is installed or
    run.
    """
    folder = cache / f"npm-{name.replace('/', '-')}"
    if not folder.is_dir():
        partial = cache / f"{folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _run("npm", "pack", "--silent", name, cwd=partial)
        [archive] = partial.glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        (partial / "package").rename(folder)
        shutil.rmtree(partial)
    return folder


def _run(*command: str, cwd: Path) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise PackageError(f"{command[0]} not found; the data come from packages") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(line for line in error.stderr.splitlines() if not line.startswith("W:"))
        raise PackageError(f"`{' '.join(command)}` failed: {reason}") from None
