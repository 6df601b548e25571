"""Make speech that is hard to code out of clips that were never trained on, by kind of recording.

    python scripts/prepare_hard_set.py --data data/nano

Some clips of each source of DATA/unheard go, each once, through a room, a telephone, noise of 15
dB, a low level and rumble. The same seed gives the same clips. OUT/manifest.tsv has one line a
clip; its `source` is SOURCE-CONDITION and `clean` the path of the clip as it was, relative to OUT.
"""

import argparse
import csv
import os
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
from nano_data.build import write_table

from xcodec2.train.data.augment import add_noise, add_rumble, reverberate
from xcodec2.train.data.channels import filtered, through_codec

COLUMNS = ("id", "path", "source", "language", "speaker", "seconds", "text", "clean")
SECONDS = (2.5, 9.0)
LOUDEST = 0.95
QUIET_DB = -45.0  # root mean square


def room(waveform: np.ndarray, rate: int, rng: random.Random) -> np.ndarray:
    return reverberate(waveform, rate, rng.uniform(0.4, 0.7), rng, walls=True)


def telephone(waveform: np.ndarray, rate: int, rng: random.Random) -> np.ndarray:
    return through_codec(filtered(waveform, rate, lowest=300, highest=3400), rate, ("alaw",), rng)[
        0
    ]


def noise(waveform: np.ndarray, rate: int, rng: random.Random) -> np.ndarray:
    return add_noise(waveform, 15.0, rng)


def quiet(waveform: np.ndarray, rate: int, rng: random.Random) -> np.ndarray:
    return waveform * np.float32(10 ** (QUIET_DB / 20) / np.sqrt(np.mean(np.square(waveform))))


def rumble(waveform: np.ndarray, rate: int, rng: random.Random) -> np.ndarray:
    return add_rumble(waveform, rate, 10.0, rng)


CONDITIONS = {
    "room": room,
    "telephone": telephone,
    "noise": noise,
    "quiet": quiet,
    "rumble": rumble,
}


def prepare_hard_set(data: Path, out: Path, language: str, per_source: int, seed: int) -> int:
    """Write the clips and the manifest; their number."""
    with (data / "unheard/manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    by_source: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["language"] == language and SECONDS[0] <= float(row["seconds"]) <= SECONDS[1]:
            by_source[row["source"]].append(row)
    lines = []
    for source, known in sorted(by_source.items()):
        chosen = random.Random(f"{seed} {source}").sample(known, min(per_source, len(known)))
        for row in chosen:
            lines += hardened(row, data / "unheard" / row["path"], out, seed)
    lines.sort(
        key=lambda line: line[0].partition("/")[0]
    )  # every so many-th then is of every condition
    write_table(out / "manifest.tsv", (COLUMNS, *lines))
    return len(lines)


def hardened(row: dict[str, str], path: Path, out: Path, seed: int) -> list[tuple[str, ...]]:
    """The manifest's lines of a clip: as it was, and through each condition."""
    waveform, rate = soundfile.read(path, dtype="float32")
    clean = os.path.relpath(path, out)
    rest = (row["language"], row["speaker"], row["seconds"], row["text"], clean)
    lines = [(f"clean/{row['id']}", clean, f"{row['source']}-clean", *rest)]
    for name, change in CONDITIONS.items():
        changed = change(waveform, rate, random.Random(f"{seed} {name} {row['id']}"))
        changed = changed * min(1.0, LOUDEST / float(np.abs(changed).max(initial=1e-6)))
        target = out / name / f"{row['id']}.flac"
        target.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(target, changed, rate, subtype="PCM_16")
        lines.append(
            (f"{name}/{row['id']}", f"{name}/{row['id']}.flac", f"{row['source']}-{name}", *rest)
        )
    return lines


def main() -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--data", type=Path, default=Path("data/nano"), help="prepared data (%(default)s)"
    )
    parser.add_argument("--out", type=Path, help="output folder (DATA/hard)")
    parser.add_argument("--language", default="en", help="of the clips (%(default)s)")
    parser.add_argument("--per-source", type=int, default=12, help="clips (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    options = parser.parse_args()
    out = options.out or options.data / "hard"
    out.mkdir(parents=True, exist_ok=True)
    print(
        prepare_hard_set(options.data, out, options.language, options.per_source, options.seed),
        "clips",
    )


if __name__ == "__main__":
    main()
