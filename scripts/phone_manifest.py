"""Write a manifest of speech with time-aligned phones: the 620 Russian sentences of Debian's
festvox-ru.

    python scripts/prepare_nano_data.py          # unpacks the package, among others
    python scripts/phone_manifest.py
    xcodec2 evaluate data/nano/phones.tsv --out report/ --metrics none --phones phones --workers 2

The recordings are those of the package, untrimmed: its labels count from their beginning. The
column `split` says which of them nano's validation set holds; nano was trained on the others.
phones-train.tsv and phones-valid.tsv hold the two alone, for training a semantic teacher.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from nano_data import transcripts
from nano_data.build import write_text

VOICE = "festvox-ru/usr/share/festival/voices/russian/msu_ru_nsh_clunits"
MANIFESTS = {
    "phones.tsv": ("train", "valid"),
    "phones-train.tsv": ("train",),
    "phones-valid.tsv": ("valid",),
}
COLUMNS = ("id", "path", "phones", "split", "language", "speaker", "text")


def rows(data: Path) -> list[tuple[str, ...]]:
    """One row a sentence, paths relative to the data folder."""
    voice = data / "debian" / VOICE
    texts = dict(
        transcripts.festvox(Path(), (voice / "etc" / "txt.done.data").read_text(encoding="utf-8"))
    )
    with (data / "valid" / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        held_out = {row["id"].rpartition("/")[2] for row in csv.DictReader(file, delimiter="\t")}
    found = []
    for audio in sorted((voice / "wav").glob("*.wav")):
        labels = voice / "lab" / f"{audio.stem}.lab"
        split = "valid" if audio.stem in held_out else "train"
        paths = (path.relative_to(data).as_posix() for path in (audio, labels))
        found.append((audio.stem, *paths, split, "ru", "nsh", texts.get(audio.stem, "")))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/nano"), help="what prepare_nano_data.py wrote"
    )
    data = parser.parse_args().data
    found = rows(data)
    for name, splits in MANIFESTS.items():
        chosen = [row for row in found if row[COLUMNS.index("split")] in splits]
        lines = ["\t".join(row) for row in [COLUMNS, *chosen]]
        write_text(data / name, "\n".join(lines) + "\n")
        print(f"{len(chosen)} sentences in {data / name}")


if __name__ == "__main__":
    main()
