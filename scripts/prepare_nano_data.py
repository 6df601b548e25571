"""Fetch and prepare the speech on which the bundled model `nano` is trained, validated and tested.

    python scripts/prepare_nano_data.py --out data/nano

Everything comes from Debian packages (`nano_data/sources.py` says what, and under which licence),
so this needs apt-get and dpkg-deb, but no root; and PyAV (`pip install av`) to read G.722. The
output folder gets one folder per split with 16 kHz FLAC files and a `manifest.tsv`; beside them lie
`rejected.tsv` (what was left out and why) and `ATTRIBUTION.md`. A second run redoes only what has
changed.
"""

import argparse
import sys
from multiprocessing import get_context
from pathlib import Path

from nano_data.attribution import attribution
from nano_data.build import (
    build_clips,
    mark_doubles,
    minutes_table,
    remove_rejected,
    write_manifest,
    write_rejected,
    write_text,
)
from nano_data.catalogue import SPLITS, list_clips
from nano_data.packages import PackageError
from nano_data.sources import SOURCES

WORKERS = 2


def prepare_nano_data(out: Path, cache: Path) -> str:
    """Prepare all data and return the table of minutes."""
    clips = [clip for source in SOURCES for clip in list_clips(source, cache)]
    with get_context("spawn").Pool(WORKERS) as pool:
        results = mark_doubles(build_clips(clips, out, pool))
    remove_rejected(out, results)
    for split in SPLITS:
        of_split = [(clip, outcome) for clip, outcome in results if clip.split == split]
        write_manifest(out / split / "manifest.tsv", of_split)
    write_rejected(out / "rejected.tsv", results)
    write_text(out / "ATTRIBUTION.md", attribution(SOURCES))
    return minutes_table(results, SPLITS)


def main() -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--out", type=Path, default=Path("data/nano"), help="output folder (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, help="folder of unpacked packages (OUT/debian)")
    arguments = parser.parse_args()
    try:
        print(prepare_nano_data(arguments.out, arguments.cache or arguments.out / "debian"))
    except PackageError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
