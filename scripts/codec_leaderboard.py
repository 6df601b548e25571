"""One leaderboard of models, Opus, Codec2 and k-means at equal rate, a language model in the loop.

    apt-get install flite opus-tools codec2
    python scripts/prepare_nano_data.py
    python scripts/codec_leaderboard.py nano runs/nano-3/model --workers 2

Two reports and one page of both: `test` has the metrics of natural speech in four languages that
nano was not trained on; `spoken` has sentences whose every phone is known
(`prepare_spoken_corpus.py`), where the same small language model learns to speak in each system's
codes, told phones and durations. At the end stands what the intervals allow one to say. A run that
is interrupted resumes. `--size small` is made of fewer recordings and of models that learn less,
`--size quick` of a few files, to try it out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from xcodec2.evaluate import evaluate
from xcodec2.evaluate.leaderboard import leaderboard
from xcodec2.evaluate.report.language_model import lm_numbers, spread_of
from xcodec2.evaluate.report.text import summary_lines

LEFT_OUT = 3  # of so many test files, one is as long as asked for
NATURAL = ("stoi", "pesq", "mel", "f0", "distillmos", "speaker", "invariance")
SPOKEN = ("wer", "distillmos")


class Size(NamedTuple):
    """How much is measured: what k-means learns from; files of the test set, and of these with
    costly metrics; sentences that are made, and of these with costly metrics; minutes that the
    first system's model learns from, and sentences that each model says.
    """

    learned: str
    files: int
    costly: int
    sentences: int
    heard: int
    minutes: float
    said: int


SIZES = {
    "full": Size("train", 240, 60, 1000, 60, 240, 24),
    "small": Size("train", 80, 24, 300, 10, 20, 6),
    "quick": Size("valid", 4, 1, 24, 2, 1, 1),
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="+", help="what from_pretrained takes; the first is compared"
    )
    parser.add_argument("--data", type=Path, default=Path("data/nano"), help="(%(default)s)")
    parser.add_argument("--spoken", type=Path, default=Path("data/spoken"), help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("leaderboard"), help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="of language models (%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="full", help="(%(default)s)")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    prepare = [sys.executable, str(Path(__file__).with_name("prepare_spoken_corpus.py"))]
    spoken = arguments.spoken / str(size.sentences)
    if not (spoken / "manifest.tsv").is_file():
        subprocess.run([*prepare, str(spoken), "--sentences", str(size.sentences)], check=True)
    means = f"kmeans:{arguments.data / size.learned / 'manifest.tsv'}@800"
    baselines = ("original", "opus@6k", "codec2@700C", means)
    common: dict[str, Any] = {"models": arguments.models, "baselines": baselines}
    common |= {"workers": arguments.workers, "cost": False, "worst": 3}
    reports = {
        "test": evaluate(
            str(arguments.data / "test" / "manifest.tsv"), arguments.out / "test",
            metrics=NATURAL, group_by=("language",), seconds=(1.5, 15),
            sample=size.files * LEFT_OUT, costly_sample=size.costly * LEFT_OUT, audio=False,
            **common,
        ),
        "spoken": evaluate(
            str(spoken / "manifest.tsv"), arguments.out / "spoken", metrics=SPOKEN, phones="phones",
            costly_sample=size.heard, lm_minutes=size.minutes, lm_seeds=arguments.seeds,
            lm_sentences=size.said, **common,
        ),
    }  # fmt: skip
    page = arguments.out / "leaderboard.html"
    rows = leaderboard([arguments.out / name for name in reports], page)
    for name, summary in reports.items():
        print(f"\n{name}:", *summary_lines(summary), sep="\n")
    print(f"\n{rows} rows in {page}", *conclusion(reports["spoken"]["lm"]), sep="\n")


def conclusion(lm: Mapping[str, Any]) -> Iterator[str]:
    """Systems from the best to the worst by each measure, with `<` where 95 % intervals over seeds
    part two neighbors, and `~` where they do not.
    """
    if "error" in lm:
        yield lm["error"]
        return
    found: dict[str, list[Any]] = {}
    for system, facts in lm["systems"].items():
        for column, value in lm_numbers(facts):
            found.setdefault(column.name, []).append((column, system, value))
    for entries in found.values():
        column = entries[0][0]
        sign = -1 if column.better == "higher" else 1
        entries.sort(key=lambda entry: sign * entry[2]["mean"])
        words = [
            f"{system} {value['mean']:.{column.digits}f}{spread_of(value, column.digits)}"
            for _, system, value in entries
        ]
        signs = ["<" if apart(a[2], b[2]) else "~" for a, b in pairwise(entries)]
        line = "".join(f"{word} {mark} " for word, mark in zip(words, [*signs, ""], strict=True))
        yield f"{column.title}, best first: {line.strip()}"


def apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two intervals have nothing in common."""
    if one["low"] is None or other["low"] is None:
        return False
    return bool(one["high"] < other["low"] or other["high"] < one["low"])


if __name__ == "__main__":
    main()
