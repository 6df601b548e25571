"""The whole evaluation: a source in; rows.parquet, summary.json and report.html out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xcodec2 import __version__
from xcodec2.corpus import Recording, read_corpus
from xcodec2.corpus.decoders import with_decoders
from xcodec2.corpus.parts import on_channel
from xcodec2.corpus.source import unique
from xcodec2.deprecation import renamed_arguments
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import load_recording
from xcodec2.evaluate.cost import costs
from xcodec2.evaluate.exports import check_forms, write_exports
from xcodec2.evaluate.journal import Journal
from xcodec2.evaluate.lm.loop import LmPlan, language_models
from xcodec2.evaluate.metrics import DEFAULTS, METRICS, Metric
from xcodec2.evaluate.metrics.selection import MetricSet, Selection
from xcodec2.evaluate.probing import token_facts
from xcodec2.evaluate.probing.probes import read_phones
from xcodec2.evaluate.protocol import (
    check_corpus,
    check_judges,
    corpus_digest,
    protocol_facts,
    read_protocol,
    selection_of,
)
from xcodec2.evaluate.report.page import page
from xcodec2.evaluate.report.rows import write_rows
from xcodec2.evaluate.runner import EvaluationPlan, run_evaluation
from xcodec2.evaluate.summary import summarize
from xcodec2.evaluate.systems.system import System
from xcodec2.evaluate.systems.tokenizer import TokenizerSystem
from xcodec2.evaluate.text_probe import text_probe
from xcodec2.files import replacing

IN_PYTHON = "recordings given in Python"


@renamed_arguments(
    measures="metrics",
    recogniser="asr",
    speaker="speaker_encoder",
    functions="systems",
    judge_sample="costly_sample",
)
def evaluate(
    source: str | os.PathLike[str] | Iterable[Recording],
    out: str | Path,
    *,
    models: Sequence[str] = ("nano",),
    baselines: Sequence[str] = (),
    systems: Sequence[System] = (),
    metrics: Sequence[str | type[Metric] | Metric] = DEFAULTS,
    asr: str = "moonshine",
    speaker_encoder: str = "resemblyzer",
    group_by: Sequence[str] = (),
    phones: str | None = None,
    seconds: tuple[float, float] | None = None,
    sample: int | None = None,
    costly_sample: int | None = None,
    workers: int = 1,
    device: str = "cpu",
    channel: int | None = None,
    reading: Mapping[str, Any] | None = None,
    cost: bool = True,
    worst: int = 10,
    audio: bool = True,
    protocol: str | None = None,
    exports: Sequence[str] = (),
    lm_minutes: float | None = None,
    lm_seeds: int = 3,
    lm_sentences: int = 12,
    text_probe_steps: int | None = None,
) -> dict[str, Any]:
    """Evaluate systems on a corpus and write the report.

    A run that was interrupted resumes; what is in `out` of other systems or metrics is kept for
    later runs. A recording that cannot be used costs its row alone.

    Args:
        source: As `xcodec2.corpus.read_corpus` takes it, or recordings.
        out: Folder for report.html, summary.json and rows.parquet.
        models: As `XCodec2Model.from_pretrained` takes them, or folders of exported ones (ONNX).
        baselines: As `xcodec2.evaluate.systems.named.baseline` takes them.
        systems: Made in Python: FunctionSystem, TokenizerSystem, or one's own.
        metrics: Names, one's own as `module:Class`, classes, or objects.
        asr: What WER listens with: moonshine, pocketsphinx, or a Hub id.
        speaker_encoder: What compares voices: resemblyzer, or a Hub id.
        group_by: Columns of the corpus.
        phones: A column or folder with label files.
        seconds: Shortest and longest recording to take.
        sample: So many recordings, picked by their ids.
        costly_sample: The same for costly metrics alone: DNSMOS, DistillMOS, WER.
        workers: Processes.
        device: For models.
        channel: The one to take of each recording, from 0; None averages them.
        reading: How the corpus is to be read, as `xcodec2.corpus.read_corpus` takes it:
            audio_column, split, encoding, …
        cost: Whether real-time factor and memory are measured, too.
        worst: How many of the worst files to show.
        audio: Whether these have players.
        protocol: A name or a TOML file (`xcodec2.evaluate.protocol`), which fixes the metrics and
            says what the corpus has to be.
        exports: Other forms of the numbers, of `xcodec2.evaluate.exports.FORMS`.
        lm_minutes: Trains a small language model on each system's codes, with as many tokens as
            the first system has in so many minutes of speech.
        lm_seeds: Such models of each system.
        lm_sentences: Held-out recordings that each of them says. With `phones`, it is told phones
            and durations, and words are counted; without, it continues the first second.
        text_probe_steps: Trains a CTC model on each tokenizer's codes of recordings with a `text`
            for so many steps, and reads held-out ones.

    Returns:
        What summary.json holds.

    Raises:
        XCodec2Error: The whole run makes no sense: an unknown metric, no usable recording, …, or
            does not match its protocol.
    """
    source = os.fspath(source) if isinstance(source, os.PathLike) else source
    if workers < 1:
        raise XCodec2Error("workers must be 1 or more")
    if lm_seeds < 1 or lm_sentences < 0 or (lm_minutes is not None and lm_minutes <= 0):
        raise XCodec2Error("lm_minutes and lm_seeds must be above 0, lm_sentences not below")
    check_forms(exports)
    rules = read_protocol(protocol) if protocol else None
    selection = Selection(tuple(metrics), asr, speaker_encoder)
    if rules:
        asked: dict[str, Any] = {"metrics": metrics, "asr": asr, "speaker_encoder": speaker_encoder}
        asked |= {"seconds": seconds, "sample": sample, "costly_sample": costly_sample}
        selection = selection_of(rules, {**asked, "channel": channel})
        seconds = rules.corpus.seconds
    metric_set = MetricSet(selection)
    recordings = list(with_decoders(recordings_of(source, reading or {})))
    if rules:
        check_judges(rules, metric_set)
        check_corpus(rules, recordings)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise XCodec2Error(f"{folder}: cannot be made ({problem.strerror})") from problem
    if channel is not None:
        recordings = [on_channel(recording, channel) for recording in recordings]
    recordings = chosen(recordings, sample)
    costly_ids = None
    if costly_sample is not None:
        costly_ids = frozenset(r.id for r in chosen(recordings, costly_sample))
    plan = EvaluationPlan(
        tuple(models), tuple(baselines), selection, tuple(systems), device, seconds, costly_ids
    )
    loaded = plan.systems()
    labels = read_phones(recordings, phones) if phones else {}
    check_columns(recordings, group_by)

    journal = Journal(folder)
    try:
        with tqdm(total=len(recordings), unit="file", disable=None) as bar:
            rows = run_evaluation(
                plan, loaded, metric_set, recordings, journal, workers, bar.update
            )
    finally:
        journal.close()
    if not rows:
        raise XCodec2Error("no recording is left: none is as long as seconds=... asks for")
    columns = metric_set.columns
    used = {row["id"] for row in rows}
    kept = [recording for recording in recordings if recording.id in used]
    lm = None
    if lm_minutes is not None:
        lm_plan = LmPlan(lm_minutes, lm_seeds, lm_sentences, selection.asr)
        lm = lm_part(loaded, kept, folder, lm_plan, labels, workers)
    summary = {
        "version": __version__,
        "source": source if isinstance(source, str) else IN_PYTHON,
        "recordings": len({row["id"] for row in rows}),
        "corpus_sha256": corpus_digest(
            {row["id"]: row["content"] for row in rows if "content" in row}.values()
        ),
        "selection": {
            "seconds": list(seconds) if seconds else None,
            "sample": sample,
            "judge_sample": costly_sample,
            "channel": channel,
        },
        "protocol": protocol_facts(str(protocol), rules) if rules else None,
        "columns": {n: asdict(c) for n, c in columns.items() if any(n in row for row in rows)},
        "measures": metric_set.implementations,
        "missing": metric_set.missing,
        "wer_against": wer_against(rows),
        "implementations": {system.name: system.implementation for system in loaded},
        **summarize(rows, [system.name for system in loaded], columns, group_by),
        "codes": code_facts(loaded, rows, labels),
        "lm": lm,
        "text_probe": text_facts(loaded, rows, folder, text_probe_steps),
        "cost": cost_facts(plan, loaded, recordings) if cost else {},
    }
    # JSON makes lists of tuples: what is returned is what the file holds.
    written = json.dumps(summary, indent=1, ensure_ascii=False)
    summary = json.loads(written)
    own = metric_set.loaded.values()
    counts = [name for metric in METRICS for name in metric.counts]
    counts += [name for metric in own for name in metric.counts]
    about = {key: summary[key] for key in ("version", "source", "measures")}
    write_rows(folder / "rows.parquet", rows, columns, list(dict.fromkeys(counts)), about)
    write_text(folder / "summary.json", written + "\n")
    costly = [metric.columns[0].title for metric in own if metric.cost == "high"]
    shown = page(
        summary, rows, loaded, recordings, columns, costly=costly, worst=worst, audio=audio
    )
    write_text(folder / "report.html", shown)
    if exports:
        write_exports(summary, exports, folder / "exports", loaded, kept)
    return summary


def recordings_of(
    source: str | Iterable[Recording], reading: Mapping[str, Any]
) -> Iterable[Recording]:
    """A corpus' recordings, each with an id of its own.

    Raises:
        XCodec2Error: Two have one id, there is no such corpus, or it is not read so.
    """
    if isinstance(source, str):
        return read_corpus(source, **reading)
    if reading:
        raise XCodec2Error(
            "recordings that are given in Python are read already: leave reading out"
        )
    return unique(iter(source), IN_PYTHON)


def chosen(recordings: list[Recording], sample: int | None) -> list[Recording]:
    """A sample of the recordings, by the digests of their ids: a larger one holds a smaller one.

    Args:
        recordings: Of the corpus.
        sample: How many; all when it is None.

    Returns:
        The sample, in the recordings' order.
    """
    if sample is None or sample >= len(recordings):
        return recordings
    digests = sorted(
        (hashlib.sha256(recording.id.encode()).hexdigest(), recording.id)
        for recording in recordings
    )
    picked = {identity for _, identity in digests[:sample]}
    return [recording for recording in recordings if recording.id in picked]


def check_columns(recordings: Sequence[Recording], group_by: Sequence[str]) -> None:
    """Raise XCodec2Error for columns that no recording has."""
    there = {name for recording in recordings for name in recording.columns}
    if missing := [name for name in group_by if name not in there]:
        known = ", ".join(sorted(there)) or "none"
        raise XCodec2Error(
            f"the corpus has no column {', '.join(missing)} to group by; it has {known}"
        )


def wer_against(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What the error rates compare with, in words."""
    kinds = {row["wer_against_transcript"] for row in rows if "wer_against_transcript" in row}
    words = {1: "the transcripts", 0: "what the recognizer hears in the original"}
    return (
        " or, where there is none, ".join(words[kind] for kind in sorted(kinds, reverse=True))
        or None
    )


def code_facts(
    systems: Sequence[System], rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Any]
) -> dict[str, Any]:
    """System → what is measured of its codes; see `token_facts`."""
    facts = {}
    for system in systems:
        own = [row for row in rows if row["system"] == system.name and row.get("codes")]
        if isinstance(system, TokenizerSystem) and own:
            facts[system.name] = token_facts(system, own, labels)
    return facts


def lm_part(
    systems: Sequence[System],
    recordings: Sequence[Recording],
    folder: Path,
    plan: LmPlan,
    labels: Mapping[str, Any],
    workers: int,
) -> dict[str, Any]:
    """What `language_models` gives, or why it cannot: the rest of the report needs none of it."""
    try:
        return language_models(systems, recordings, folder, plan, labels=labels, workers=workers)
    except XCodec2Error as problem:
        return {"error": str(problem), "systems": {}}


def text_facts(
    systems: Sequence[System], rows: Sequence[Mapping[str, Any]], folder: Path, steps: int | None
) -> dict[str, Any]:
    """System → what a CTC model reads in its codes; nothing without steps."""
    facts = {}
    for system in systems if steps else ():
        own = [row for row in rows if row["system"] == system.name and row.get("codes")]
        if isinstance(system, TokenizerSystem) and own:
            facts[system.name] = text_probe(system, own, folder / "text-probe", steps or 0)
    return facts


def cost_facts(
    plan: EvaluationPlan, systems: Sequence[System], recordings: Sequence[Recording]
) -> dict[str, Any]:
    """System → real-time factor and memory, on the first recording that can be used."""
    for recording in recordings:
        try:
            waveform, _ = load_recording(recording)
            break
        except XCodec2Error:
            continue
    else:
        return {}
    wanted: list[tuple[str, Any]] = [("model", name) for name in plan.models]
    wanted += [("made", system) for system in plan.made]
    wanted += [("baseline", name) for name in plan.baselines]
    return {
        system.name: costs(kind, name, waveform, plan.device)
        for system, (kind, name) in zip(systems, wanted, strict=True)
        if name != "original"
    }


def write_text(path: Path, content: str) -> None:
    """Write a whole file, or nothing."""
    with replacing(path, XCodec2Error) as file:
        file.write(content.encode("utf-8"))
