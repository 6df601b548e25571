"""Clean English of voices that nano has not heard, and what they say: for words through codecs.

    pip install -r scripts/nano_data/requirements.txt
    python scripts/prepare_nano_data.py
    python scripts/prepare_english_set.py
    xcodec2 evaluate data/nano/english/manifest.tsv --out report/ --metrics wer --group-by source

`pocketsphinx` is what Debian's pocketsphinx-testdata has with transcripts: a reader's sentences and
someone who names playing cards. `steel-sky` are lines of actors in DATA/unheard, which come without
texts: those on which two recognizers, Moonshine tiny and Whisper base, hear the same four words or
more. Neither of them is the one that `evaluate` listens with; easy lines are chosen this way, the
same for every codec. The same arguments give the same set.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from nano_data.build import write_table
from nano_data.packages import fetch_package
from nano_data.recogniser import Recogniser
from tqdm import tqdm

from xcodec2.audio.io import load_audio
from xcodec2.evaluators.moonshine import Moonshine
from xcodec2.evaluators.text import normalize

COLUMNS = ("id", "path", "source", "language", "speaker", "seconds", "text")
PACKAGE = "pocketsphinx-testdata"
LISTS = {"librivox": "librivox/transcription", "cards": "cards/cards.transcription"}
LINE = re.compile(r"<s>(.*)</s>\s*\((.+)\)")
RATE = 16_000
SECONDS = (2.5, 9.0)
FEWEST_WORDS = 4

Listener = Callable[[np.ndarray], str]


class Clip(NamedTuple):
    """A line of the manifest."""

    id: str
    path: Path
    source: str
    speaker: str
    text: str

    def cells(self, out: Path) -> tuple[str, ...]:
        """What the manifest says of it."""
        path, seconds = os.path.relpath(self.path, out), soundfile.info(self.path).duration
        return (self.id, path, self.source, "en", self.speaker, f"{seconds:.3f}", self.text)


def transcribed(folder: Path) -> Iterator[Clip]:
    """Clips of the package's folder with the transcripts that it has."""
    for speaker, name in LISTS.items():
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            if found := LINE.fullmatch(line.strip()):
                path = folder / speaker / f"{found[2]}.wav"
                text = " ".join(found[1].split())
                yield Clip(f"pocketsphinx/{found[2]}", path, "pocketsphinx", speaker, text)


def understood(
    data: Path, source: str, count: int, seed: int, listeners: tuple[Listener, Listener]
) -> Iterator[Clip]:
    """Up to so many clips of a source of DATA/unheard on which both hear the same words."""
    with (data / "unheard/manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["source"] == source]
    rows = [row for row in rows if SECONDS[0] <= float(row["seconds"]) <= SECONDS[1]]
    random.Random(f"{seed} {source}").shuffle(rows)
    taken = 0
    with tqdm(total=min(count, len(rows)), unit="clip", desc=source, disable=None) as bar:
        for row in rows:
            if taken == count:
                return
            path = data / "unheard" / row["path"]
            waveform = load_audio(path, target_rate=RATE).waveform.numpy()
            first, second = (normalize(listen(waveform)) for listen in listeners)
            if first == second and len(first.split()) >= FEWEST_WORDS:
                taken += 1
                bar.update()
                yield Clip(row["id"], path, source, row["speaker"], first)


def prepare_english_set(
    data: Path, out: Path, count: int, seed: int, listeners: tuple[Listener, Listener]
) -> int:
    """Write the manifest; how many clips it has."""
    package = fetch_package(PACKAGE, data / "debian")
    clips = list(transcribed(package / "usr/share/pocketsphinx/test/data"))
    clips += understood(data, "steel-sky", count, seed, listeners)
    out.mkdir(parents=True, exist_ok=True)
    write_table(out / "manifest.tsv", (COLUMNS, *(clip.cells(out) for clip in clips)))
    return len(clips)


def main() -> None:
    """Command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--data", type=Path, default=Path("data/nano"), help="prepared data (%(default)s)"
    )
    parser.add_argument("--out", type=Path, help="output folder (DATA/english)")
    parser.add_argument("--clips", type=int, default=120, help="of actors (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="%(default)s")
    options = parser.parse_args()
    whisper = Recogniser(options.data / "debian")
    listeners = (Moonshine("tiny").transcribe, lambda heard: whisper.transcribe(heard, "en"))
    out = options.out or options.data / "english"
    print(prepare_english_set(options.data, out, options.clips, options.seed, listeners), "clips")


if __name__ == "__main__":
    main()
