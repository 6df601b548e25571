"""Fetch and prepare the speech on which the bundled model `nano` is trained, validated and tested.

    python scripts/prepare_nano_data.py --out data/nano

    pip install -r scripts/nano_data/requirements.txt
    python scripts/prepare_nano_data.py --out data/nano --synthetic
    python scripts/prepare_nano_data.py --out data/nano-24k --cache data/nano/debian --rate 24000

The recordings come from Debian packages (`nano_data/sources.py` says what, and under which
license), so this needs apt-get and dpkg-deb, but no root; and PyAV (`pip install av`) to read
G.722. Synthetic voices (`nano_data/voices.py`) come from PyPI and npm; some voices and sources are
in the split `unheard`, which is never trained on. The output folder gets one folder per split with
FLAC files of 16 kHz (or --rate: then of the recordings that have it) and a `manifest.tsv`; beside
them lie `rejected.tsv` (what was left out and why) and `ATTRIBUTION.md`. A second run redoes only
what has changed, an interrupted one goes on where it was, and a larger --parts adds to what is
there.
"""

import argparse
import sys
from multiprocessing import get_context
from pathlib import Path

from nano_data.attribution import attribution
from nano_data.build import (
    Result,
    Spoken,
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
from tqdm import tqdm

WORKERS = 2
UNITS_PER_TABLE = 10


def prepare_natural(out: Path, cache: Path, rate: int) -> list[Result]:
    """Prepare the recordings of all sources."""
    clips = [clip for source in SOURCES for clip in list_clips(source, cache)]
    with get_context("spawn").Pool(WORKERS) as pool:
        results = mark_doubles(build_clips(clips, out, pool, rate))
    remove_rejected(out, results)
    return results


def prepare_synthetic(
    out: Path, cache: Path, options: argparse.Namespace, natural: list[Result]
) -> list[Spoken]:
    """Let the synthetic voices speak; the tables follow them, so that training can begin
    meanwhile.
    """
    from nano_data.synthesis import build_units, units

    wanted = units(options.seed, options.hibari_seconds, options.kokoro_seconds, options.parts)
    made: list[Spoken] = []
    for number, clips in enumerate(
        build_units(tqdm(wanted, desc="voices", unit="unit"), out, cache), 1
    ):
        made += clips
        if number % UNITS_PER_TABLE == 0:
            write_tables(out, natural, made)
    return made


def write_tables(out: Path, natural: list[Result], synthetic: list[Spoken]) -> None:
    """Everything that says what the folder holds."""
    for split in SPLITS:
        of_split = [(clip, outcome) for clip, outcome in natural if clip.split == split]
        spoken = [clip for clip in synthetic if clip.split == split]
        write_manifest(out / split / "manifest.tsv", of_split, spoken)
    write_rejected(out / "rejected.tsv", natural, synthetic)
    write_text(out / "ATTRIBUTION.md", attribution(SOURCES, synthetic=bool(synthetic)))


def main() -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--out", type=Path, default=Path("data/nano"), help="output folder (%(default)s)"
    )
    parser.add_argument("--cache", type=Path, help="folder of unpacked packages (OUT/debian)")
    parser.add_argument("--synthetic", action="store_true", help="let synthetic voices speak too")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the synthetic voices and their sentences (%(default)s)",
    )
    parser.add_argument(
        "--rate", type=int, default=16_000, help="of the natural speech, in Hz (%(default)s)"
    )
    seconds = {"type": float, "metavar": "S"}
    parser.add_argument(
        "--hibari-seconds",
        **seconds,
        default=240,
        help="of each pseudo-speaker's part (%(default)s)",
    )
    parser.add_argument(
        "--kokoro-seconds", **seconds, default=30, help="of each Kokoro voice's part (%(default)s)"
    )
    parser.add_argument(
        "--parts", type=int, default=1, help="of each voice; more later adds to them (%(default)s)"
    )
    arguments = parser.parse_args()
    out, cache = arguments.out, arguments.cache or arguments.out / "debian"
    try:
        natural = prepare_natural(out, cache, arguments.rate)
        write_tables(out, natural, [])
        synthetic = prepare_synthetic(out, cache, arguments, natural) if arguments.synthetic else []
    except PackageError as error:
        sys.exit(f"error: {error}")
    write_tables(out, natural, synthetic)
    print(minutes_table(natural, synthetic, SPLITS))


if __name__ == "__main__":
    main()
