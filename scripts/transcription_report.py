"""How many words does a CTC model read in the codes of recordings? Beside a recognizer that hears.

    python scripts/prepare_nano_data.py
    python scripts/prepare_english_set.py
    python scripts/transcription_report.py data/nano/english/manifest.tsv
    python scripts/transcription_report.py data/nano/train/manifest.tsv --source asterisk-en \\
        --clips 100

Of each source of the manifests (columns path, text, source; texts of three words or more): word
error rate of the CTC model on the codes, and of Moonshine base on the recordings and on what the
codec makes of the codes; errors over all words, with 95 % intervals by resampling clips. Numbers
are read out on both sides first. One thread.
"""

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from llasa_understood import RATE, read_out
from tqdm import tqdm

from xcodec2 import XCodec2Model, evaluators
from xcodec2.audio.io import load_audio
from xcodec2.evaluators.text import word_errors
from xcodec2.transcribe import Transcriber
from xcodec2.transcribe.measuring import rate

SYSTEMS = ("ctc", "recordings", "decoded")
FEWEST_WORDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--ctc", type=Path, help="the bundled one")
    parser.add_argument("--model", default="nano", help="the codec (nano)")
    parser.add_argument("--source", action="append", help="only these; repeatable")
    parser.add_argument("--clips", type=int, help="at most so many of a source, spread over it")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    reader = Transcriber.load(args.ctc)
    codec, listener = XCodec2Model.from_pretrained(args.model).eval(), evaluators.asr("moonshine")
    counts = defaultdict(list)
    for path, text, source in tqdm(chosen(args.manifests, args.source, args.clips)):
        waveform = load_audio(path).waveform
        codes = codec.encode(waveform, RATE)
        heard = (
            reader.transcribe(codes).text,
            listener.transcribe(waveform.numpy()),
            listener.transcribe(codec.decode(codes).numpy()),
        )
        for system, said in zip(SYSTEMS, heard, strict=True):
            errors = word_errors(read_out(text), read_out(said))
            counts[source, system].append((errors.wrong, errors.total))
    figures: dict[str, dict] = {}
    for (source, system), found in counts.items():
        row = figures.setdefault(source, {"clips": len(found), "words": sum(n for _, n in found)})
        row[system] = str(rate(found))
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def chosen(
    manifests: list[Path], sources: list[str] | None, clips: int | None
) -> list[tuple[Path, str, str]]:
    """Recordings of the sources with texts of FEWEST_WORDS or more: path, text, source."""
    found = defaultdict(list)
    for manifest in manifests:
        with manifest.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                source = row.get("source") or manifest.stem
                if source in (sources or [source]) and len(row["text"].split()) >= FEWEST_WORDS:
                    found[source].append((manifest.parent / row["path"], row["text"], source))
    return [
        some[place]
        for some in found.values()
        for place in np.linspace(0, len(some) - 1, min(clips or len(some), len(some))).astype(int)
    ]


if __name__ == "__main__":
    main()
