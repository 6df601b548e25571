"""A corpus whose every phone is known: sentences of a small grammar, spoken by Flite.

    apt-get install flite
    python scripts/prepare_spoken_corpus.py data/spoken --sentences 240

The folder gets a manifest (id, path, text, language, speaker, phones), WAV files and xlabel files
with the phones that Flite spoke and when they end. The same arguments give the same samples.
`xcodec2 evaluate data/spoken/manifest.tsv --phones phones --lm-minutes N` then measures how well a
small language model learns to speak in a codec's codes.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

VOICE = "slt"  # CMU's, 16 kHz
WORDS = """
adjective: old young quiet brave tired happy clever gentle famous hungry little foreign modern early
adjective: broken empty golden heavy narrow open simple yellow purple silver wooden frozen distant
person: captain doctor farmer teacher singer neighbor sailor painter brother mother lawyer student
person: baker hunter writer dancer soldier driver father sister
thing: boats apples letters windows mountains rivers bottles candles gardens pictures tables horses
thing: pencils carpets baskets lanterns tickets ladders hammers blankets pillows mirrors bridges
verb: sold found carried painted opened counted followed remembered borrowed covered returned
verb: measured collected noticed offered repaired delivered bought
number: two three four five six seven eight nine
place: behind_the_station near_the_harbor under_the_bridge before_the_winter after_the_long_meeting
place: on_a_rainy_morning in_the_middle_of_the_night across_the_valley at_the_end_of_the_road
"""
FORMS = (
    "The {adjective} {person} {verb} {number} {other} {thing}.",
    "A {adjective} {person} {verb} the {other} {thing} {place}.",
    "{number} {thing} were {verb} by the {person} {place}.",
    "Every {person} {verb} {number} {thing} {place}.",
    "The {person} and the {second} {verb} {number} {thing}.",
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sentences", type=int, default=240, help="(%(default)s)")
    arguments = parser.parse_args()
    flite = shutil.which("flite")
    if flite is None:
        sys.exit("flite is not there: apt-get install flite")
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["id\tpath\ttext\tlanguage\tspeaker\tphones"]
    for number, text in enumerate(sentences(arguments.sentences)):
        name = f"s{number:04d}"
        marks = speak(flite, text, folder / f"{name}.wav")
        labels = "".join(f"{end} 100 {phone}\n" for phone, end in marks)
        (folder / f"{name}.lab").write_text(f"#\n{labels}", encoding="utf-8")
        lines.append(f"{name}\t{name}.wav\t{text}\ten\t{VOICE}\t{name}.lab")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} sentences in {folder}")


def sentences(count: int) -> list[str]:
    """So many different ones; fewer are the beginning of more."""
    draw, found = random.Random(0), dict[str, None]()
    words: dict[str, list[str]] = {}
    for line in WORDS.strip().splitlines():
        kind, _, listed = line.partition(": ")
        words.setdefault(kind, []).extend(word.replace("_", " ") for word in listed.split())
    words |= {"other": words["adjective"], "second": words["person"]}
    while len(found) < count:
        form = draw.choice(FORMS)
        text = form.format(**{kind: draw.choice(listed) for kind, listed in words.items()})
        found[text[0].upper() + text[1:]] = None
    return list(found)


def speak(flite: str, text: str, path: Path) -> list[tuple[str, str]]:
    """Write speech; (phone, second of its end) of each phone."""
    command = [flite, "-voice", VOICE, "-psdur", "-t", text, "-o", str(path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.findall(r"(\S+?):([\d.]+)", said)


if __name__ == "__main__":
    main()
