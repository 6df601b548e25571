"""How well is a LLaSA understood? A hundred sentences that it never read, beside the codec alone.

    python scripts/llasa_understood.py
    python scripts/llasa_understood.py runs/llasa/voices/model --best-of 4 --json understood.json
    python scripts/llasa_understood.py --codecs nano nano-24k

scripts/llasa_corpus/unseen.tsv holds 40 everyday sentences, 30 of the kind that news have, and 30
with numbers. Word errors, each sentence's at most all of its words, of

    voice           hibari's voice itself, which the bundled model was taught
    CODEC           the codes of that voice, decoded: what no language model can beat
    CODEC, one      one draw at the model's own settings, seed 0
    CODEC, best     the one of --best-of that --verifier likes most; no judge chooses

by Moonshine base and PocketSphinx, with 95 % intervals over sentences (bootstrap). Both sides are
read out by the front end first (9:30 → nine thirty), so that a recognizer may write numbers as it
likes. Beside them: what ends by itself, and lengths over the voice's own (mean and longest). The
voice needs the packages of scripts/nano_data/requirements.txt; --no-voice leaves it out.
"""

import argparse
import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch
from llasa_corpus.speech import GridVoice, Speech
from tqdm import tqdm

from xcodec2 import XCodec2Model, evaluators
from xcodec2.errors import LlasaError
from xcodec2.evaluators.text import word_errors
from xcodec2.llasa import Sampling, Search, Speaker
from xcodec2.llasa.text import normalize, phonemes
from xcodec2.llasa.verifiers import verifier

RATE = 16_000
SENTENCES = Path(__file__).parent / "llasa_corpus" / "unseen.tsv"
JUDGES = ("moonshine", "pocketsphinx")
RESAMPLES = 2000


@dataclass(frozen=True)
class Sentence:
    kind: str
    text: str


@dataclass
class Heard:
    """What one system said: a number for each sentence.

    Attributes:
        wrong: By judge.
        words: Of the sentence.
        seconds: Of the speech.
        finished: Whether it ended by itself.
    """

    wrong: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in JUDGES})
    words: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    finished: list[bool] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lm", nargs="?", help="the bundled one")
    parser.add_argument("--codecs", nargs="*", default=["nano"], help="what decodes (nano)")
    parser.add_argument("--sentences", type=int, help="so many, spread over all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, help="instead of the model's own")
    parser.add_argument("--best-of", type=int, metavar="N", help="search, too")
    parser.add_argument("--verifier", default="ctc", help="chooses (ctc)")
    parser.add_argument("--no-voice", action="store_true", help="without hibari's own voice")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sentences = read_sentences(args.sentences)
    found = {}
    if not args.no_voice:
        found = of_the_voice(sentences, args.codecs)
    for name in args.codecs:
        speaker = Speaker.from_pretrained(args.lm, name)
        sampling = None if args.temperature is None else Sampling(args.temperature)
        one = partial(said, speaker, seed=args.seed, sampling=sampling)
        found[f"{name}, one"] = listen(sentences, one)
        if args.best_of:
            search = {
                "search": Search("best-of", args.best_of),
                "verifier": verifier(args.verifier),
            }
            label = f"{name}, best of {args.best_of} by {args.verifier}"
            found[label] = listen(sentences, partial(one, **search))
    figures = {name: summary(heard, sentences, found.get("voice")) for name, heard in found.items()}
    for name, row in figures.items():
        print(name, json.dumps(row))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def read_sentences(count: int | None) -> list[Sentence]:
    """Those of the file."""
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        rows = [Sentence(**row) for row in csv.DictReader(file, delimiter="\t")]
    places = np.linspace(0, len(rows) - 1, min(count or len(rows), len(rows))).round().astype(int)
    return [rows[place] for place in places]


def of_the_voice(sentences: list[Sentence], codecs: list[str]) -> dict[str, Heard]:
    """hibari's own voice, and through each codec."""
    speech = Speech(Path("data/packages"))
    spoken = {
        one.text: speech.say(phonemes(one.text), GridVoice(), random.Random(one.text)).waveform
        for one in tqdm(sentences, "voice")
    }
    found = {"voice": listen(sentences, lambda text: (spoken[text], True))}
    for name in codecs:
        model = XCodec2Model.from_pretrained(name).eval()

        def through(text: str, model: XCodec2Model = model) -> tuple[np.ndarray, bool]:
            return narrow(model.decode(model.encode(spoken[text], RATE)).numpy(), model), True

        found[name] = listen(sentences, through)
    return found


def said(speaker: Speaker, text: str, *, seed: int, **search: Any) -> tuple[np.ndarray, bool]:
    """What the model makes of a text, and whether it ended by itself."""
    spoken = speaker.speak(text, seed=seed, **search)
    finished = all(candidate.finished for _, candidate in spoken.pieces)
    return narrow(spoken.samples, speaker.codec), finished


def narrow(waveform: np.ndarray, codec: XCodec2Model) -> np.ndarray:
    """(N,) at the rate of the recognizers, as a file would hold it."""
    waveform = np.clip(waveform, -1, 1)
    return soxr.resample(waveform, codec.sample_rate, RATE, quality="VHQ").astype(np.float32)


def listen(sentences: list[Sentence], say: Callable[[str], tuple[np.ndarray, bool]]) -> Heard:
    """Every judge on every sentence."""
    heard = Heard()
    for sentence in tqdm(sentences):
        waveform, finished = say(sentence.text)
        heard.seconds.append(len(waveform) / RATE)
        heard.finished.append(finished)
        reference = normalize(sentence.text)
        for name in JUDGES:
            errors = word_errors(reference, read_out(evaluators.asr(name).transcribe(waveform)))
            heard.wrong[name].append(min(errors.wrong, errors.total))
        heard.words.append(errors.total)
    return heard


def read_out(recognized: str) -> str:
    """A recognizer's text in words; as it is where nothing in it can be read."""
    try:
        return normalize(recognized)
    except LlasaError:
        return recognized


def summary(heard: Heard, sentences: list[Sentence], voice: Heard | None) -> dict:
    """Rates, with intervals, and by kind for the first judge."""
    words, rng = np.asarray(heard.words), np.random.default_rng(0)
    draws = rng.integers(0, len(words), (RESAMPLES, len(words)))
    row: dict = {}
    for name in JUDGES:
        wrong = np.asarray(heard.wrong[name])
        low, high = np.quantile(wrong[draws].sum(1) / words[draws].sum(1), (0.025, 0.975))
        rate = wrong.sum() / words.sum()
        row[name] = [round(float(value), 3) for value in (rate, low, high)]
    wrong = np.asarray(heard.wrong[JUDGES[0]])
    for kind in dict.fromkeys(one.kind for one in sentences):
        own = np.asarray([one.kind == kind for one in sentences])
        row[kind] = round(float(wrong[own].sum() / words[own].sum()), 3)
    row["ended"] = round(float(np.mean(heard.finished)), 3)
    if voice and voice is not heard:
        lengths = np.asarray(heard.seconds) / np.asarray(voice.seconds)
        row["length"] = [round(float(value), 2) for value in (lengths.mean(), lengths.max())]
    return row


if __name__ == "__main__":
    main()
