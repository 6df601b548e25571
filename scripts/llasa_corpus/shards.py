"""Units of the corpus → shards of an extraction's data set: what is there is not made again.

A unit is one voice's next sentences of one split. What decides its rows decides its key, which is
the name of its shard: texts, phonemes, voice, seed and the codec's weights.
"""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from llasa_corpus.speech import SAMPLE_RATE, Speech, Take, UnusableError, Voice
from llasa_corpus.texts import LICENSES, MOST_PHONEMES, Script, Sentence, read
from xcodec2 import XCodec2Model
from xcodec2.corpus import Recording
from xcodec2.corpus.options import Options
from xcodec2.extract.encoding import Outcome, encode_exactly, narrow
from xcodec2.extract.plan import Unit
from xcodec2.extract.progress import Progress
from xcodec2.extract.run import claim, describe_codec, finish_extraction, metadata
from xcodec2.extract.store import Store, parquet, unit_table

FORMAT = 1  # of the rows; another one is made anew
BATCH_SECONDS = 40.0
COLUMNS = {
    **dict.fromkeys(("text", "words", "phonemes", "durations", "voice", "language"), "text"),
    **dict.fromkeys(("text_source", "text_license", "voice_license"), "text"),
}


@dataclass(frozen=True)
class Job:
    """A unit before it is spoken."""

    voice: Voice
    part: int
    seed: int
    texts: list[tuple[str, str]]
    key: str = field(default="", compare=False)

    def keyed(self, weights_hash: str) -> "Job":
        """The same with its key."""
        facts = (FORMAT, weights_hash, self.voice, self.part, self.seed, self.texts)
        key = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        return Job(self.voice, self.part, self.seed, self.texts, key)


def jobs(voices: list[Voice], script: Script, rows: int, seed: int) -> Iterator[Job]:
    """Units without end, every voice once before one speaks again, until all has been said."""
    part = 0
    while True:
        round_of = [Job(voice, part, seed, script.part(voice.name, part, rows)) for voice in voices]
        spoken = [job for job in round_of if job.texts]
        if not spoken:
            return
        yield from spoken
        part += 1


class Maker:
    """Speaks units and encodes what was spoken; in a process of its own, one thread."""

    def __init__(self, model: str, cache: Path) -> None:
        torch.set_num_threads(1)
        self.model = XCodec2Model.from_pretrained(model).eval()
        self.speech = Speech(cache)
        self.facts = describe_codec(model).facts

    def __call__(self, job: Job) -> tuple[Job, bytes, list[Outcome]]:
        """The shard of a unit, and what became of its rows."""
        rng = random.Random(f"{job.seed} {job.voice.name} {job.part}")
        sentences = [read(*text) for text in job.texts]
        takes = [self.spoken(sentence, job.voice, rng) for sentence in sentences]
        outcomes = self.encoded(takes)
        recordings = [
            Recording(
                id=f"{job.voice.name}/{job.part:04}/{number:04}",
                source=f"{job.voice.name} says a text of {sentence.source}",
                columns=columns(job.voice, sentence, take, outcome),
                place=None,  # it was never a file
            )
            for number, (sentence, take, outcome) in enumerate(
                zip(sentences, takes, outcomes, strict=True)
            )
        ]
        plan: Any = SimpleNamespace(columns=COLUMNS, names={name: name for name in COLUMNS})
        table = unit_table(
            Unit(job.key, recordings),
            outcomes,
            plan,
            metadata(self.facts),
            self.model.codebook_size,
        )
        return job, parquet(table), outcomes

    def spoken(self, sentence: Sentence, voice: Voice, rng: random.Random) -> Take | str:
        """The speech of a sentence, or why there is none."""
        own = random.Random(rng.getrandbits(64))  # a row is the same whatever the others were
        if len(sentence.phonemes) > MOST_PHONEMES:
            return f"too long: {len(sentence.phonemes)} phonemes, at most {MOST_PHONEMES}"
        try:
            return self.speech.say(sentence.phonemes, voice, own)
        except UnusableError as problem:
            return str(problem)

    def encoded(self, takes: list[Take | str]) -> list[Outcome]:
        """Codes of each take, as it has them alone."""
        spoken = [place for place, take in enumerate(takes) if isinstance(take, Take)]
        waveforms = [
            torch.from_numpy(np.ascontiguousarray(takes[place].waveform, np.float32))
            for place in spoken
        ]
        results = [Outcome(None, error=take if isinstance(take, str) else None) for take in takes]
        found = encode_exactly(self.model, waveforms, BATCH_SECONDS)
        for place, waveform, codes in zip(spoken, waveforms, found, strict=True):
            results[place] = (
                Outcome(None, error=codes)
                if isinstance(codes, str)
                else Outcome(narrow(codes, self.model.codebook_size), len(waveform), SAMPLE_RATE)
            )
        return results


def columns(voice: Voice, sentence: Sentence, take: Take | str, outcome: Outcome) -> dict[str, Any]:
    """What a row has beside its codes. The codec may add a code at the end: silence, as the last
    symbol is.
    """
    durations = list(take.durations) if isinstance(take, Take) else []
    if durations and outcome.codes is not None:
        durations[-1] += len(outcome.codes) - sum(durations)
    return {
        "text": sentence.text,
        "words": sentence.words,
        "phonemes": sentence.phonemes,
        "durations": " ".join(map(str, durations)) or None,
        "voice": voice.name,
        "language": "en",
        "text_source": sentence.source,
        "text_license": LICENSES[sentence.source],
        "voice_license": "Apache-2.0",
    }


def write_split(out: Path, work: Iterator[Job], make: Any, hours: float, facts: dict) -> float:
    """Shards in their order until their speech fills `hours`; returns how much there is.

    Args:
        out: Folder of the data set.
        work: Units, in order.
        make: (units) → iterator of what `Maker` returns, in the same order.
        hours: Of speech.
        facts: Of the codec, and the `source` that the data set says it is made of.
    """
    store, limit, filled = Store(str(out)), hours * 3600, 0.0
    identity = {"source": facts["source"], "weights_hash": facts["weights_hash"]}
    with store.locked(), tqdm(total=round(limit), unit="s", desc=out.name) as bar:
        claim(store, identity, Options())
        present, keys, progress = store.keys(), set(), Progress(0, 0)
        progress.told = math.inf  # hours are what is counted here, by the bar above
        pending: list[Job] = []
        keyed = (job.keyed(facts["weights_hash"]) for job in work)
        for job in keyed:
            if job.key not in present:
                pending.append(job)
                break
            keys.add(job.key)
            filled += seconds(store, job.key)
            bar.update(round(filled) - bar.n)
            if filled >= limit:
                break
        missing = (job for source in (pending, keyed) for job in source)
        if filled < limit and pending:
            for job, shard, outcomes in make(missing):
                store.write(store.shard(job.key), shard)
                keys.add(job.key)
                progress.add(outcomes)
                filled += sum(item.num_samples for item in outcomes) / SAMPLE_RATE
                bar.update(round(filled) - bar.n)
                if filled >= limit:
                    break
        store.remove(sorted(store.keys() - keys))  # of other texts, voices or hours
        progress.bar.close()
        finish_extraction(store, keys, facts | {"columns": COLUMNS}, progress)
    return filled / 3600


def seconds(store: Store, key: str) -> float:
    """Of speech in a finished shard."""
    return sum(value or 0 for value in store.read(key, ["duration"])["duration"].to_pylist())
