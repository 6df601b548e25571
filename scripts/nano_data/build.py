"""Building the data folder.

Every (split, source) is one unit of work, finished once its folder stands under its name.
"""

import csv
import hashlib
import io
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import soundfile
from tqdm import tqdm

from nano_data.audio import (
    TEST_RULES,
    TRAIN_RULES,
    Rules,
    UnusableError,
    prepare,
    read_audio,
)
from nano_data.catalogue import Clip

RULES = {"train": TRAIN_RULES, "valid": TRAIN_RULES, "unheard": TRAIN_RULES, "test": TEST_RULES}
MANIFEST_COLUMNS = ("id", "path", "source", "language", "speaker", "licence", "seconds", "text")
REJECTED_COLUMNS = ("id", "split", "reason")
RECORD_NAME = "record.json"
TOTAL = "all"
COUNTS = ("stored", "left out")


@dataclass(frozen=True)
class Outcome:
    """What became of a clip: seconds stored and digest of the decoded samples, or why it was left
    out.
    """

    seconds: float = 0.0
    digest: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Spoken:
    """A stored clip of a synthetic voice, or a whole unit of it that was left out for a reason."""

    id: str
    split: str
    source: str
    language: str
    speaker: str
    licence: str
    text: str
    seconds: float
    reason: str = ""


Result = tuple[Clip, Outcome]


def write_text(path: Path, content: str) -> None:
    """Write a file so that it is either complete or absent."""
    partial_path = path.with_name(path.name + ".partial")
    partial_path.write_text(content, encoding="utf-8")
    partial_path.rename(path)


def build_clips(clips: Iterable[Clip], out: Path, pool: Pool, rate: int) -> list[Result]:
    """Prepare all clips into `out/SPLIT/SOURCE/` at `rate`, skipping the folders that are
    finished.
    """
    units: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for clip in clips:
        units[clip.split, clip.source].append(clip)
    results: list[Result] = []
    for (split, source), unit in units.items():
        rules = replace(RULES[split], sample_rate=rate)
        results += zip(unit, build_unit(unit, rules, out / split / source, pool), strict=True)
    return results


def build_unit(clips: Sequence[Clip], rules: Rules, folder: Path, pool: Pool) -> list[Outcome]:
    """Prepare the clips of one folder under a temporary name, then rename it; one outcome per
    clip.
    """
    key = unit_key(clips, rules)
    finished = _read_record(folder, key)
    if finished is not None:
        return finished
    partial_folder = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    work = pool.imap(partial(build_clip, rules=rules, folder=partial_folder), clips, chunksize=8)
    outcomes = list(
        tqdm(work, total=len(clips), desc=f"{folder.parent.name}/{folder.name}", unit="file")
    )
    record = {"key": key, "outcomes": [astuple(outcome) for outcome in outcomes]}
    write_text(partial_folder / RECORD_NAME, json.dumps(record))
    shutil.rmtree(folder, ignore_errors=True)
    partial_folder.rename(folder)
    return outcomes


def unit_key(clips: Sequence[Clip], rules: Rules) -> str:
    """Changes with the recordings and the rules, so that work is redone when one of them is not the
    same.
    """
    content = repr((rules, [(clip.id, clip.size) for clip in clips]))
    return hashlib.sha256(content.encode()).hexdigest()


def _read_record(folder: Path, key: str) -> list[Outcome] | None:
    path = folder / RECORD_NAME
    record = json.loads(path.read_text()) if path.is_file() else {}
    return [Outcome(*fields) for fields in record["outcomes"]] if record.get("key") == key else None


def build_clip(clip: Clip, rules: Rules, folder: Path) -> Outcome:
    """Read, prepare and store one clip."""
    samples, rate = read_audio(clip.path)
    try:
        speech = prepare(samples, rate, rules, clip.lowest_rate)
    except UnusableError as error:
        return Outcome(reason=str(error))
    path = folder / f"{Path(clip.id).name}.flac"
    soundfile.write(path, speech, rules.sample_rate, subtype="PCM_16")
    seconds = len(speech) / rules.sample_rate
    return Outcome(seconds, digest=hashlib.sha256(samples.tobytes()).hexdigest())


def mark_doubles(results: Iterable[Result]) -> list[Result]:
    """Leave out what decodes to the same samples as an earlier clip, as some stamps and game voices
    do.
    """
    first: dict[str, Clip] = {}
    marked = []
    for clip, outcome in results:
        if not outcome.reason:
            original = first.setdefault(outcome.digest, clip)
            if original is not clip:
                outcome = replace(outcome, reason=f"same as {original.id}")
        marked.append((clip, outcome))
    return marked


def remove_rejected(out: Path, results: Iterable[Result]) -> None:
    """Delete the stored files of clips that are left out after all."""
    for clip, outcome in results:
        if outcome.reason:
            (out / clip.split / f"{clip.id}.flac").unlink(missing_ok=True)


def write_manifest(path: Path, results: Iterable[Result], spoken: Iterable[Spoken] = ()) -> None:
    """The clips that were stored, one per line; `path` is relative to the manifest's folder."""
    stored = [(clip, outcome.seconds) for clip, outcome in results if not outcome.reason]
    stored += [(clip, clip.seconds) for clip in spoken if not clip.reason]
    rows = [
        (c.id, f"{c.id}.flac", c.source, c.language, c.speaker, c.licence, f"{seconds:.3f}", c.text)
        for c, seconds in stored
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, (MANIFEST_COLUMNS, *rows))


def write_rejected(path: Path, results: Iterable[Result], spoken: Iterable[Spoken] = ()) -> None:
    """The clips that were left out, and why."""
    rows = [(clip.id, clip.split, outcome.reason) for clip, outcome in results if outcome.reason]
    rows += [(clip.id, clip.split, clip.reason) for clip in spoken if clip.reason]
    write_table(path, (REJECTED_COLUMNS, *rows))


def write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Tab-separated values that Python's csv module reads with its defaults but for the
    delimiter.
    """
    content = io.StringIO()
    csv.writer(content, delimiter="\t", lineterminator="\n").writerows(rows)
    write_text(path, content.getvalue())


def minutes_table(
    results: Iterable[Result], spoken: Iterable[Spoken], splits: Sequence[str]
) -> str:
    """Minutes stored per source and split, and how many files were stored and left out."""
    minutes: dict[str, dict[str, float]] = defaultdict(lambda: dict.fromkeys(splits, 0.0))
    files: dict[str, Counter[str]] = defaultdict(Counter)
    counted = [
        (clip.source, clip.split, outcome.seconds, outcome.reason) for clip, outcome in results
    ]
    counted += [(clip.source, clip.split, clip.seconds, clip.reason) for clip in spoken]
    for source, split, seconds, reason in counted:
        for name in (source, TOTAL):
            minutes[name][split] += 0 if reason else seconds / 60
            files[name][COUNTS[bool(reason)]] += 1
    rows = [["minutes of", *splits, *COUNTS]]
    for name in (*(name for name in minutes if name != TOTAL), TOTAL):
        times = [f"{minutes[name][split]:.1f}" if minutes[name][split] else "" for split in splits]
        rows.append([name, *times, *(str(files[name][count]) for count in COUNTS)])
    return "\n".join(
        f"{name:20}" + "".join(f"{cell:>10}" for cell in cells) for name, *cells in rows
    )
