"""What the tests of extraction share: a corpus of real speech, an engine without processes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from tiny import ASSETS

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.extract.encoding import Encoder
from xcodec2.extract.reading import ReadAudio

RATE = 16_000
FACTS = {
    "xcodec2.model": "nano",
    "xcodec2.weights_hash": "0123",
    "xcodec2.frame_rate": "50",
    "xcodec2.codebook_size": "65536",
}


def recording(name: str, place: object) -> Recording:
    return Recording(name, f"source of {name}", {}, place)


def make_corpus(
    folder: Path, rows: int, shortest: float = 0.3, longest: float = 1.5, bad: bool = True
) -> Path:
    """A manifest of pieces of the demo clip of many lengths; with `bad`, three rows cannot be
    read.
    """
    clip, _ = soundfile.read(ASSETS / "demo.flac", dtype="float32")
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    table = []
    for n in range(rows):
        size = int(RATE * random.uniform(shortest, longest))
        start = int(random.integers(len(clip) - size))
        soundfile.write(folder / f"{n:05}.flac", clip[start : start + size], RATE)
        table.append(
            {
                "id": f"u{n}",
                "path": f"{n:05}.flac",
                "source": "demo",
                "text": f"text {n}",
                "number": n,
            }
        )
    if bad:
        (folder / "broken.flac").write_bytes(b"fLaC but no more")
        (folder / "cut.flac").write_bytes((folder / "00000.flac").read_bytes()[:4000])
        for name in ("broken.flac", "cut.flac", "missing.flac"):
            table.append({"id": name, "path": name, "source": "demo", "text": "", "number": 0})
    with (folder / "manifest.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(table)
    return folder / "manifest.tsv"


def rows(out: Path | str) -> dict[str, dict]:
    """All rows by id; fails when one is there twice."""
    table = pq.read_table(f"{out}/data").to_pylist()
    found = {row["id"]: row for row in table}
    assert len(found) == len(table)
    return found


class Inline:
    """The same unit of work as in both engines, in this process.

    `fail_after` units it stops as a killed run does.
    """

    def __init__(self) -> None:
        self.fail_after: int | None = None
        self.units: list[str] = []
        self.encoders: dict[str, Encoder] = {}

    def start(self, engine, units, settings, workers, rate, address):
        encoder = self.encoders.setdefault(settings.model, Encoder(settings))
        encoder.budget = settings.batch_seconds
        for done, unit in enumerate(units):
            if done == self.fail_after:
                raise KeyboardInterrupt
            self.units.append(unit.key)
            yield unit, encoder.outcomes([heard(recording, rate) for recording in unit.recordings])


def heard(recording, rate: int) -> ReadAudio:
    try:
        audio = recording.load(rate)
    except XCodec2Error as problem:
        return ReadAudio(None, error=str(problem))
    return ReadAudio(audio.waveform.numpy(), audio.num_samples, audio.sample_rate)


def write_shard(path: Path, ids: list[str], **more: list) -> None:
    """As `xcodec2 extract` does; an id that begins with "bad" is a row with an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bad = [id.startswith("bad") for id in ids]
    table = pa.table(
        {
            "id": ids,
            "source": [f"/corpus/{id}.wav" for id in ids],
            "codes": pa.array(
                [None if b else list(range(n + 3)) for n, b in enumerate(bad)],
                pa.list_(pa.uint16()),
            ),
            "num_samples": pa.array([None if b else 960 for b in bad], pa.int64()),
            "sample_rate": pa.array([None if b else 16_000 for b in bad], pa.int32()),
            "duration": pa.array([None if b else 0.06 for b in bad], pa.float64()),
            "error": ["damaged" if b else None for b in bad],
            **more,
        }
    )
    pq.write_table(table.replace_schema_metadata(FACTS), path)
