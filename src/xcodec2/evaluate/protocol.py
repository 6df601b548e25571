"""Protocols: which recordings, which metrics by which judges, and what others have published.

A protocol is a TOML file, in the package or a user's own; `base = "NAME"` takes what it does not
say from another one. What a run does differently is refused, so that a name stands for one thing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import is_taken, load_recording
from xcodec2.evaluate.metrics import COLUMNS, DEFAULTS, NAMES
from xcodec2.evaluate.metrics.selection import MetricSet, Selection
from xcodec2.recipe_file import RecipeReader, refuse

SHOWN = 3  # recordings that an error names


@dataclass(frozen=True)
class Published:
    """Others' numbers on the same protocol.

    Attributes:
        system: As its authors call it.
        source: Where the numbers stand.
        date: Of the source, YYYY-MM-DD.
        metrics: Column → value, in this package's units.
        bit_rate: Bits a second, where it is known.
        note: What is different, if anything is.
    """

    system: str
    source: str
    date: str
    metrics: dict[str, float]
    bit_rate: float | None = None
    note: str = ""


@dataclass(frozen=True)
class CorpusRule:
    """What the corpus has to be.

    Attributes:
        recordings: How many, those that `seconds` leaves out among them; not checked when it is
            None.
        sha256: `corpus_digest` of them; not checked when it is None.
        files: Recording's id → the first digits of its samples' SHA-256, as `content` of
            rows.parquet has it: all of these and no others. Not checked when empty.
        columns: That every recording needs.
        language: That every recording's column `language` has to begin with, where it has one.
        seconds: Shortest and longest recording that is taken; None takes all.
    """

    recordings: int | None = None
    sha256: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    language: str | None = None
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Judges:
    """Who measures.

    Attributes:
        metrics: Names of built-in metrics.
        asr: As `evaluate` takes it; `ID@REVISION` pins a model of the Hub.
        speaker_encoder: The same.
        versions: Metric → how its implementation has to begin; others are taken as they are, and
            named by the report.
    """

    metrics: tuple[str, ...]
    asr: str = "moonshine"
    speaker_encoder: str = "resemblyzer"
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol:
    """Everything that has to be the same for numbers to be compared.

    Attributes:
        title: For people.
        source: Who defined it, and where.
        corpus: The recordings.
        judges: The metrics.
        headline: Columns that its table shows.
        sample_rate: Hz at which all is compared.
        resampling: How recordings and decoded speech get there.
        trimming: Of silence.
        aggregate: How values of recordings become one.
        differs: Where this package cannot follow the source; "" where it follows it.
        published: Others' numbers.
    """

    title: str
    source: str
    corpus: CorpusRule
    judges: Judges
    headline: tuple[str, ...]
    sample_rate: Literal[16_000] = 16_000
    resampling: Literal["soxr VHQ"] = "soxr VHQ"
    trimming: Literal["none"] = "none"
    aggregate: Literal["means of recordings, error rates pooled"] = (
        "means of recordings, error rates pooled"
    )
    differs: str = ""
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.judges.metrics if name not in NAMES]
        named = {*self.headline, *(c for row in self.published for c in row.metrics)}
        lost = sorted(named - set(COLUMNS))
        refuse(
            [
                (unknown, f"no metrics are called {', '.join(unknown)}"),
                (lost, f"no columns are called {', '.join(lost)}"),
            ]
        )


READER = RecipeReader(Protocol, Path(__file__).parent / "protocols", inherits=True)


def protocol_names() -> list[str]:
    """Those in the package."""
    return sorted(path.stem for path in READER.shipped.glob("*.toml"))


def read_protocol(name_or_path: str) -> Protocol:
    """A protocol of the package by name, or a TOML file's.

    Args:
        name_or_path: Which.

    Returns:
        The protocol, checked.

    Raises:
        RecipeError: There is none, or the file is not one.
    """
    return READER.read(name_or_path)


def selection_of(protocol: Protocol, asked: Mapping[str, Any]) -> Selection:
    """The protocol's metrics, if nothing else is asked for.

    Args:
        protocol: That a run shall follow.
        asked: The run's own options, those of `evaluate`.

    Returns:
        What is measured.

    Raises:
        XCodec2Error: The run asks for something else.
    """
    rules = {
        "metrics": (tuple(protocol.judges.metrics), DEFAULTS),
        "asr": (protocol.judges.asr, "moonshine"),
        "speaker_encoder": (protocol.judges.speaker_encoder, "resemblyzer"),
        "seconds": (protocol.corpus.seconds, None),
        "sample": (None, None),
        "costly_sample": (None, None),
        "channel": (None, None),
    }
    for name, (wanted, default) in rules.items():
        given = tuple(asked[name]) if isinstance(asked[name], (list, tuple)) else asked[name]
        if name == "metrics" and set(asked[name]) == set(protocol.judges.metrics):
            continue  # in whatever order
        if given not in (wanted, default):
            raise XCodec2Error(
                f"{protocol.title} fixes {name} to {setting_text(wanted)}, not "
                f"{setting_text(given)}: leave {name} out, or the protocol"
            )
    return Selection(
        tuple(protocol.judges.metrics), protocol.judges.asr, protocol.judges.speaker_encoder
    )


def setting_text(value: Any) -> str:
    """A setting for people."""
    if value is None:
        return "all"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_judges(protocol: Protocol, metrics: MetricSet) -> None:
    """Raise XCodec2Error for judges that are missing, or are not those of the protocol."""
    for name, why in metrics.missing.items():
        raise XCodec2Error(f"{protocol.title} needs {name}, which cannot be measured here: {why}")
    for name, version in protocol.judges.versions.items():
        have = metrics.implementations.get(name, "nothing")
        if not have.startswith(version):
            raise XCodec2Error(f"{protocol.title} needs {name} by {version}; here is {have}")


def check_corpus(protocol: Protocol, recordings: Sequence[Recording]) -> None:
    """Raise XCodec2Error for a corpus that is not the protocol's."""
    rule = protocol.corpus
    if rule.recordings is not None and len(recordings) != rule.recordings:
        raise XCodec2Error(
            f"{protocol.title} has {rule.recordings} recordings, and this corpus {len(recordings)}"
        )
    for recording in recordings:
        columns = recording.columns
        lacking = [name for name in rule.columns if columns.get(name) in (None, "")]
        if lacking:
            raise XCodec2Error(
                f"{protocol.title} needs the column {lacking[0]} of every recording; "
                f"{recording.id} has none"
            )
        spoken = str(columns.get("language") or rule.language or "").lower()
        if rule.language and not spoken.startswith(rule.language):
            raise XCodec2Error(
                f"{protocol.title} is in {rule.language}; {recording.id} is in {spoken}"
            )
    contents, unusable = {}, {}
    for recording in recordings if rule.files or rule.sha256 is not None else ():
        # As a run takes them: what it cannot use, or leaves out, is in no digest of its own.
        try:
            waveform, content = load_recording(recording)
        except XCodec2Error as problem:
            unusable[recording.id] = str(problem)
            continue
        if is_taken(waveform, rule.seconds):
            contents[recording.id] = content
    for name in rule.files:
        if name in unusable:
            raise XCodec2Error(f"{protocol.title} needs {name}: {unusable[name]}")
    if rule.files:
        deviations = {
            "lacks": [name for name in rule.files if name not in contents],
            "has besides": [name for name in contents if name not in rule.files],
            "has other samples of": [
                name
                for name, digest in rule.files.items()
                if not contents.get(name, digest).startswith(digest)
            ],
        }
        for what, names in deviations.items():
            if names:
                raise XCodec2Error(
                    f"{protocol.title} lists its recordings, and this corpus {what} "
                    f"{', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"
                )
    if rule.sha256 is not None:
        found = corpus_digest(contents.values())
        if found != rule.sha256:
            broken = "".join(f"; without {name}: {why}" for name, why in unusable.items())
            raise XCodec2Error(
                f"{protocol.title} has other recordings: its digest is {rule.sha256}, and this "
                f"corpus has {found}{broken}"
            )


def corpus_digest(contents: Iterable[str]) -> str:
    """SHA-256 over the sorted digests of all recordings' samples at 16 kHz; names do not matter."""
    return hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()


def protocol_facts(name: str, protocol: Protocol) -> dict[str, Any]:
    """The protocol as summary.json holds it: its list of files is in rows.parquet already."""
    facts = {"name": name, **dataclasses.asdict(protocol)}
    facts["corpus"]["files"] = len(protocol.corpus.files)
    return facts
